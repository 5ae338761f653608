// SPDX-License-Identifier: Apache-2.0
//
// berth-shim --launch PATH: launches one VM and stays its parent. The listening control socket is
// descriptor 3; stderr is its log. Exits 0 once the VM has ended and its exit record is on disk, 1
// where the record could not be written, 2 where it was not started as it must be.
#include <signal.h>
#include <sys/signalfd.h>

#include <cstdio>
#include <string_view>

#include "protocol/base/io.h"
#include "protocol/base/log.h"
#include "supervisor/hypervisor/launch_spec.h"
#include "supervisor/shim/shim.h"
#include "supervisor/shim/start.h"

namespace {

constexpr std::string_view kProgram = "berth-shim";

int Refuse(const berth::Error& error) {
  berth::Log(berth::LogLevel::kFatal, kProgram, error.Message());
  return 2;
}

berth::Result<berth::UniqueFd> TakeSignals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  if (sigprocmask(SIG_BLOCK, &ending, nullptr) != 0) return berth::ErrnoError("signals");
  berth::UniqueFd fd(signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return berth::ErrnoError("signals");
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || std::string_view(argv[1]) != "--launch") {
    std::fputs(
        "usage: berth-shim --launch PATH   (started by berthd; descriptor 3 is its socket)\n",
        stderr);
    return 2;
  }
  berth::UniqueFd listener(berth::shim::kListenerFd);
  if (auto made = berth::SetNonBlocking(listener.get(), true); !made) {
    return Refuse({"control-socket", made.error().errnum, "descriptor 3", "berthd starts shims"});
  }
  auto text = berth::ReadFile(argv[2], berth::kMaxLaunchJsonBytes);
  if (!text) return Refuse(text.error());
  auto launch = berth::ParseLaunchSpec(*text);
  if (!launch) return Refuse(launch.error());
  auto signals = TakeSignals();
  if (!signals) return Refuse(signals.error());
  auto poller = berth::shim::Poller::Create();
  if (!poller) return Refuse(poller.error());
  text->clear();
  berth::shim::Shim shim(std::move(*launch), std::move(*poller), std::move(listener),
                         std::move(*signals));
  return shim.Run() ? 0 : 1;
}
