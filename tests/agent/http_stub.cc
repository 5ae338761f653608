// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/http_stub.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "protocol/base/io.h"

namespace berth::testing {

HttpStub::HttpStub(std::string answer)
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)),
      answer_(std::move(answer)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(listener_.get(), any, length), 0);
  EXPECT_EQ(listen(listener_.get(), 16), 0);
  EXPECT_EQ(getsockname(listener_.get(), any, &length), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

HttpStub::~HttpStub() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void HttpStub::set_answer(std::string answer) {
  const std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
}

std::string HttpStub::request() {
  const std::lock_guard lock(mutex_);
  return request_;
}

void HttpStub::Serve() {
  std::vector<UniqueFd> kept;
  for (;;) {
    pollfd watched[] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    poll(watched, 2, -1);
    if (watched[1].revents != 0) return;
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::string request;
    char chunk[1024];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = read(client.get(), chunk, sizeof(chunk));
      if (n <= 0) break;
      request.append(chunk, static_cast<size_t>(n));
    }
    const std::lock_guard lock(mutex_);
    request_ = request;
    if (answer_.empty()) {
      kept.push_back(std::move(client));
      continue;
    }
    std::ignore = WriteFull(client.get(), answer_, Deadline::In(std::chrono::seconds(10)));
  }
}

}  // namespace berth::testing
