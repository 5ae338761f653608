// SPDX-License-Identifier: Apache-2.0
//
// ReadyListener: where the guest rings the bell. It binds `<vsock.sock>_1022`, to which the vsock
// device brings the guest's connections to host port 1022, and hears Ready from each start of the
// agent.
//
// Any process in the guest may dial that port, any number of times, and say anything or nothing.
// So: a few connections at once and so many a second, a deadline and a small bound for each, the
// first good Ready wins, and the others are counted, not believed.
//
// Owns the listening socket and its path. Runs on its executor, which must be single-threaded; one
// Wait at a time.
#ifndef BERTH_SUPERVISOR_GUEST_READY_LISTENER_H_
#define BERTH_SUPERVISOR_GUEST_READY_LISTENER_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::guest {

struct ReadyReport {
  v1::Hello hello;
  v1::Ready ready;
  uint32_t generation = 0;
  int64_t received_monotonic_ns = 0;  // the host's clock
};

class ReadyListener {
 public:
  // Connections being heard at once: one more, and the oldest is closed.
  static constexpr int kMaxCallers = 8;
  // Connections taken in a second; the rest wait.
  static constexpr int kMaxCallsPerSecond = 50;

  // `vsock_socket_path` is the device's; a stale socket in our place is removed. Mode 0600.
  static Result<std::unique_ptr<ReadyListener>> Bind(boost::asio::any_io_executor executor,
                                                     const std::string& vsock_socket_path);
  ~ReadyListener();
  ReadyListener(const ReadyListener&) = delete;
  ReadyListener& operator=(const ReadyListener&) = delete;

  // The next Ready, acknowledged. ETIMEDOUT at the deadline; EPROTONOSUPPORT at once where an agent
  // speaks no common generation; ECANCELED once closed.
  boost::asio::awaitable<Result<ReadyReport>> Wait(Deadline deadline);

  // Says in each ReadyAck that a configuration follows (docs/protocol.md).
  void set_configure_follows(bool follows) { configure_follows_ = follows; }

  // Ends a pending Wait.
  void Close();

  const std::string& path() const { return path_; }

 private:
  struct Hearing;

  ReadyListener(boost::asio::posix::stream_descriptor listener, std::string path)
      : listener_(std::move(listener)), path_(std::move(path)) {}

  boost::asio::posix::stream_descriptor listener_;
  std::string path_;
  LogLimiter accepts_{kMaxCallsPerSecond - 1, std::chrono::seconds(1)};  // without a pause behind
  bool configure_follows_ = false;
};

// What is wrong with a Ready, if anything: the bounds of protocol/wire/limits.h.
Result<> CheckReady(const v1::Ready& ready);

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_READY_LISTENER_H_
