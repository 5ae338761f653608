// SPDX-License-Identifier: Apache-2.0
//
// Logs: the guest's log. PID 1 hands over the ring and the sources, which outlive the agent; this
// takes what comes from them, and hands it to the host's followers. Runs on the agent's thread;
// nothing in it waits but for descriptors and timers.
#ifndef BERTH_AGENT_LOGS_H_
#define BERTH_AGENT_LOGS_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/control_link.h"
#include "agent/event.h"
#include "agent/log_follower.h"
#include "agent/log_pipe.h"
#include "agent/log_source.h"
#include "protocol/base/log_ring.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/channel.h"

namespace berth::agent {

class Logs {
 public:
  // `kernel_path`: /dev/kmsg, or a test's; empty: none.
  Logs(const boost::asio::any_io_executor& executor, std::string boot_id, std::string kernel_path);
  Logs(const Logs&) = delete;
  Logs& operator=(const Logs&) = delete;
  ~Logs();

  // What PID 1 sent of the log; others are not looked at.
  void Take(ControlMessage message);

  // Follows until the connection ends. `greeting` goes out in front of LogFollowing.
  boost::asio::awaitable<Result<>> Serve(std::unique_ptr<wire::Channel> channel,
                                         const v1::LogFollow& request, std::string greeting);

  // Whether a host that has heard of the guest will follow where none has yet. One that does not
  // within a while does not follow logs.
  void ExpectHost(bool expected);

  // Takes what is there to its end. Until the host has acknowledged all of it, nobody follows or is
  // expected any more, or the deadline.
  boost::asio::awaitable<void> AwaitHeard(Deadline deadline);

 private:
  struct Pump;

  void TakeRing(UniqueFd fd);
  void TakeSource(ControlMessage message);
  void Begin(std::unique_ptr<LogSource> source);
  boost::asio::awaitable<void> Run(Pump& pump);
  void MoreCame();
  void Acknowledged();
  void ArmFlush();
  void Drain();
  boost::asio::awaitable<bool> AwaitRing();

  boost::asio::any_io_executor executor_;
  const std::string boot_id_;
  const std::string kernel_path_;
  LogScratch scratch_;
  std::optional<LogRing> ring_;
  UniqueFd own_pipe_;  // the agent's own lines go into it
  std::map<uint16_t, std::unique_ptr<Pump>> pumps_;
  std::list<std::shared_ptr<LogFollower>> followers_;  // oldest first
  boost::asio::steady_timer ring_came_;                // cancelled when it has
  boost::asio::steady_timer flush_;
  bool flush_armed_ = false;
  boost::asio::steady_timer heard_;  // cancelled when there may be less to wait for
  std::optional<Deadline> host_expected_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LOGS_H_
