// SPDX-License-Identifier: Apache-2.0
//
// Health: the checks of this guest, each in a coroutine of its own, so that none delays another.
// They come from init.toml (PID 1's agent.settings) and from the host; where both have a name, the
// host's counts. Runs on the agent's thread.
//
// When the state of any of them changes the host is rung for, once: it asks for the list then, and
// that arms the bell again. So a host that does not ask, or is too old to, hears of one change.
#ifndef BERTH_AGENT_HEALTH_H_
#define BERTH_AGENT_HEALTH_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/exec_child.h"
#include "protocol/base/agent_settings.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

class Health {
 public:
  struct Options {
    const ExecDefaults& defaults;
    std::string program;      // the agent itself
    std::string cgroup_root;  // of cgroup2; where it is not one, there are no cgroups
  };
  Health(boost::asio::any_io_executor executor, Options options, std::function<void()> ring);
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  // In place of the earlier ones of that source. A check that stays as it is goes on.
  void SetGuestChecks(std::vector<HealthCheck> checks);
  void SetHostChecks(std::vector<HealthCheck> checks);
  // Something changed: the host hears of it where it has asked since it last did.
  void Ring();
  // Before the list is made that the host asks for.
  void Arm() { armed_ = true; }
  void AddTo(v1::HealthReply& reply) const;

 private:
  struct Watch;

  void Apply();
  boost::asio::awaitable<void> Run(std::shared_ptr<Watch> watch);
  // Empty where there is no cgroup2, or none can be made.
  std::string CgroupOf(const std::string& name) const;

  boost::asio::any_io_executor executor_;
  const Options options_;
  std::function<void()> ring_;
  std::string cgroups_;  // the folder of all checks'
  std::vector<HealthCheck> guest_checks_;
  std::vector<HealthCheck> host_checks_;
  std::map<std::string, std::shared_ptr<Watch>> watches_;
  bool armed_ = false;
};

// The host's checks; EINVAL where one of them is none, E2BIG where there are too many.
Result<std::vector<HealthCheck>> ToChecks(const v1::HealthConfigure& configure);

}  // namespace berth::agent

#endif  // BERTH_AGENT_HEALTH_H_
