// SPDX-License-Identifier: Apache-2.0
//
// berth-vsock: the vsock device of one VM. Wires the parts together and runs the loop: wait, let
// handlers take what came, then work the rings once.
//
// Exits 0 when the hypervisor closes or on SIGTERM or SIGINT, 1 with one line on stderr when it
// cannot go on, 2 for a bad command line.
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/device.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/host_listener.h"
#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/muxer.h"
#include "supervisor/vsock/options.h"
#include "supervisor/vsock/pair_table.h"
#include "supervisor/vsock/unix_socket.h"
#include "supervisor/vsock/vhost_user_backend.h"

namespace berth::vsock {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

// Every connection, every client that waits, and the process's own.
constexpr rlim_t kWantedDescriptors = kMaxConnections + kMaxWaitingClients + 64;

void Say(std::string_view text) {
  [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
}

// Guest memory that its owner has shrunk behind our back, or that the host cannot provide: nothing
// that was read from it can be trusted, and nothing here can go on without it.
void OnSigbus(int) {
  Say("berth-vsock: guest-memory: EFAULT: guest memory is gone (SIGBUS)\n");
  _exit(kExitFailed);
}

void CatchSigbus() {
  struct sigaction action{};
  action.sa_handler = OnSigbus;
  sigaction(SIGBUS, &action, nullptr);
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kWantedDescriptors) return;
  limit.rlim_cur = std::min(kWantedDescriptors, limit.rlim_max);
  // Below what is wanted it still works, with fewer connections.
  setrlimit(RLIMIT_NOFILE, &limit);
}

// SIGTERM and SIGINT as an event, so that the socket file goes with us.
class StopSignal final : public EventHandler {
 public:
  Result<> Start(EventLoop* loop) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return ErrnoError("signals");
    fd_.Reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_) return ErrnoError("signals");
    BERTH_ASSIGN(watch_, loop->Add(fd_.get(), EPOLLIN, this));
    return {};
  }
  void OnEvents(uint32_t) override { raised_ = true; }
  bool raised() const { return raised_; }

 private:
  bool raised_ = false;
  UniqueFd fd_;
  Watch watch_;  // after fd_: it goes first
};

Result<> SayReady(int fd) {
  if (fd < 0) return {};
  const UniqueFd notify(fd);
  constexpr std::string_view kReady = "ready\n";
  if (write(notify.get(), kReady.data(), kReady.size()) != static_cast<ssize_t>(kReady.size())) {
    return ErrnoError("notify", "descriptor " + std::to_string(fd));
  }
  return {};
}

std::optional<TimePoint> Earlier(std::optional<TimePoint> a, std::optional<TimePoint> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

Result<> Run(const Options& options) {
  RaiseDescriptorLimit();
  uint32_t first_host_port = 0;
  if (getrandom(&first_host_port, sizeof(first_host_port), 0) != sizeof(first_host_port)) {
    return ErrnoError("random");
  }
  BERTH_ASSIGN(const std::unique_ptr<EventLoop> loop, EventLoop::Create());
  StopSignal stop;
  BERTH_TRY(stop.Start(loop.get()));
  BERTH_ASSIGN(PairTable pairs, PairTable::Map(UniqueFd(options.pairs_fd)));
  Muxer muxer(
      loop.get(), &pairs, [&](uint32_t port) { return DialHostPort(options.socket, port); },
      options.cid, first_host_port);
  Device device(&muxer);
  BERTH_ASSIGN(UniqueFd hypervisor, VhostUserBackend::Dial(options.vhost_socket));
  VhostUserBackend backend(loop.get(), &device, options.cid, std::move(hypervisor));
  BERTH_TRY(backend.Start());
  BERTH_ASSIGN(const std::unique_ptr<HostListener> listener,
               HostListener::Bind(loop.get(), options.socket,
                                  [&](UniqueFd client, uint32_t port, TimePoint now) {
                                    muxer.DialGuest(std::move(client), port, now);
                                  }));
  BERTH_TRY(SayReady(options.notify_fd));

  while (!stop.raised() && !backend.closed() && !backend.failure()) {
    auto until = Earlier(muxer.NextDeadline(), listener->NextDeadline());
    if (device.work_left()) until = TimePoint();
    BERTH_TRY(loop->Poll(until));
    const TimePoint now = std::chrono::steady_clock::now();
    muxer.Expire(now);
    listener->Expire(now);
    device.Work(now);
  }
  if (backend.failure()) return std::unexpected(*backend.failure());
  return {};
}

int Main(std::span<char* const> arguments) {
  signal(SIGPIPE, SIG_IGN);
  CatchSigbus();
  const auto options = ParseOptions(arguments);
  if (!options) {
    Say("berth-vsock: " + options.error().Message() + "\n");
    return kExitUsage;
  }
  if (options->help) {
    [[maybe_unused]] const ssize_t n = write(STDOUT_FILENO, kUsage.data(), kUsage.size());
    return 0;
  }
  if (auto run = Run(*options); !run) {
    Say("berth-vsock: " + run.error().Message() + "\n");
    return kExitFailed;
  }
  return 0;
}

}  // namespace
}  // namespace berth::vsock

int main(int argc, char** argv) {
  return berth::vsock::Main(std::span(argv, static_cast<size_t>(argc)).subspan(1));
}
