// SPDX-License-Identifier: Apache-2.0
//
// berth forward with a real guest: ports and Unix sockets, half-close, a thousand at once, and what
// is left when it ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "protocol/base/io.h"
#include "protocol/base/unix_address.h"
#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

constexpr auto kSoon = 60s;

// Bytes that differ from each other, so that lost or swapped ones show.
std::string Noise(size_t bytes) {
  std::string text(bytes, 0);
  std::mt19937 random(4711);
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

UniqueFd ConnectTcp(uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
      << port;
  return fd;
}

UniqueFd ConnectUnix(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = UnixAddress("test", path).value();
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
      << path;
  return fd;
}

// Up to the end; "<errno name>" behind it where it breaks off.
std::string ReadToEnd(int fd) {
  std::string out;
  std::string chunk(65536, 0);
  while (PollFor(fd, POLLIN, Deadline::In(kSoon))) {
    const ssize_t n = read(fd, chunk.data(), chunk.size());
    if (n == 0) return out;
    if (n < 0) return out + "<" + ErrnoName(errno) + ">";
    out.append(chunk, 0, static_cast<size_t>(n));
  }
  return out + "<silence>";
}

std::string Echo(const UniqueFd& fd, const std::string& text) {
  std::thread writer([&] {
    EXPECT_TRUE(WriteFull(fd.get(), text, Deadline::In(kSoon)));
    EXPECT_EQ(shutdown(fd.get(), SHUT_WR), 0);
  });
  std::string out = ReadToEnd(fd.get());
  writer.join();
  return out;
}

class Forward : public testing::Test {
 protected:
  // A guest with no network but its loopback, in which e2e-echo stands.
  void Up() {
    host_.Up("vm");
    std::ifstream file(GuestBinDir() + "/e2e-echo", std::ios::binary);
    const std::string program{std::istreambuf_iterator<char>(file), {}};
    const Outcome put = host_.Berth(
        {"exec", "-i", "vm", "--", "sh", "-c",
         "cat >/tmp/echo && chmod +x /tmp/echo && ip link set lo up && mkdir -p /run/e2e"},
        {.stdin_data = program});
    ASSERT_EQ(put.code, 0) << put;
  }
  // A program of the guest that has said that it is ready.
  void Start(const std::vector<std::string>& args) {
    std::vector<std::string> all{"exec", "vm", "--", "/tmp/echo"};
    all.insert(all.end(), args.begin(), args.end());
    servers_.push_back(host_.StartBerth(all));
    ASSERT_TRUE(servers_.back()->WaitForOutput("ready\n", Deadline::In(kSoon)))
        << servers_.back()->so_far();
  }
  // `berth forward` once it listens; its listening addresses.
  std::vector<std::string> Listen(std::vector<std::string> specs) {
    std::vector<std::string> args{"forward", "--json", "vm"};
    args.insert(args.end(), specs.begin(), specs.end());
    forward_ = host_.StartBerth(args);
    std::vector<std::string> out;
    EXPECT_TRUE(forward_->WaitForOutput("\n", Deadline::In(kSoon))) << forward_->so_far();
    const auto shown = nlohmann::json::parse(forward_->so_far().out, nullptr, false);
    if (!shown.is_object()) return out;
    for (const auto& each : shown["forwards"]) out.push_back(each["listen"]);
    return out;
  }
  static uint16_t PortOf(const std::string& address) {
    return static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  }
  Outcome End(int signal) {
    forward_->Signal(signal);
    return forward_->Wait(Deadline::In(kSoon));
  }

  Host host_;
  std::vector<std::unique_ptr<Process>> servers_;
  std::unique_ptr<Process> forward_;
};

TEST_F(Forward, PortsAndSocketsAreReachedFromEitherKindAndAreGoneWithIt) {
  Up();
  Start({"echo", "7000"});
  Start({"echo", "/run/e2e/echo.sock"});
  const std::string one = host_.dir() + "/one.sock";
  const std::string two = host_.dir() + "/two.sock";
  const auto at = Listen({"0:7000", "0:/run/e2e/echo.sock", one + ":/run/e2e/echo.sock",
                          two + ":127.0.0.1:7000", "0:7999"});
  ASSERT_EQ(at.size(), 5U);
  EXPECT_EQ(Echo(ConnectTcp(PortOf(at[0])), "tcp to tcp"), "tcp to tcp");
  EXPECT_EQ(Echo(ConnectTcp(PortOf(at[1])), "tcp to unix"), "tcp to unix");
  EXPECT_EQ(Echo(ConnectUnix(at[2]), "unix to unix"), "unix to unix");
  EXPECT_EQ(Echo(ConnectUnix(at[3]), "unix to tcp"), "unix to tcp");

  // What nobody listens on resets the client, and is said once.
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ReadToEnd(ConnectTcp(PortOf(at[4])).get()), "<ECONNRESET>");
  }
  // An event for each target, and not for each connection.
  EXPECT_EQ(Echo(ConnectTcp(PortOf(at[0])), "again"), "again");
  const Outcome events = host_.Berth({"events", "vm"});
  size_t recorded = 0;
  for (size_t found = 0; (found = events.out.find("forward: uid", found)) != std::string::npos;
       ++found) {
    ++recorded;
  }
  EXPECT_EQ(recorded, 4U) << events;

  const Outcome ended = End(SIGINT);
  EXPECT_EQ(ended.code, 128 + SIGINT) << ended;
  EXPECT_NE(ended.err.find("ECONNREFUSED"), std::string::npos) << ended;
  EXPECT_EQ(ended.err.find("ECONNREFUSED"), ended.err.rfind("ECONNREFUSED")) << ended;
  EXPECT_NE(ended.err.find("2 more"), std::string::npos) << ended;
  EXPECT_FALSE(std::filesystem::exists(one));
  EXPECT_FALSE(std::filesystem::exists(two));
}

