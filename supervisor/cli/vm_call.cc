// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/vm_call.h"

#include <fmt/format.h>

#include "supervisor/cli/table.h"

namespace berth::cli {

int CallVm(const Shared& shared, const std::string& verb, const std::string& method,
           const std::string& vm, json params, const std::function<std::string(const json&)>& say) {
  const std::string what = verb + " " + vm;
  auto client = shared.Connect();
  if (!client) return Report(what, client.error());
  params["name"] = vm;
  auto answer = client->Call(method, std::move(params), Deadline::In(kVmCall));
  if (!answer) return Report(what, answer.error());
  if (shared.json) {
    fmt::print("{}\n", answer->dump());
  } else if (!shared.quiet) {
    fmt::print("{}\n", OneLine(say(*answer)));
  }
  return 0;
}

}  // namespace berth::cli
