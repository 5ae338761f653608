// SPDX-License-Identifier: Apache-2.0
//
// berth stats VM: what a guest uses, by two looks a second apart, since most of it is counted and
// not measured. With --watch again and again.
#include <fmt/format.h>
#include <poll.h>

#include <csignal>

#include "supervisor/cli/command.h"
#include "supervisor/cli/stats_view.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/guest/signal_capture.h"

namespace berth::cli {
namespace {

constexpr auto kLook = std::chrono::seconds(1);
constexpr auto kShortestWatch = std::chrono::milliseconds(100);

struct StatsOptions {
  std::string vm;
  std::string watch;
};

// False where a signal came first.
bool WaitOrSignal(const guest::SignalCapture& signals, std::chrono::milliseconds wait) {
  const Deadline deadline = Deadline::In(wait);
  for (;;) {
    pollfd polled{.fd = signals.fd(), .events = POLLIN, .revents = 0};
    const int n = poll(&polled, 1, deadline.PollTimeoutMs());
    if (n > 0) return false;
    if (n == 0) return true;
  }
}

int RunStats(const Shared& shared, const StatsOptions& options) {
  const std::string what = "stats " + options.vm;
  std::optional<std::chrono::milliseconds> watch;
  if (!options.watch.empty()) {
    watch = ParseDuration(options.watch);
    if (*watch < kShortestWatch) throw CLI::ValidationError("--watch", "at least 100ms");
  }
  auto client = shared.Connect();
  if (!client) return Report(what, client.error());
  guest::SignalCapture signals({SIGINT, SIGTERM, SIGHUP});
  const auto look = [&] {
    return client->Call("compute.vm.stats", {{"name", options.vm}}, Deadline::In(kQuickCall));
  };
  const auto interrupted = [&] {
    return daemon::kExitSignalBase + signals.Take().value_or(SIGINT);
  };
  auto before = look();
  if (!before) return Report(what, before.error());
  if (shared.json) {
    for (;;) {
      fmt::print("{}\n", before->dump(watch ? -1 : 2));
      std::fflush(stdout);
      if (!watch) return 0;
      if (!WaitOrSignal(signals, *watch)) return interrupted();
      before = look();
      if (!before) return Report(what, before.error());
    }
  }
  for (bool first = true;; first = false) {
    if (!WaitOrSignal(signals, first || !watch ? kLook : *watch)) return interrupted();
    auto after = look();
    if (!after) return Report(what, after.error());
    fmt::print("{}{}", first ? "" : "\n", RenderStats(*before, *after, TerminalWidth()));
    std::fflush(stdout);
    if (!watch) return 0;
    before = std::move(after);
  }
}

}  // namespace

void AddStats(CLI::App& app, Shared& shared) {
  auto options = std::make_shared<StatsOptions>();
  CLI::App* command = AddCommand(app, shared, "stats", "what a VM uses",
                                 [&shared, options] { return RunStats(shared, *options); });
  command->add_option("VM", options->vm, "the VM")->required();
  command->add_flag("--watch{2s}", options->watch,
                    "again and again, each 2s; --watch=DURATION for another");
}

}  // namespace berth::cli
