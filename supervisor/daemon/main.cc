// SPDX-License-Identifier: Apache-2.0
//
// berthd: holds the lifecycle of this host's VMs and serves the API. One thread runs everything but
// what would block it; main owns all parts and wires them together.
#include <grp.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <filesystem>

#include "protocol/base/io.h"
#include "protocol/wire/handshake.h"
#include "supervisor/daemon/clock_watch.h"
#include "supervisor/daemon/log_archive.h"
#include "supervisor/daemon/paths.h"
#include "supervisor/daemon/real_host.h"
#include "supervisor/daemon/server.h"
#include "supervisor/daemon/state_dir.h"
#include "supervisor/lifecycle/memory_store.h"

namespace berth::daemon {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

constexpr auto kLeftoverTimeout = std::chrono::seconds(15);  // for one VM of an earlier daemon
constexpr rlim_t kWantedFiles = 65'536;                      // some ten descriptors per VM

struct Options {
  std::string state_dir = kDefaultStateDir;
  std::string socket;
  std::string group;
  std::string log_level = "info";
  int ready_fd = -1;
  int stop_timeout_s = 20;
};

int FailToStart(const Error& error) {
  spdlog::critical("berthd: {}", error.Message());
  return 1;
}

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, std::max(limit.rlim_cur, kWantedFiles));
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<std::optional<gid_t>> GroupNamed(const std::string& name) {
  if (name.empty()) return std::nullopt;
  errno = 0;
  const group* found = getgrnam(name.c_str());
  if (found == nullptr) {
    return Fail("group", errno, "no group is named '" + name + "'", "groupadd --system " + name);
  }
  return found->gr_gid;
}

// The directory of the default socket is ours to make; any other is its owner's.
void MakeSocketDir(const std::string& socket) {
  if (socket != kDefaultSocket) return;
  mkdir(std::filesystem::path(socket).parent_path().c_str(), 0755);
}

// VMs of a daemon that is gone: this release does not adopt them.
void EndLeftovers(const StateDir& state_dir) {
  for (const std::string& name : state_dir.Leftovers()) {
    const auto done = state_dir.CleanUp(name, Deadline::In(kLeftoverTimeout));
    if (done) {
      spdlog::warn("{}: left behind by an earlier berthd, which is not adopted: {}", name, *done);
    } else {
      spdlog::error("{}: left behind by an earlier berthd: {}", name, done.error().Message());
    }
  }
}

awaitable<void> UntilSignal(lifecycle::Fleet& fleet, Server& server, asio::signal_set& signals,
                            ClockWatch& clock, std::chrono::seconds grace) {
  boost::system::error_code code;
  const int signal = co_await signals.async_wait(asio::redirect_error(asio::use_awaitable, code));
  spdlog::info("berthd: SIG{}: stopping all VMs", sigabbrev_np(signal));
  server.StopListening();
  // A second signal ends the waiting for guests.
  auto hurry = std::make_shared<bool>(false);
  asio::co_spawn(
      co_await asio::this_coro::executor,
      [](lifecycle::Fleet& all, asio::signal_set& again) -> awaitable<void> {
        boost::system::error_code cancelled;
        co_await again.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
        if (cancelled) co_return;
        spdlog::warn("berthd: told again: killing all VMs");
        co_await all.Shutdown(std::chrono::milliseconds(0));
      }(fleet, signals),
      asio::detached);
  co_await fleet.Shutdown(grace);
  clock.Stop();
  signals.cancel();
  server.CloseAll();
}

int Run(const Options& options) {
  RaiseFileLimit();
  auto group = GroupNamed(options.group);
  if (!group) return FailToStart(group.error());
  auto state_dir = StateDir::Open(options.state_dir);
  if (!state_dir) return FailToStart(state_dir.error());
  const std::string socket = SocketPath(options.socket);
  MakeSocketDir(socket);
  EndLeftovers(*state_dir);

  // Everything below refers to what stands above it; coroutines that are left when the context
  // stops are destroyed with it, last.
  asio::io_context io(1);
  lifecycle::MemoryStore store;
  LogArchive logs(io.get_executor(), state_dir->path());
  RealHost host(io.get_executor(), *state_dir, logs, LibexecDir());
  lifecycle::Fleet fleet(host, store, io.get_executor());
  Service service{
      fleet, state_dir->path(), socket, MonotonicNs(), [&] { return host.Doctor(socket); }, logs};
  Server server(io.get_executor(), service, {.socket = socket, .group = *group});
  if (auto listening = server.Listen(); !listening) return FailToStart(listening.error());
  ClockWatch clock(io.get_executor(), [&] { host.ClockChanged(); });
  clock.Start();
  asio::signal_set signals(io, SIGTERM, SIGINT);
  asio::co_spawn(
      io, UntilSignal(fleet, server, signals, clock, std::chrono::seconds(options.stop_timeout_s)),
      asio::detached);
  spdlog::info("berthd {} listening on {}, state in {}; VMs and events are kept in memory only",
               wire::BuildId(), socket, state_dir->path());
  if (options.ready_fd >= 0) {
    const UniqueFd ready(options.ready_fd);
    std::ignore = WriteFull(ready.get(), "ready\n", Deadline::In(std::chrono::seconds(1)));
  }
  io.run();
  spdlog::info("berthd: done");
  return 0;
}

}  // namespace
}  // namespace berth::daemon

int main(int argc, char** argv) {
  berth::daemon::Options options;
  CLI::App app("berthd: the supervisor of this host's microVMs", "berthd");
  app.set_version_flag("--version", std::string("berthd ") + berth::wire::BuildId());
  app.add_option("--state-dir", options.state_dir, "where VMs, logs and records are kept")
      ->capture_default_str();
  app.add_option(
      "--socket", options.socket,
      std::string("the API's socket; default: $BERTH_SOCKET or ") + berth::daemon::kDefaultSocket);
  app.add_option("--group", options.group, "this group may use the socket too");
  app.add_option("--stop-timeout", options.stop_timeout_s,
                 "seconds for guests to power off when berthd is told to stop")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  app.add_option("--log-level", options.log_level)
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--ready-fd", options.ready_fd,
                 "descriptor on which \"ready\\n\" is written once the socket listens");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt("berthd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  spdlog::flush_on(spdlog::level::info);
  std::signal(SIGPIPE, SIG_IGN);
  umask(022);
  return berth::daemon::Run(options);
}
