// SPDX-License-Identifier: Apache-2.0
//
// LogFollower: a connection on which the host follows the guest's log. What goes out is a copy: a
// slow host holds nothing but its own connection, and where the ring dropped records before they
// were sent a gap says so. Runs on the agent's thread.
#ifndef BERTH_AGENT_LOG_FOLLOWER_H_
#define BERTH_AGENT_LOG_FOLLOWER_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "protocol/base/log_ring.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/channel.h"

namespace berth::agent {

// What goes to one follower, in frames of whole records: names of sources, gaps, records.
class LogCursor {
 public:
  // Behind `after_seq`.
  LogCursor(const LogRing& ring, uint64_t after_seq)
      : ring_(ring), at_(ring.Find(after_seq)), next_seq_(after_seq + 1) {}

  // Fills `out`, which has room for kMaxLogRecordBytes, padded; 0: there is no more.
  size_t Fill(std::span<std::byte> out);

 private:
  const LogRing& ring_;
  uint64_t at_;
  uint64_t next_seq_;  // of the next record to be sent
  size_t named_ = 0;   // so many of the ring's sources were named
};

class LogFollower : public std::enable_shared_from_this<LogFollower> {
 public:
  LogFollower(std::unique_ptr<wire::Channel> channel, LogRing& ring,
              std::function<void()> acknowledged);

  // Follows until the connection ends. `opening` goes out in front.
  boost::asio::awaitable<Result<>> Run(std::string opening, uint64_t after_seq);

  void MoreCame();
  void Close();

 private:
  boost::asio::awaitable<void> Send(std::string opening, uint64_t after_seq);
  boost::asio::awaitable<Result<>> Listen();

  std::unique_ptr<wire::Channel> channel_;
  LogRing& ring_;
  const std::function<void()> acknowledged_;
  // No Event: its waiter would own the coroutine that keeps this alive.
  boost::asio::steady_timer more_;  // cancelled when there is more to send
  bool more_came_ = false;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LOG_FOLLOWER_H_
