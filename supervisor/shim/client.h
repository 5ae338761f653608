// SPDX-License-Identifier: Apache-2.0
//
// Client: berthd's end of a shim's control socket, as Asio coroutines. Owns the connection; runs on
// the executor it was connected on; one coroutine at a time in Next, one at a time in the others.
#ifndef BERTH_SUPERVISOR_SHIM_CLIENT_H_
#define BERTH_SUPERVISOR_SHIM_CLIENT_H_

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "supervisor/hypervisor/line_buffer.h"
#include "supervisor/hypervisor/stream_io.h"
#include "supervisor/shim/control_protocol.h"

namespace berth::shim {

class Client {
 public:
  // Step "shim-connect": ENOENT or ECONNREFUSED where no shim is there.
  static boost::asio::awaitable<Result<std::unique_ptr<Client>>> Connect(std::string path,
                                                                         Deadline deadline);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The next event, those replayed at connect included. ETIMEDOUT leaves the client as it was:
  // call again. ECONNRESET: the shim has closed; then exit.json says why, or the shim was killed.
  boost::asio::awaitable<Result<Event>> Next(Deadline deadline);

  // Ask; what comes of it arrives through Next.
  boost::asio::awaitable<Result<>> Kill(Deadline deadline);
  boost::asio::awaitable<Result<>> RequestStatus(Deadline deadline);

  // Makes a pending Next return ECANCELED. Call on the executor's thread.
  void Cancel();

 private:
  explicit Client(UnixStream socket) : socket_(std::move(socket)) {}
  boost::asio::awaitable<Result<>> Send(Op op, Deadline deadline);

  UnixStream socket_;
  LineBuffer lines_{kMaxEventBytes};
};

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_CLIENT_H_
