// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/loopback.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace berth::testing {

LoopbackListener ListenOnLoopback(int backlog) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(fd.get(), any, length), 0);
  EXPECT_EQ(listen(fd.get(), backlog), 0);
  EXPECT_EQ(getsockname(fd.get(), any, &length), 0);
  return {std::move(fd), ntohs(address.sin_port)};
}

}  // namespace berth::testing
