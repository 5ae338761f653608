// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/copy_path.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::cli {

CopyPath ParseCopyPath(std::string_view text) {
  if (text == "-") return {.vm = {}, .path = {}, .stream = true};
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text.find('/') < colon) {
    return {.vm = {}, .path = std::string(text), .stream = false};
  }
  std::string path(text.substr(colon + 1));
  if (!path.starts_with('/')) path.insert(0, "/");
  return {.vm = std::string(text.substr(0, colon)), .path = std::move(path), .stream = false};
}

std::expected<void, std::string> CheckCopyPaths(const std::vector<CopyPath>& sources,
                                                const CopyPath& to) {
  const auto refuse = [](std::string why) { return std::unexpected(std::move(why)); };
  const bool to_guest = !to.vm.empty();
  for (const CopyPath& from : sources) {
    if (from.vm.empty() != to_guest) {
      return refuse(to_guest ? "both sides are in VMs: copy to this host first"
                             : "no side is in a VM: name one as VM:PATH");
    }
    if (!from.stream && from.path.empty()) return refuse("an empty path");
  }
  if (!to.stream && to.path.empty()) return refuse("an empty path");
  const bool stream = to.stream || std::ranges::any_of(sources, &CopyPath::stream);
  if (stream && sources.size() > 1) return refuse("'-' is for one file alone");
  for (const CopyPath* each : {&to, sources.empty() ? &to : &sources.front()}) {
    if (each->vm.empty()) continue;
    if (Utf8(each->path) != each->path) return refuse("a path in a VM has to be UTF-8");
    if (each->path.size() > wire::kMaxPathBytes) return refuse("the path in the VM is too long");
  }
  return {};
}

std::string ByteCount(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace berth::cli
