// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/command.h"

#include <fmt/format.h>

#include <charconv>

#include "supervisor/daemon/paths.h"

namespace berth::cli {

Outcome<Client> Shared::Connect() const { return Client::Connect(daemon::SocketPath(socket)); }

CLI::App* AddCommand(CLI::App& app, Shared& shared, const std::string& name,
                     const std::string& summary, std::function<int()> run) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->add_option(
      "--socket", shared.socket,
      "berthd's socket; default: $BERTH_SOCKET or " + std::string(daemon::kDefaultSocket));
  command->add_flag("--json", shared.json, "print JSON");
  command->add_flag("-q,--quiet", shared.quiet, "print only what was asked for");
  command->callback([&shared, run = std::move(run)] { shared.chosen = run; });
  return command;
}

int Report(const std::string& what, const Failure& failure) {
  fmt::print(stderr, "berth: {}: {}\n", what, failure.message);
  return failure.exit_code;
}

std::chrono::milliseconds ParseDuration(const std::string& text) {
  constexpr uint64_t kMost = 1000ULL * 3600 * 24 * 365;
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  const std::string_view unit(parsed.ptr, static_cast<size_t>(end - parsed.ptr));
  uint64_t factor = 0;
  if (unit.empty() || unit == "s") factor = 1000;
  if (unit == "ms") factor = 1;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  if (parsed.ec != std::errc() || factor == 0 || number > kMost / factor) {
    throw CLI::ValidationError("'" + text + "' is no duration: 500ms, 8s, 2m, 1h");
  }
  return std::chrono::milliseconds(number * factor);
}

CLI::Option* AddDuration(CLI::App* app, const std::string& name, std::optional<uint64_t>& ms,
                         const std::string& summary) {
  return app
      ->add_option_function<std::string>(
          name,
          [&ms](const std::string& text) {
            ms = static_cast<uint64_t>(ParseDuration(text).count());
          },
          summary)
      ->type_name("DURATION");
}

int ForEach(const std::vector<std::string>& names,
            const std::function<int(const std::string&)>& one) {
  int worst = 0;
  for (const std::string& name : names) {
    const int code = one(name);
    if (worst == 0) worst = code;
  }
  return worst;
}

}  // namespace berth::cli
