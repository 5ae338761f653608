// SPDX-License-Identifier: Apache-2.0
//
// AgentRig: the real agent in a thread of the test, listening on a Unix socket where a guest has
// AF_VSOCK, and the real client that talks to it. What it executes is really executed.
#ifndef BERTH_TESTS_AGENT_AGENT_RIG_H_
#define BERTH_TESTS_AGENT_AGENT_RIG_H_

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "protocol/base/control.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/guest/exec_client.h"

namespace berth::testing {

// Long enough for a loaded machine; a test that meets it has failed.
inline constexpr std::chrono::seconds kPatience{60};

// A directory that is gone with the test.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

// A cgroup for the sessions of one agent, where this machine has cgroup2 and lets us.
class TestCgroup {
 public:
  TestCgroup();
  ~TestCgroup();
  const std::string& path() const { return path_; }  // empty: there is none

 private:
  std::string path_;
};

struct Finished {
  Result<guest::ExecOutcome> outcome = Fail("test", 0, "not run");
  std::string out;
  std::string err;

  uint32_t Code() const { return outcome && outcome->code ? *outcome->code : 999; }
  std::string Why() const { return outcome ? "" : outcome.error().Message(); }
};

v1::ExecStart Command(std::vector<std::string> argv);
inline v1::ExecStart Shell(std::string script) {
  return Command({"/bin/sh", "-c", std::move(script)});
}

// The guest's realtime clock: the agent under test must not set this machine's.
class RigClock : public agent::RealtimeClock {
 public:
  int64_t NowNs() const override;
  Result<> Set(int64_t ns) override;
  std::atomic<int64_t> offset_ns = 0;
};

class AgentRig {
 public:
  // `program` is what the agent runs for its chores; empty: the agent.
  explicit AgentRig(agent::StatsSources stats = {}, std::string program = {});
  ~AgentRig();

  UniqueFd Connect() const;
  // A connection on which Hello and ExecStart were sent.
  UniqueFd Open(const v1::ExecStart& request) const;
  // The whole session with pipes for its streams; `input` is its stdin where the request opened it.
  Finished Run(const v1::ExecStart& request, std::string_view input = {}) const;

  // PID 1's end of the control socket.
  int control() const { return control_.get(); }
  void SendControl(const ControlPacket& packet, std::span<const int> fds = {}) const;
  std::string ready_path() const { return dir_ / "vsock.sock_1022"; }
  std::string vsock_path() const { return dir_ / "vsock.sock"; }
  std::string agent_path() const { return dir_ / "agent.sock"; }
  // Where the agent looks for PID 1's service socket.
  std::string service_path() const { return dir_ / "init.sock"; }
  int CountSessionCgroups() const;
  bool has_cgroups() const { return !cgroup_.path().empty(); }
  // What the agent reads as the kernel's log: a pipe.
  std::string kernel_log_path() const { return dir_ / "kmsg"; }
  int kernel_log() const { return kernel_log_.get(); }
  // What PID 1 says to the agent.
  std::string settings_path() const { return dir_ / "agent.settings"; }
  // What the agent takes for /proc/self/mountinfo and /sys/devices/system: nothing, unless the
  // test writes it there. Nothing of this machine is ever frozen.
  std::string mountinfo_path() const { return dir_ / "mountinfo"; }
  std::string devices_path() const { return dir_ / "devices"; }
  RigClock& clock() const { return *clock_; }
  // In the agent's thread.
  int Connections();
  int Forwards();
  // What PID 1 does when nothing but the agent is left.
  void Terminate() const;
  // Waits for the agent to end by it.
  void Join();

 private:
  TempDir dir_;
  std::shared_ptr<RigClock> clock_ = std::make_shared<RigClock>();
  TestCgroup cgroup_;  // gone after the agent
  UniqueFd control_;
  UniqueFd terminate_;  // eventfd
  UniqueFd kernel_log_;
  boost::asio::io_context context_;
  std::unique_ptr<agent::Agent> agent_;
  std::thread thread_;
};

// A pipe whose ends are closed apart.
struct Pipe {
  Pipe();
  UniqueFd read;
  UniqueFd write;
};

std::string ReadAll(int fd);
// Polls `condition`, which is something that no event tells (the state of a foreign process).
bool Eventually(const std::function<bool()>& condition);
// 'R', 'S', 'Z', …; 0 where there is no such process.
char ProcessState(uint32_t pid);

}  // namespace berth::testing

#endif  // BERTH_TESTS_AGENT_AGENT_RIG_H_
