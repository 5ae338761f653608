// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/control_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

namespace berth::shim {

ControlServer::ControlServer(UniqueFd socket, Poller& poller, Listener& listener)
    : socket_(std::move(socket)), poller_(poller), listener_(listener) {}

Result<> ControlServer::Start() { return poller_.Watch(socket_.get(), Token::kListener); }

void ControlServer::OnReady(Poller::Ready ready) {
  if (ready.token == Token::kListener) return Accept();
  const size_t slot = static_cast<size_t>(ready.token) - static_cast<size_t>(Token::kFirstClient);
  if (slot >= clients_.size()) return;
  if (clients_[slot] && (ready.events & EPOLLOUT) != 0) Write(slot);
  if (clients_[slot] && (ready.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read(slot);
}

void ControlServer::Accept() {
  for (;;) {
    UniqueFd fd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    const auto free = std::ranges::find_if(clients_, [](const auto& each) { return !each; });
    if (free == clients_.end()) {
      const std::string line = Encode(RequestRefused{"too many clients"});
      [[maybe_unused]] const ssize_t n =
          send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      ++dropped_;
      continue;
    }
    const auto slot = static_cast<size_t>(free - clients_.begin());
    if (!poller_.Watch(fd.get(), TokenOf(slot))) continue;
    *free = std::make_unique<Client>();
    (*free)->fd = std::move(fd);
    Queue(slot, listener_.OnClient());
  }
}

void ControlServer::Read(size_t slot) {
  std::array<char, 1024> chunk;
  const ssize_t n = recv(clients_[slot]->fd.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return Drop(slot);
  LineBuffer& lines = clients_[slot]->lines;
  const uint64_t dropped_before = lines.dropped_lines();
  lines.Append(std::string_view(chunk.data(), static_cast<size_t>(n)));
  while (clients_[slot]) {
    const auto line = clients_[slot]->lines.Next();
    if (!line) break;
    const auto op = ParseRequest(*line);
    Queue(slot, op ? listener_.OnRequest(*op) : Encode(RequestRefused{op.error().detail}));
  }
  if (clients_[slot] && clients_[slot]->lines.dropped_lines() != dropped_before) {
    Queue(slot,
          Encode(RequestRefused{"a line over " + std::to_string(kMaxRequestBytes) + " bytes"}));
  }
}

void ControlServer::Queue(size_t slot, std::string_view bytes) {
  Client& client = *clients_[slot];
  if (client.output.size() + bytes.size() > kMaxQueuedBytes) {
    ++dropped_;
    return Drop(slot);
  }
  client.output += bytes;
  Write(slot);
}

void ControlServer::Write(size_t slot) {
  Client& client = *clients_[slot];
  while (!client.output.empty()) {
    const ssize_t n = send(client.fd.get(), client.output.data(), client.output.size(),
                           MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return Drop(slot);
    client.output.erase(0, static_cast<size_t>(n));
  }
  const bool waits = !client.output.empty();
  if (waits != client.waits_to_write) {
    client.waits_to_write = waits;
    poller_.Change(client.fd.get(), TokenOf(slot), waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

void ControlServer::Drop(size_t slot) {
  poller_.Forget(clients_[slot]->fd.get());
  clients_[slot].reset();
}

void ControlServer::Broadcast(const Event& event) {
  // Those who connected while the shim was busy are told too.
  Accept();
  const std::string line = Encode(event);
  for (size_t slot = 0; slot < clients_.size(); ++slot) {
    if (clients_[slot]) Queue(slot, line);
  }
}

void ControlServer::Flush(Deadline deadline) {
  for (;;) {
    std::vector<pollfd> waiting;
    for (size_t slot = 0; slot < clients_.size(); ++slot) {
      if (clients_[slot]) Write(slot);
      if (clients_[slot] && !clients_[slot]->output.empty()) {
        waiting.push_back({.fd = clients_[slot]->fd.get(), .events = POLLOUT, .revents = 0});
      }
    }
    if (waiting.empty() || deadline.Passed()) return;
    poll(waiting.data(), waiting.size(), deadline.PollTimeoutMs());
  }
}

}  // namespace berth::shim
