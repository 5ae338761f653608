// SPDX-License-Identifier: Apache-2.0
//
// Freezer: holds all writes to the guest's file systems on block devices, so that the host can copy
// their disks, and lets them go on: when it is asked to, and by itself when the time is over. The
// ioctls are a child's (agent/chores.h), for FIFREEZE waits for what is being written. Runs on the
// agent's thread.
//
// Nothing of the agent writes to a file system meanwhile, for its thread would wait with the write
// and could thaw nothing: its log is the console, and the Agent lets no copy in.
#ifndef BERTH_AGENT_FREEZER_H_
#define BERTH_AGENT_FREEZER_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/child_run.h"
#include "agent/exec_child.h"
#include "protocol/base/clock.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

class Freezer {
 public:
  struct Options {
    const ExecDefaults& defaults;
    std::string program;    // the agent itself
    std::string mountinfo;  // /proc/self/mountinfo
  };
  // `thawed`: how many the time thawed.
  Freezer(boost::asio::any_io_executor executor, Options options,
          std::function<void(uint32_t)> thawed);
  Freezer(const Freezer&) = delete;
  Freezer& operator=(const Freezer&) = delete;

  // EALREADY where something is frozen or about to be; EINVAL: an impossible timeout.
  boost::asio::awaitable<Result<v1::FreezeReply>> Freeze(uint64_t timeout_ms);
  // How many were frozen. EBUSY while a freeze or a thaw is on its way; EAGAIN where some may be
  // frozen still: that is tried again and again.
  boost::asio::awaitable<Result<uint32_t>> Thaw();
  // Something is frozen, or about to be.
  bool holds_writes() const { return busy_ || !frozen_.empty(); }
  // Thaws whatever an agent before this one left frozen: all that could be. Until then it counts as
  // frozen.
  void ThawLeftovers();

 private:
  boost::asio::awaitable<Result<std::string>> RunChild(Step chore,
                                                       const std::vector<std::string>& paths,
                                                       Deadline deadline);
  boost::asio::awaitable<void> ThawInTime(uint64_t epoch);
  void ThawAfter(std::chrono::milliseconds time);
  boost::asio::awaitable<void> ThawOfAnother();

  boost::asio::any_io_executor executor_;
  const Options options_;
  std::function<void(uint32_t)> thawed_;
  boost::asio::steady_timer timer_;
  std::vector<std::string> frozen_;      // or may be
  std::shared_ptr<ChildRun> straggler_;  // a freeze that was given up, and may come yet
  LogLimiter complaints_;
  bool busy_ = false;
  uint64_t epoch_ = 0;  // which freeze the timer stands for
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_FREEZER_H_
