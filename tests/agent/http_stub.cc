// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/http_stub.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "protocol/base/io.h"

namespace berth::testing {

HttpStub::HttpStub(std::string answer)
    : listener_(ListenOnLoopback(16)), stop_(eventfd(0, EFD_CLOEXEC)), answer_(std::move(answer)) {
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
    pollfd watched[] = {{listener_.fd.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    poll(watched, 2, -1);
    if (watched[1].revents != 0) return;
    UniqueFd client(accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
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
