// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/client.h"

#include <array>

namespace berth::shim {

namespace asio = boost::asio;

asio::awaitable<Result<std::unique_ptr<Client>>> Client::Connect(std::string path,
                                                                 Deadline deadline) {
  auto socket = co_await ConnectUnix(path, deadline);
  if (!socket) {
    co_return Fail("shim-connect", socket.error().errnum, path, "the VM's shim is not running");
  }
  co_return std::unique_ptr<Client>(new Client(std::move(*socket)));
}

asio::awaitable<Result<Event>> Client::Next(Deadline deadline) {
  std::array<char, 4096> chunk;
  for (;;) {
    if (const auto line = lines_.Next()) co_return ParseEvent(*line);
    const auto n = co_await ReadSome(socket_, chunk, deadline);
    if (!n) co_return Fail("shim-event", n.error().errnum, n.error().detail);
    lines_.Append(std::string_view(chunk.data(), *n));
  }
}

asio::awaitable<Result<>> Client::Send(Op op, Deadline deadline) {
  auto sent = co_await WriteAll(socket_, Encode(op), deadline);
  if (!sent) co_return Fail("shim-request", sent.error().errnum, sent.error().detail);
  co_return Result<>();
}

asio::awaitable<Result<>> Client::Kill(Deadline deadline) { return Send(Op::kKill, deadline); }

asio::awaitable<Result<>> Client::RequestStatus(Deadline deadline) {
  return Send(Op::kStatus, deadline);
}

void Client::Cancel() {
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace berth::shim
