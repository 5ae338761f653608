// SPDX-License-Identifier: Apache-2.0
//
// One run of a health check: what it came to, and never later than its deadline. Runs on the
// agent's thread; the waits are coroutines', what could block in a system call (a file of a dead
// server) is a child's.
#ifndef BERTH_AGENT_HEALTH_PROBE_H_
#define BERTH_AGENT_HEALTH_PROBE_H_

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "agent/child_run.h"
#include "protocol/base/agent_settings.h"
#include "protocol/base/clock.h"

namespace berth::agent {

struct ProbeResult {
  bool success = false;
  std::string text;    // for people: "status 503", "exit code 1"
  std::string output;  // the end of what the program printed, the beginning of the body
  // Killed at the deadline and not yet gone: the next run waits for it, nothing else does.
  std::shared_ptr<ChildRun> left;
};

struct ProbePlace {
  const ExecDefaults& defaults;
  std::string program;  // the agent itself, for its chores
  std::string cgroup;   // for an exec check; empty: none
};

// `abort`, while it runs, ends it early.
boost::asio::awaitable<ProbeResult> RunProbe(boost::asio::any_io_executor executor,
                                             const HealthCheck& check, ProbePlace place,
                                             Deadline deadline, std::function<void()>& abort);

}  // namespace berth::agent

#endif  // BERTH_AGENT_HEALTH_PROBE_H_
