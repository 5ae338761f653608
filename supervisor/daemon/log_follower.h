// SPDX-License-Identifier: Apache-2.0
//
// LogFollower: brings the log records of one boot of a VM from its guest into its store, over a
// connection of its own (docs/protocol.md, Logs):
//
//   host   Hello, LogFollow{boot id and last number of the store}
//   guest  Hello, LogFollowing, records as data of stream 1
//   host   LogAck, once what it names is durable
//
// It dials when the agent has said Ready, again when the connection breaks, and at once when
// another agent is there. A guest that breaks the protocol loses its connection, costs a log line
// now and then, and is tried again more and more slowly. Never more than one batch is held in
// memory: while the disk is busy nothing is read, and the guest's ring is what grows. One thread.
#ifndef BERTH_SUPERVISOR_DAEMON_LOG_FOLLOWER_H_
#define BERTH_SUPERVISOR_DAEMON_LOG_FOLLOWER_H_

#include <functional>
#include <memory>
#include <string>

#include "protocol/base/log.h"
#include "protocol/wire/channel.h"
#include "supervisor/daemon/log_archive.h"
#include "supervisor/logs/record_cutter.h"

namespace berth::daemon {

class LogFollower : public std::enable_shared_from_this<LogFollower> {
 public:
  struct Parts {
    std::string vsock_socket;
    VmLogsPtr logs;
    // Why records cannot be kept on this host at present; empty: they can again.
    std::function<void(const std::string& trouble)> kept;
  };
  LogFollower(boost::asio::any_io_executor executor, Parts parts);
  LogFollower(const LogFollower&) = delete;
  LogFollower& operator=(const LogFollower&) = delete;

  // Spawns its coroutine, which keeps it alive until it has finished.
  void Start();
  // An agent of this instance id is up.
  void AgentIs(const std::string& instance_id);
  // The guest is gone or goes: what it has sent is read to its end, for kDrain at most. May be
  // called again.
  void Finish();

 private:
  using Self = std::shared_ptr<LogFollower>;
  static boost::asio::awaitable<void> Run(Self self);
  static boost::asio::awaitable<void> CloseLater(Self self);
  // Until the connection breaks; returns why it broke.
  boost::asio::awaitable<Error> Hold();
  struct Opened {
    logs::BootId boot_id{};
    logs::RecordCutter cutter;
    uint64_t acked = 0;
    bool deaf = false;  // the guest has closed: what it sent may still be read
  };
  boost::asio::awaitable<Result<Opened>> Open(wire::Channel& channel);
  boost::asio::awaitable<Error> Follow(wire::Channel& channel, Opened opened);
  boost::asio::awaitable<Result<>> Flush(wire::Channel& channel, Opened& opened,
                                         std::string records);

  boost::asio::any_io_executor executor_;
  const Parts parts_;
  lifecycle::Notifier woken_;
  LogLimiter breaches_;
  std::string agent_;                       // instance id of the latest; empty: none yet
  std::shared_ptr<wire::Channel> channel_;  // while there is one
  bool up_ = false;                         // the connection came to records
  bool dropping_ = false;                   // the last batch could not be kept
  bool finishing_ = false;
  bool finished_ = false;
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_LOG_FOLLOWER_H_
