// SPDX-License-Identifier: Apache-2.0
//
// berth forward VM [BIND:]PORT:[HOST:]PORT…: TCP ports and Unix sockets of a guest on this host,
// over vsock: the guest needs no network. With --stdio one connection on stdin and stdout.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/forward_loop.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/daemon/paths.h"

namespace berth::cli {
namespace {

struct ForwardOptions {
  std::string vm;
  std::vector<std::string> specs;
  bool stdio = false;
};

// Said before anything listens: a VM that does not run is a mistake of the caller's.
Outcome<> CheckRunning(Client& client, const std::string& vm) {
  auto status = client.Call("compute.vm.status", {{"name", vm}}, Deadline::In(kQuickCall));
  if (!status) return std::unexpected(status.error());
  const std::string state = status->value("state", "");
  if (state == "Running") return {};
  return std::unexpected(
      Failure{daemon::Info(lifecycle::Kind::kWrongState).exit_code,
              fmt::format("{} is {}; start it first: berth start {}", vm, state, vm)});
}

int RunListening(const Shared& shared, const ForwardOptions& options) {
  const std::string what = "forward " + options.vm;
  std::vector<ForwardSpec> specs;
  for (const std::string& text : options.specs) {
    auto spec = ParseForward(text);
    if (!spec) throw CLI::ValidationError(text, spec.error());
    specs.push_back(std::move(*spec));
  }
  auto client = shared.Connect();
  if (!client) return Report(what, client.error());
  if (auto running = CheckRunning(*client, options.vm); !running) {
    return Report(what, running.error());
  }
  std::vector<ForwardRoute> routes;
  json shown = json::array();
  for (ForwardSpec& spec : specs) {
    auto listener = ForwardListener::Open(std::move(spec.local));
    if (!listener) return Report(what, ToFailure(1, listener.error()));
    shown.push_back({{"listen", listener->local().Text()}, {"target", spec.remote.Text()}});
    routes.push_back({.listener = std::move(*listener), .remote = std::move(spec.remote)});
  }
  // With the signals caught, before anybody is told that it listens.
  ForwardLoop loop(options.vm, daemon::SocketPath(shared.socket), std::move(routes));
  if (shared.json) {
    fmt::print("{}\n", json{{"vm", options.vm}, {"forwards", shown}}.dump());
  } else {
    for (const json& each : shown) {
      const std::string listen = OneLine(each["listen"].get<std::string>());
      if (shared.quiet) {
        fmt::print("{}\n", listen);
      } else {
        fmt::print("{} -> {} {}\n", listen, options.vm, OneLine(each["target"].get<std::string>()));
      }
    }
  }
  std::fflush(stdout);
  return loop.Run();
}

// Of the process's own stdin and stdout, until both directions have ended.
Result<> MoveStdio(ForwardLink& link, int sink) {
  for (;;) {
    BERTH_ASSIGN(const auto progress, link.Round());
    if (progress == wire::Relay::Progress::kDone) return {};
    if (progress == wire::Relay::Progress::kMore) continue;
    const auto& wants = link.wants();
    const auto entry = [](int fd, short events) {
      return pollfd{.fd = events != 0 ? fd : -1, .events = events, .revents = 0};
    };
    pollfd polled[] = {entry(link.guest(), wants.framed), entry(STDIN_FILENO, wants.source),
                       entry(sink, wants.sink)};
    // Its deadline, while it has one, is looked at now and then.
    const int timeout = link.opened() ? -1 : 1000;
    if (poll(polled, std::size(polled), timeout) < 0 && errno != EINTR) return ErrnoError("poll");
  }
}

int RunStdio(const Shared& shared, const ForwardOptions& options) {
  const std::string what = "forward " + options.vm;
  if (options.specs.size() != 1) throw CLI::ValidationError("--stdio", "takes one PORT or PATH");
  const auto target = ParseForwardTarget(options.specs.front());
  if (!target) throw CLI::ValidationError(options.specs.front(), target.error());
  auto client = shared.Connect();
  if (!client) return Report(what, client.error());
  auto guest = client->CallForFd("compute.vm.forward", ForwardParams(options.vm, *target),
                                 Deadline::In(kQuickCall));
  if (!guest) return Report(what, guest.error());
  const guest::SignalCapture no_sigpipe({});
  // stdout's end is passed on: our own copy of it must not keep it open.
  UniqueFd sink(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  const UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!sink || !null || dup2(null.get(), STDOUT_FILENO) < 0) {
    return Report(what, ToFailure(1, {"stdout", errno, {}, {}}));
  }
  wire::RelayPool pool;
  const int number = sink.get();
  ForwardLink link(pool, std::move(*guest),
                   {.framed = -1,
                    .source = STDIN_FILENO,
                    .sink = number,
                    .out = {},
                    .in = {},
                    .pipe_sink = std::move(sink)});
  if (auto moved = MoveStdio(link, number); !moved) {
    return Report(what, ToFailure(1, moved.error()));
  }
  return 0;
}

}  // namespace

void AddForward(CLI::App& app, Shared& shared) {
  auto options = std::make_shared<ForwardOptions>();
  CLI::App* command = AddCommand(
      app, shared, "forward", "ports and Unix sockets of a VM on this host, over vsock",
      [&shared, options] {
        return options->stdio ? RunStdio(shared, *options) : RunListening(shared, *options);
      });
  command->add_option("VM", options->vm, "the VM")->required();
  command
      ->add_option("SPEC", options->specs,
                   "[BIND:]PORT:[HOST:]PORT; a path instead of either side is a Unix socket; port "
                   "0 here picks a free one")
      ->required();
  command->add_flag("--stdio", options->stdio,
                    "one connection to PORT, HOST:PORT or PATH on stdin and stdout");
  command->footer(
      "It listens on 127.0.0.1 unless BIND says otherwise, and ends with the VM (4) or by a signal "
      "(128 + N).");
}

}  // namespace berth::cli
