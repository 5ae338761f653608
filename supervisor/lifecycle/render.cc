// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/render.h"

#include <fmt/format.h>

#include "supervisor/lifecycle/state.h"

namespace berth::lifecycle {

std::string RenderDiagram() {
  std::string out = "```mermaid\nstateDiagram-v2\n    [*] --> Pending\n";
  for (const Edge& edge : kEdges) {
    out += fmt::format("    {} --> {}: {}\n", Name(edge.from), Name(edge.to), Name(edge.event));
  }
  return out + "```\n";
}

std::string RenderStates() {
  std::string out = "| state | means | owns processes | may be removed |\n|---|---|---|---|\n";
  for (const StateInfo& info : kStateInfo) {
    out += fmt::format("| {} | {} | {} | {} |\n", info.name, info.meaning,
                       info.owns_processes ? "yes" : "no", info.may_remove ? "yes" : "no");
  }
  return out;
}

std::string RenderEdges() {
  std::string out = "| from | event | to | when |\n|---|---|---|---|\n";
  for (const Edge& edge : kEdges) {
    out += fmt::format("| {} | `{}` | {} | {} |\n", Name(edge.from), Name(edge.event),
                       Name(edge.to), Info(edge.event).meaning);
  }
  return out;
}

}  // namespace berth::lifecycle
