// SPDX-License-Identifier: Apache-2.0
//
// berth-agent: started by PID 1 with its listener as descriptor 3 and its control socket as 4.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstring>

#include "agent/agent.h"
#include "agent/chores.h"
#include "agent/identity.h"
#include "protocol/base/control.h"
#include "protocol/base/log.h"
#include "protocol/wire/handshake.h"

int main(int argc, char** argv) {
  if (argc >= 2 && std::strcmp(argv[1], berth::agent::kChoreFlag) == 0) {
    return berth::agent::RunChore(std::span(argv + 2, static_cast<size_t>(argc) - 2));
  }
  // First of all: PID 1 ends the agent by SIGTERM, which kills one that is not ready for it, and
  // the guest's last event with it.
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigprocmask(SIG_BLOCK, &end, nullptr);
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    const std::string line = std::string("berth-agent ") + berth::wire::BuildId() + "\n";
    return write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size()) ? 0
                                                                                               : 1;
  }
  for (const int fd : {berth::kAgentListenerFd, berth::kAgentControlFd}) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      berth::Log(berth::LogLevel::kFatal, "berth-agent",
                 "descriptor " + std::to_string(fd) +
                     " is not open: this program is started by berth-init");
      return 2;
    }
  }
  // A program that wakes the agent goes on instead of making room for it: one that is about to end
  // then ends first, and the agent sees all of that at once.
  // A kernel that refuses costs packets, nothing else. (musl's wrapper always refuses.)
  const sched_param no_priority{};
  syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &no_priority);
  // Without the descriptor the signal ends the agent at once, as it ends others.
  berth::UniqueFd terminate(signalfd(-1, &end, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!terminate) sigprocmask(SIG_UNBLOCK, &end, nullptr);
  // One thread runs it, so Asio needs no locks.
  boost::asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  berth::agent::Agent agent(context, {.listener = berth::UniqueFd(berth::kAgentListenerFd),
                                      .control = berth::UniqueFd(berth::kAgentControlFd),
                                      .host = berth::agent::HostReadyEndpoint(),
                                      .hello = berth::agent::MakeAgentHello(),
                                      .terminate = std::move(terminate)});
  agent.Start();
  context.run();
  // Only when PID 1 is done with this agent; it starts another if it wants one.
  return agent.terminated() ? 0 : 1;
}
