// SPDX-License-Identifier: Apache-2.0
//
// qmp::Client: a connection to QEMU's monitor, as Asio coroutines. Owns the socket; runs on the
// executor it was connected on; one coroutine at a time.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_QMP_H_
#define BERTH_SUPERVISOR_HYPERVISOR_QMP_H_

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <memory>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "supervisor/hypervisor/line_buffer.h"
#include "supervisor/hypervisor/qmp_codec.h"
#include "supervisor/hypervisor/stream_io.h"

namespace berth::qmp {

inline constexpr size_t kMaxQueuedEvents = 64;

class Client {
 public:
  // Connects and negotiates. QEMU's monitor takes one client at a time: another one's connection
  // shows as ETIMEDOUT in step "qmp-greeting".
  static boost::asio::awaitable<Result<std::unique_ptr<Client>>> Connect(std::string path,
                                                                         Deadline deadline);

  const std::string& version() const { return version_; }

  // Sends a command and returns the value of its reply. Step "qmp": QEMU's refusal in detail, or
  // the connection's end.
  boost::asio::awaitable<Result<nlohmann::json>> Execute(std::string command,
                                                         nlohmann::json arguments,
                                                         Deadline deadline);

  // The next event, those that came while a reply was awaited first. Where more than
  // kMaxQueuedEvents came, the oldest were lost.
  boost::asio::awaitable<Result<Event>> NextEvent(Deadline deadline);

 private:
  explicit Client(UnixStream socket) : socket_(std::move(socket)) {}
  boost::asio::awaitable<Result<Message>> NextMessage(Deadline deadline);

  UnixStream socket_;
  LineBuffer lines_{kMaxLineBytes};
  std::deque<Event> events_;
  std::string version_;
  uint64_t next_id_ = 1;
};

}  // namespace berth::qmp

#endif  // BERTH_SUPERVISOR_HYPERVISOR_QMP_H_
