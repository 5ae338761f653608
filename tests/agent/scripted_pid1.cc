// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/scripted_pid1.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "supervisor/guest/dial.h"
#include "tests/agent/agent_rig.h"

namespace berth::testing {

ScriptedPid1::ScriptedPid1(const std::string& path, Script script)
    : path_(path),
      listener_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)),
      script_(std::move(script)) {
  const auto endpoint = guest::UnixEndpoint(path).value();
  EXPECT_EQ(bind(listener_.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
  EXPECT_EQ(listen(listener_.get(), 16), 0);
  thread_ = std::thread([this] { Serve(); });
}

ScriptedPid1::~ScriptedPid1() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
  unlink(path_.c_str());
}

void ScriptedPid1::Serve() {
  for (;;) {
    pollfd watched[] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    poll(watched, 2, -1);
    if (watched[1].revents != 0) return;
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::string packet(sizeof(ServiceRequest) + kMaxConfigureBytes + 1, '\0');
    const ssize_t n = recv(client.get(), packet.data(), packet.size(), 0);
    if (n < static_cast<ssize_t>(sizeof(ServiceRequest))) continue;
    Asked asked;
    std::memcpy(&asked.request, packet.data(), sizeof(ServiceRequest));
    asked.text =
        packet.substr(sizeof(ServiceRequest), static_cast<size_t>(n) - sizeof(ServiceRequest));
    EXPECT_EQ(asked.text.size(), asked.request.text_bytes);
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(asked);
    }
    came_.notify_all();
    script_(asked, client);
  }
}

Asked ScriptedPid1::Next() {
  std::unique_lock lock(mutex_);
  if (!came_.wait_for(lock, kPatience, [this] { return !asked_.empty(); })) {
    ADD_FAILURE() << "PID 1 was not asked";
    return {};
  }
  Asked asked = std::move(asked_.front());
  asked_.pop_front();
  return asked;
}

void ScriptedPid1::Send(const UniqueFd& fd, const ServiceRow& row) {
  EXPECT_EQ(send(fd.get(), &row, sizeof(row), MSG_NOSIGNAL), static_cast<ssize_t>(sizeof(row)));
}

void ScriptedPid1::Send(const UniqueFd& fd, int errnum, const std::string& message) {
  ServiceAnswer answer{.errnum = errnum};
  message.copy(answer.message, sizeof(answer.message));
  send(fd.get(), &answer, sizeof(answer), MSG_NOSIGNAL);
}

ServiceRow Row(const std::string& name) {
  ServiceRow row;
  name.copy(row.name, sizeof(row.name) - 1);
  return row;
}

}  // namespace berth::testing