TEST_F(Forward, SixtyFourMebibytesArriveAsTheyWereSent) {
  Up();
  Start({"echo", "7000"});
  const auto at = Listen({"0:7000"});
  ASSERT_EQ(at.size(), 1U);
  const std::string sent = Noise(64UL * 1024 * 1024);
  const auto begin = std::chrono::steady_clock::now();
  const std::string got = Echo(ConnectTcp(PortOf(at[0])), sent);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(got.size(), sent.size());
  EXPECT_TRUE(got == sent);
  std::cout << "64 MiB there and back: " << took.count() << " s\n";
}

TEST_F(Forward, EachDirectionEndsByItself) {
  Up();
  Start({"greet", "7000", "/tmp/kept"});
  const auto at = Listen({"0:7000"});
  ASSERT_EQ(at.size(), 1U);
  const UniqueFd client = ConnectTcp(PortOf(at[0]));
  EXPECT_EQ(ReadToEnd(client.get()), "hello\n") << "the guest ends its side first";
  ASSERT_TRUE(WriteFull(client.get(), "still heard", Deadline::In(kSoon)));
  ASSERT_EQ(shutdown(client.get(), SHUT_WR), 0);
  const auto deadline = Deadline::In(kSoon);
  std::string kept;
  while (kept != "still heard" && !deadline.Passed()) {
    kept = host_.Berth({"exec", "vm", "--", "cat", "/tmp/kept"}).out;
  }
  EXPECT_EQ(kept, "still heard");
}

TEST_F(Forward, AThousandConnectionsAtOnce) {
  constexpr size_t kCount = 1000;
  const rlimit files{.rlim_cur = 4096, .rlim_max = 4096};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  Up();
  Start({"echo", "7000"});
  const auto at = Listen({"0:7000"});
  ASSERT_EQ(at.size(), 1U);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i < kCount; ++i) {
    clients.push_back(ConnectTcp(PortOf(at[0])));
    ASSERT_TRUE(
        WriteFull(clients.back().get(), "client " + std::to_string(i) + "\n", Deadline::In(kSoon)));
  }
  for (size_t i = 0; i < kCount; ++i) {
    const std::string expected = "client " + std::to_string(i) + "\n";
    std::string got(expected.size(), 0);
    ASSERT_TRUE(
        ReadFull(clients[i].get(), std::as_writable_bytes(std::span(got)), Deadline::In(kSoon)))
        << i << "\n"
        << forward_->so_far();
    ASSERT_EQ(got, expected);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::cout << kCount << " connections open at once, each answered: " << took.count() << " s\n";
  // All of them are open still, and a session finds its place.
  EXPECT_EQ(host_.Berth({"exec", "vm", "--", "echo", "hi"}).out, "hi\n");
  EXPECT_EQ(host_.Berth({"status", "-q", "vm"}).out, "Running\n");
  for (const UniqueFd& client : clients) ASSERT_EQ(shutdown(client.get(), SHUT_WR), 0);
  for (const UniqueFd& client : clients) ASSERT_EQ(ReadToEnd(client.get()), "");
}

TEST_F(Forward, StdioIsOneConnection) {
  Up();
  Start({"echo", "/run/e2e/echo.sock"});
  const std::string sent = Noise(3UL * 1024 * 1024);
  const Outcome echoed =
      host_.Berth({"forward", "--stdio", "vm", "/run/e2e/echo.sock"}, {.stdin_data = sent});
  EXPECT_EQ(echoed.code, 0) << echoed.err;
  EXPECT_TRUE(echoed.out == sent) << echoed.out.size();
  const Outcome refused = host_.Berth({"forward", "--stdio", "vm", "7999"});
  EXPECT_EQ(refused.code, 1) << refused;
  EXPECT_NE(refused.err.find("ECONNREFUSED"), std::string::npos) << refused;
}

TEST_F(Forward, EndsWithItsVm) {
  Up();
  const std::string path = host_.dir() + "/a.sock";
  const auto at = Listen({path + ":7000"});
  ASSERT_EQ(at.size(), 1U);
  EXPECT_EQ(host_.Berth({"kill", "vm"}).code, 0);
  const Outcome ended = forward_->Wait(Deadline::In(kSoon));
  EXPECT_EQ(ended.code, 4) << ended;
  EXPECT_NE(ended.err.find("has ended"), std::string::npos) << ended;
  EXPECT_FALSE(std::filesystem::exists(path));
  const Outcome late = host_.Berth({"forward", "vm", "0:7000"});
  EXPECT_EQ(late.code, 4) << late;
}

}  // namespace
}  // namespace berth::e2e
