// SPDX-License-Identifier: Apache-2.0
//
// berth version: of this program, and of the berthd it talks to where there is one.
#include <fmt/format.h>

#include "protocol/wire/handshake.h"
#include "supervisor/cli/command.h"

namespace berth::cli {

void AddVersion(CLI::App& app, Shared& shared) {
  AddCommand(app, shared, "version", "versions of berth and berthd", [&shared] {
    json out = {{"berth", wire::BuildId()},
                {"generation", wire::kGeneration},
                {"oldest_generation", wire::kOldestGeneration},
                {"berthd", nullptr}};
    if (auto client = shared.Connect()) {
      if (auto info = client->Call("compute.host.info", json::object(), Deadline::In(kQuickCall))) {
        out["berthd"] = info->value("version", "");
      }
    }
    if (shared.json) {
      fmt::print("{}\n", out.dump(2));
    } else {
      fmt::print(
          "berth {} (protocol generation {})\nberthd {}\n", wire::BuildId(), wire::kGeneration,
          out["berthd"].is_null() ? "is not running here" : out["berthd"].get<std::string>());
    }
    return 0;
  });
}

}  // namespace berth::cli
