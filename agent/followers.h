// SPDX-License-Identifier: Apache-2.0
//
// Followers: the connections on which the host follows this guest, and the events that none of them
// has acknowledged yet. An event goes to all that follow and to each that comes later, until one
// says that it was heard. Runs on the agent's thread.
//
// All that is written here is small. A host that does not take it at once does not read: its
// connection is closed, and it hears the event on its next one. So nothing is queued for a slow
// reader, and no frame stands in the middle of another.
#ifndef BERTH_AGENT_FOLLOWERS_H_
#define BERTH_AGENT_FOLLOWERS_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/channel.h"

namespace berth::agent {

class Followers {
 public:
  explicit Followers(const boost::asio::any_io_executor& executor);

  // Follows until the connection ends. `greeting` goes out in front of Following.
  boost::asio::awaitable<Result<>> Serve(wire::Channel& channel, std::string greeting);

  // Numbers and sends it. One that is of the same kind and unheard still is forgotten; of kills for
  // want of memory that many are kept, and one that tells more of them a minute than a host hears
  // (kMaxOomEvents) is only counted by the next.
  void Publish(v1::GuestEvent event);

  // Whether a host will follow where none does yet. One is expected until set otherwise: a guest
  // may end before its host had the time to come.
  void ExpectHost(bool expected);

  // Until every event was heard, no host follows or is expected any more, or the deadline.
  boost::asio::awaitable<void> AwaitHeard(Deadline deadline);

 private:
  // Makes room for one more. False: it is not to be told.
  bool ForgetOldOomKills(v1::OomKill& kill);
  // True where all of it went out; else the channel is closed.
  static bool SendNow(wire::Channel& channel, const std::string& bytes);
  boost::asio::awaitable<Result<>> Listen(wire::Channel& channel);

  boost::asio::steady_timer heard_;     // cancelled when there is less to wait for
  std::list<wire::Channel*> channels_;  // oldest first
  std::list<v1::GuestEvent> unheard_;   // at most one of a kind, but for OOM kills
  LogLimiter oom_kills_;
  uint64_t last_seq_ = 0;
  bool host_expected_ = true;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_FOLLOWERS_H_
