// SPDX-License-Identifier: Apache-2.0
//
// Forwards: the agent's end, with a raw host and real servers on the loopback.
#include "agent/forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "protocol/base/io.h"
#include "protocol/base/unix_address.h"
#include "protocol/wire/handshake.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/loopback.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

using ::testing::HasSubstr;

std::string Opening(const v1::Forward& forward, uint32_t generation = wire::kGeneration) {
  return RawClient::Hello(generation) +
         RawClient::Encoded([&](v1::Envelope& message) { *message.mutable_forward() = forward; });
}

v1::Forward ToPort(uint16_t port, const std::string& host = {}) {
  v1::Forward forward;
  forward.mutable_tcp()->set_host(host);
  forward.mutable_tcp()->set_port(port);
  return forward;
}

v1::Forward ToPath(const std::string& path) {
  v1::Forward forward;
  forward.set_unix_path(path);
  return forward;
}

// A listening socket of the test.
class Listener {
 public:
  Listener() : Listener(ListenOnLoopback(1024)) {}
  explicit Listener(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto address = UnixAddress("test", path).value();
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(fd_.get(), 1), 0);
  }
  uint16_t port() const { return port_; }
  UniqueFd Accept() const {
    EXPECT_TRUE(PollFor(fd_.get(), POLLIN, Deadline::In(kPatience)));
    return UniqueFd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  void Close() { fd_.Reset(); }

 private:
  explicit Listener(LoopbackListener made) : fd_(std::move(made.fd)), port_(made.port) {}

  UniqueFd fd_;
  uint16_t port_ = 0;
};

void ExpectForwarded(RawClient& client) {
  v1::Envelope message = client.ReadMessage();
  if (message.has_hello()) message = client.ReadMessage();
  EXPECT_TRUE(message.has_forwarded()) << message.failure().detail();
}

std::string ReadBytes(int fd, size_t count) {
  std::string bytes(count, 0);
  EXPECT_TRUE(ReadFull(fd, std::as_writable_bytes(std::span(bytes)), Deadline::In(kPatience)));
  return bytes;
}

TEST(ForwardTest, BytesGoBothWaysAndEachDirectionEndsByItself) {
  AgentRig rig;
  const Listener server;
  RawClient client(rig.Connect());
  client.SendBytes(Opening(ToPort(server.port())));
  ExpectForwarded(client);
  UniqueFd peer = server.Accept();
  client.SendData(wire::Stream::kStdin, "question");
  client.SendEnd(wire::Stream::kStdin);
  EXPECT_EQ(ReadAll(peer.get()), "question");
  ASSERT_TRUE(WriteFull(peer.get(), "answer", Deadline::In(kPatience)));
  client.ReadStdout("answer");
  peer.Reset();
  client.ReadEnd(wire::Stream::kStdout);
  EXPECT_FALSE(client.Read()) << "both have ended: so does the connection";
  EXPECT_TRUE(Eventually([&] { return rig.Forwards() == 0 && rig.Connections() == 0; }));
}

TEST(ForwardTest, TheGuestMayEndFirst) {
  AgentRig rig;
  const Listener server;
  RawClient client(rig.Connect());
  client.SendBytes(Opening(ToPort(server.port(), "127.0.0.1")));
  ExpectForwarded(client);
  const UniqueFd peer = server.Accept();
  ASSERT_EQ(shutdown(peer.get(), SHUT_WR), 0);
  client.ReadEnd(wire::Stream::kStdout);
  client.SendData(wire::Stream::kStdin, "late");
  client.SendEnd(wire::Stream::kStdin);
  EXPECT_EQ(ReadAll(peer.get()), "late");
}

TEST(ForwardTest, UnixSocketsAreReachedAlsoWhereTheirBacklogIsFull) {
  AgentRig rig;
  const TempDir dir;
  const Listener server(dir / "a.sock");
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(rig.Connect()));
    clients.back()->SendBytes(Opening(ToPath(dir / "a.sock")));
  }
  std::vector<UniqueFd> peers;
  for (int i = 0; i < 8; ++i) peers.push_back(server.Accept());
  for (const auto& client : clients) ExpectForwarded(*client);
}

TEST(ForwardTest, WhatCannotBeReachedIsAFailureWithItsErrno) {
  AgentRig rig;
  Listener gone;
  gone.Close();
  const TempDir dir;
  const std::pair<v1::Forward, int> cases[] = {{ToPort(gone.port()), ECONNREFUSED},
                                               {ToPath(dir / "none.sock"), ENOENT},
                                               {ToPath("relative"), EINVAL},
                                               {ToPath("/" + std::string(107, 'x')), ENAMETOOLONG},
                                               {ToPort(0), EINVAL},
                                               {ToPort(80, "example.org"), EINVAL},
                                               {ToPort(80, std::string(65, '1')), EINVAL},
                                               {v1::Forward(), EINVAL}};
  for (const auto& [forward, errnum] : cases) {
    RawClient client(rig.Connect());
    client.SendBytes(Opening(forward));
    const v1::Failure failure = client.ReadFailure();
    EXPECT_EQ(failure.step(), "forward") << failure.detail();
    EXPECT_EQ(failure.errnum(), errnum) << failure.detail();
    EXPECT_FALSE(client.Read());
  }
  EXPECT_TRUE(Eventually([&] { return rig.Forwards() == 0; }));
}

