// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/monitor.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace berth::shim {

bool Monitor::OnReadable() {
  if (!fd_) return false;
  std::array<char, 4096> chunk;
  const ssize_t n = recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  lines_.Append(std::string_view(chunk.data(), static_cast<size_t>(n)));
  while (const auto line = lines_.Next()) {
    if (line->empty()) continue;
    if (const auto message = qmp::ParseMessage(*line)) {
      Handle(*message);
    } else {
      ++bad_lines_;
    }
  }
  return true;
}

void Monitor::Handle(const qmp::Message& message) {
  if (std::holds_alternative<qmp::Greeting>(message)) {
    if (negotiation_id_ == 0) negotiation_id_ = Send("qmp_capabilities");
  } else if (const auto* event = std::get_if<qmp::Event>(&message)) {
    listener_.OnMonitorEvent(*event);
  } else if (const auto* reply = std::get_if<qmp::Reply>(&message)) {
    if (!reply->id) return;
    if (*reply->id != negotiation_id_) return listener_.OnMonitorReply(*reply->id, *reply);
    if (!reply->ok || ready_) return;
    ready_ = true;
    listener_.OnMonitorReady();
  }
}

uint64_t Monitor::Send(std::string_view command) {
  if (!fd_) return 0;
  const uint64_t id = next_id_++;
  const std::string line = qmp::EncodeCommand(command, id);
  // The few commands there ever are fit a socket's buffer many times over.
  const ssize_t n = send(fd_.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return n == static_cast<ssize_t>(line.size()) ? id : 0;
}

}  // namespace berth::shim
