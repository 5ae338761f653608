// SPDX-License-Identifier: Apache-2.0
#include "init/agent.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "init/console.h"
#include "init/open_files.h"
#include "protocol/base/spawn.h"

namespace berth::init {
namespace {

const char* const kEnvironment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", nullptr};

}  // namespace

Result<pid_t> Agent::Start(std::span<const Phase> phases,
                           const std::function<void(int control)>& hand_over) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    return ErrnoError("agent", "control socket");
  }
  control_.Reset(pair[0]);
  const UniqueFd agents_end(pair[1]);
  // Before the agent runs, so that it finds the timeline there and never has to wait for it.
  for (const Phase& phase : phases) {
    ControlPacket packet{.kind = ControlKind::kBootPhase, .monotonic_ns = phase.monotonic_ns};
    std::strncpy(packet.name, phase.name, sizeof(packet.name) - 1);
    Send(packet);
  }
  Send({.kind = ControlKind::kBootPhasesEnd, .agent_starts = ++starts_});
  hand_over(control_.get());

  const char* const argv[] = {"berth-agent", nullptr};
  const SpawnFd fds[] = {{STDIN_FILENO, STDIN_FILENO},
                         {STDOUT_FILENO, STDOUT_FILENO},
                         {STDERR_FILENO, STDERR_FILENO},
                         {listener_.get(), kAgentListenerFd},
                         {agents_end.get(), kAgentControlFd}};
  SpawnPlan plan;
  plan.program = path_.c_str();
  plan.argv = const_cast<char* const*>(argv);
  plan.envp = const_cast<char* const*>(kEnvironment);
  plan.cwd = "/";
  plan.fds = fds;
  plan.new_session = true;
  const SpawnRlimit rlimits[] = {InheritedOpenFiles()};
  plan.rlimits = rlimits;
  auto spawned = Spawn(plan);
  if (!spawned) {
    control_.Reset();
    return Fail("agent", spawned.error().errnum,
                path_ + " (" + std::string(spawned.error().step.name()) + ")",
                "the image needs berth-agent, static and executable, at /sbin/berth-agent of the "
                "initramfs or of the root file system");
  }
  return spawned->pid;
}

void Agent::Send(const ControlPacket& packet) {
  // Best effort: a full socket loses the packet.
  if (send(control_.get(), &packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    Warn(Error{"control", errno, "packet to the agent lost", ""});
  }
}

void Agent::Tell(const ControlPacket& packet) {
  if (control_) Send(packet);
}

std::optional<ControlPacket> Agent::TakeRequest() {
  while (control_) {
    ControlPacket packet;
    const ssize_t n = recv(control_.get(), &packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return std::nullopt;
    if (n <= 0) {
      control_.Reset();
      return std::nullopt;
    }
    if (n != sizeof(packet) || packet.kind != ControlKind::kShutdown) continue;
    if (packet.mode > ShutdownMode::kHalt) continue;
    return packet;
  }
  return std::nullopt;
}

}  // namespace berth::init