TEST(ForwardTest, AHostThatIsGoneResetsTheGuestsConnection) {
  AgentRig rig;
  const Listener server;
  RawClient client(rig.Connect());
  client.SendBytes(Opening(ToPort(server.port())));
  ExpectForwarded(client);
  const UniqueFd peer = server.Accept();
  client.SendData(wire::Stream::kStdin, "half");
  EXPECT_EQ(ReadBytes(peer.get(), 4), "half");
  client.Close();
  char c = 0;
  ASSERT_TRUE(PollFor(peer.get(), POLLIN, Deadline::In(kPatience)));
  EXPECT_LT(read(peer.get(), &c, 1), 0) << "half of it must not look like all of it";
  EXPECT_EQ(errno, ECONNRESET);
}

TEST(ForwardTest, AResetInTheGuestIsToldToTheHost) {
  AgentRig rig;
  const Listener server;
  RawClient client(rig.Connect());
  client.SendBytes(Opening(ToPort(server.port())));
  ExpectForwarded(client);
  UniqueFd peer = server.Accept();
  wire::ResetOnClose(peer.get());
  peer.Reset();
  EXPECT_EQ(client.ReadFailure().errnum(), ECONNRESET);
}

TEST(ForwardTest, AHostThatBreaksTheProtocolIsTold) {
  AgentRig rig;
  const Listener server;
  RawClient client(rig.Connect());
  client.SendBytes(Opening(ToPort(server.port())));
  ExpectForwarded(client);
  client.SendData(wire::Stream::kStderr, "x");
  EXPECT_EQ(client.ReadFailure().errnum(), EPROTO);
}

TEST(ForwardTest, OlderHostsHaveNone) {
  AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(Opening(ToPort(80), wire::kServiceGeneration));
  EXPECT_EQ(client.ReadFailure().errnum(), EPROTO);
}

TEST(ForwardTest, TakeNoPlacesOfOtherConnectionsAndAreBoundedThemselves) {
  // Both ends of both connections of each are in this process.
  const rlim_t files = 5 * agent::Agent::kMaxForwards;
  const rlimit limit{.rlim_cur = files, .rlim_max = files};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) GTEST_SKIP() << "no " << files << " descriptors";
  AgentRig rig;
  const Listener server;
  std::vector<std::unique_ptr<RawClient>> forwards;
  std::vector<UniqueFd> peers;
  for (int i = 0; i < agent::Agent::kMaxForwards; ++i) {
    forwards.push_back(std::make_unique<RawClient>(rig.Connect()));
    forwards.back()->SendBytes(Opening(ToPort(server.port())));
    ExpectForwarded(*forwards.back());
    peers.push_back(server.Accept());
  }
  EXPECT_EQ(rig.Forwards(), agent::Agent::kMaxForwards);
  EXPECT_EQ(rig.Connections(), 0);
  RawClient late(rig.Connect());
  late.SendBytes(Opening(ToPort(server.port())));
  const v1::Failure failure = late.ReadFailure();
  EXPECT_EQ(failure.errnum(), EAGAIN);
  EXPECT_THAT(failure.detail(), HasSubstr("1024"));
  EXPECT_EQ(rig.Run(Shell("echo still here")).out, "still here\n");
  // Each of them still works.
  for (size_t i = 0; i < forwards.size(); i += 100) {
    forwards[i]->SendData(wire::Stream::kStdin, "x");
    EXPECT_EQ(ReadBytes(peers[i].get(), 1), "x");
  }
}

TEST(ForwardTest, ASlowReaderHoldsUpNobodyElse) {
  AgentRig rig;
  const Listener server;
  RawClient slow(rig.Connect());
  slow.SendBytes(Opening(ToPort(server.port())));
  ExpectForwarded(slow);
  UniqueFd slow_peer = server.Accept();
  // More than all buffers on the way hold; the peer does not read.
  const std::string chunk(60'000, 'x');
  std::string frame(wire::kFrameHeaderBytes, 0);
  const auto header = wire::EncodeHeader(
      {wire::FrameKind::kData, wire::Stream::kStdin, static_cast<uint32_t>(chunk.size())});
  std::memcpy(frame.data(), header.data(), header.size());
  frame += chunk;
  size_t offset = 0;
  while (PollFor(slow.fd(), POLLOUT, Deadline::In(std::chrono::milliseconds(300)))) {
    const ssize_t n =
        send(slow.fd(), frame.data() + offset, frame.size() - offset, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) break;
    offset = (offset + static_cast<size_t>(n)) % frame.size();
  }
  RawClient quick(rig.Connect());
  quick.SendBytes(Opening(ToPort(server.port())));
  ExpectForwarded(quick);
  const UniqueFd peer = server.Accept();
  quick.SendData(wire::Stream::kStdin, "now");
  EXPECT_EQ(ReadBytes(peer.get(), 3), "now");
}

TEST(ForwardAddresses, OfWhatAForwardNames) {
  const auto text = [](const v1::Forward& forward) {
    std::string out;
    const auto addresses = agent::ForwardAddresses(forward);
    if (!addresses) return addresses.error().Message();
    for (const auto& each : *addresses) out += each.text + " ";
    return out;
  };
  EXPECT_EQ(text(ToPort(80)), "127.0.0.1:80 [::1]:80 ");
  EXPECT_EQ(text(ToPort(80, "localhost")), "127.0.0.1:80 [::1]:80 ");
  EXPECT_EQ(text(ToPort(80, "10.0.0.5")), "10.0.0.5:80 ");
  EXPECT_EQ(text(ToPort(80, "fd00::5")), "[fd00::5]:80 ");
  EXPECT_EQ(text(ToPath("/run/\x1b")), "/run/? ");
  EXPECT_THAT(text(ToPort(80, "db")), HasSubstr("names are not resolved"));
  EXPECT_THAT(text(ToPort(80, std::string("1.2.3.4\0x", 9))), HasSubstr("no address"));
}

}  // namespace
}  // namespace berth::testing
