// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/qmp.h"

#include <array>

namespace berth::qmp {

namespace asio = boost::asio;
using nlohmann::json;

asio::awaitable<Result<std::unique_ptr<Client>>> Client::Connect(std::string path,
                                                                 Deadline deadline) {
  auto socket = co_await ConnectUnix(path, deadline);
  if (!socket) {
    co_return Fail("qmp-connect", socket.error().errnum, path,
                   "is the hypervisor of this VM running?");
  }
  std::unique_ptr<Client> client(new Client(std::move(*socket)));
  auto greeting = co_await client->NextMessage(deadline);
  if (!greeting) co_return Fail("qmp-greeting", greeting.error().errnum, path);
  const auto* hello = std::get_if<Greeting>(&*greeting);
  if (hello == nullptr) co_return Fail("qmp-greeting", EPROTO, path + " does not speak QMP");
  client->version_ = hello->version;
  auto reply = co_await client->Execute("qmp_capabilities", json::object(), deadline);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  co_return client;
}

asio::awaitable<Result<Message>> Client::NextMessage(Deadline deadline) {
  std::array<char, 4096> chunk;
  for (;;) {
    while (const auto line = lines_.Next()) {
      if (!line->empty()) co_return ParseMessage(*line);
    }
    const auto n = co_await ReadSome(socket_, chunk, deadline);
    if (!n) co_return Fail("qmp", n.error().errnum, n.error().detail);
    lines_.Append(std::string_view(chunk.data(), *n));
  }
}

asio::awaitable<Result<json>> Client::Execute(std::string command, json arguments,
                                              Deadline deadline) {
  const uint64_t id = next_id_++;
  auto sent = co_await WriteAll(socket_, EncodeCommand(command, id, arguments), deadline);
  if (!sent) co_return Fail("qmp", sent.error().errnum, command);
  for (;;) {
    auto message = co_await NextMessage(deadline);
    if (!message)
      co_return Fail("qmp", message.error().errnum, command + ": " + message.error().detail);
    if (auto* event = std::get_if<Event>(&*message)) {
      if (events_.size() == kMaxQueuedEvents) events_.pop_front();
      events_.push_back(std::move(*event));
    } else if (auto* reply = std::get_if<Reply>(&*message)) {
      // A reply to a command that was given up at its deadline may still come.
      if (reply->id && *reply->id != id) continue;
      if (!reply->ok) co_return Fail("qmp", EPROTO, command + ": " + reply->error);
      co_return std::move(reply->value);
    }
  }
}

asio::awaitable<Result<Event>> Client::NextEvent(Deadline deadline) {
  while (events_.empty()) {
    auto message = co_await NextMessage(deadline);
    if (!message) co_return std::unexpected(std::move(message.error()));
    if (auto* event = std::get_if<Event>(&*message)) co_return std::move(*event);
  }
  Event event = std::move(events_.front());
  events_.pop_front();
  co_return event;
}

}  // namespace berth::qmp
