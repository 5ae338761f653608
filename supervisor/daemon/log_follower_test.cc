// SPDX-License-Identifier: Apache-2.0
//
// LogFollower against a scripted guest: a socket that answers as a vsock device does, and behind it
// whatever the test says.
#include "supervisor/daemon/log_follower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include "protocol/base/io.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"

namespace berth::daemon {
namespace {

namespace asio = boost::asio;
using testing::HasSubstr;

constexpr auto kPatience = std::chrono::seconds(30);
const std::string kBoot(16, 'b');

// One connection to the guest's agent, from the guest's side. Blocks.
class Guest {
 public:
  explicit Guest(int listener) {
    EXPECT_TRUE(PollFor(listener, POLLIN, Deadline::In(kPatience)));
    fd_.Reset(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    std::string line;
    for (char c = 0; c != '\n'; line += c) Read(&c, 1);
    EXPECT_EQ(line, "CONNECT 1023\n");
    Send("OK 1\n");
    EXPECT_TRUE(ReadMessage().has_hello());
    opening_ = ReadMessage().log_follow();
  }

  const v1::LogFollow& opening() const { return opening_; }
  void Send(std::string_view bytes) {
    EXPECT_TRUE(WriteFull(fd_.get(), bytes, Deadline::In(kPatience)));
  }
  void SayHello(uint32_t generation = wire::kOperatorGeneration, const std::string& boot = kBoot) {
    v1::Envelope message;
    *message.mutable_hello() = wire::MakeHello(boot, std::string(16, 'i'));
    message.mutable_hello()->set_generation(generation);
    Send(wire::EncodeMessage(message).value());
  }
  void SayFollowing(uint64_t next_seq) {
    v1::Envelope message;
    message.mutable_log_following()->set_oldest_seq(1);
    message.mutable_log_following()->set_next_seq(next_seq);
    Send(wire::EncodeMessage(message).value());
  }
  void SendData(std::string_view bytes, wire::Stream stream = wire::Stream::kStdout) {
    const auto header =
        wire::EncodeHeader({wire::FrameKind::kData, stream, static_cast<uint32_t>(bytes.size())});
    Send({reinterpret_cast<const char*>(header.data()), header.size()});
    Send(bytes);
  }
  // Reads until what the host has acknowledged reaches `seq`.
  void AwaitAck(uint64_t seq) {
    uint64_t acked = 0;
    while (acked < seq) {
      const v1::Envelope message = ReadMessage();
      ASSERT_TRUE(message.has_log_ack());
      ASSERT_GT(message.log_ack().seq(), acked);
      acked = message.log_ack().seq();
    }
    EXPECT_EQ(acked, seq);
  }
  bool IsClosed() {
    char c = 0;
    return PollFor(fd_.get(), POLLIN, Deadline::In(kPatience)) && read(fd_.get(), &c, 1) <= 0;
  }
  void Close() { fd_.Reset(); }

 private:
  void Read(void* into, size_t size) {
    const auto done =
        ReadFull(fd_.get(), {static_cast<std::byte*>(into), size}, Deadline::In(kPatience));
    if (!done) throw std::runtime_error(done.error().Message());
  }
  v1::Envelope ReadMessage() {
    wire::HeaderBytes header;
    Read(header.data(), header.size());
    std::vector<std::byte> payload(wire::DecodeHeader(header).value().length);
    Read(payload.data(), payload.size());
    return wire::DecodeMessage(payload).value();
  }

  UniqueFd fd_;
  v1::LogFollow opening_;
};

std::string Lines(uint64_t from, uint64_t to, bool name_source = true) {
  std::string records;
  if (name_source) logs::AddSource(records, 1, "web");
  for (uint64_t seq = from; seq <= to; ++seq) {
    LogRecordHeader header;
    header.source = 1;
    header.seq = seq;
    logs::AddRecord(records, header, "line " + std::to_string(seq));
  }
  return records;
}

class LogFollowerTest : public testing::Test {
 protected:
  LogFollowerTest() {
    std::filesystem::create_directories(dir_ + "/vms/vm");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, socket_.c_str());
    listener_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    spec_.name = "vm";
    logs_ = archive_.Of(spec_);
    follower_ = std::make_shared<LogFollower>(
        io_.get_executor(), LogFollower::Parts{socket_, logs_, [this](const std::string& trouble) {
                                                 kept_.push_back(trouble);
                                               }});
    thread_ = std::thread([this] { io_.run(); });
    OnLoop([&] {
      follower_->Start();
      follower_->AgentIs("a1");
    });
  }
  ~LogFollowerTest() override {
    listener_.Reset();
    OnLoop([&] {
      follower_->Finish();
      work_.reset();
    });
    thread_.join();
    std::filesystem::remove_all(dir_);
  }
  void OnLoop(const std::function<void()>& what) {
    std::promise<void> done;
    asio::post(io_, [&] {
      what();
      done.set_value();
    });
    done.get_future().get();
  }
  // Returns once the VmLogs are as `wanted` says, or fails the test.
  void Await(const std::function<bool()>& wanted) {
    std::promise<bool> done;
    asio::co_spawn(
        io_,
        [](VmLogsPtr logs, const std::function<bool()>& good) -> asio::awaitable<bool> {
          const Deadline deadline = Deadline::In(kPatience);
          while (!good() && !deadline.Passed()) co_await logs->changed().Wait(deadline);
          co_return good();
        }(logs_, wanted),
        [&](const std::exception_ptr&, bool good) { done.set_value(good); });
    EXPECT_TRUE(done.get_future().get());
  }
  std::string Kept() {
    std::promise<std::string> done;
    asio::co_spawn(
        io_,
        [](VmLogsPtr logs) -> asio::awaitable<std::string> {
          const auto page = co_await logs->Read({}, {}, {});
          std::string out;
          for (const logs::Line& line : page->lines) {
            out += std::to_string(line.boot) + ":" +
                   (line.gap ? std::to_string(line.gap->from) + "-" + std::to_string(line.gap->to)
                             : std::to_string(line.header.seq)) +
                   " ";
          }
          co_return out;
        }(logs_),
        [&](const std::exception_ptr&, std::string out) { done.set_value(std::move(out)); });
    return done.get_future().get();
  }
  Guest Accept() { return Guest(listener_.get()); }

  static std::string MakeDir() {
    char pattern[] = "/tmp/berth-logs-XXXXXX";
    return mkdtemp(pattern);
  }

  const std::string dir_ = MakeDir();
  const std::string socket_ = dir_ + "/v.sock";
  UniqueFd listener_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  LogArchive archive_{io_.get_executor(), dir_};
  VmSpec spec_;
  VmLogsPtr logs_;
  std::vector<std::string> kept_;
  std::shared_ptr<LogFollower> follower_;
  std::thread thread_;
};

TEST_F(LogFollowerTest, KeepsRecordsThenAcknowledgesAndGoesOnWhereItStood) {
  Guest first = Accept();
  EXPECT_EQ(first.opening().boot_id(), "") << "it has none yet";
  first.SayHello();
  first.SayFollowing(1);
  const std::string records = Lines(1, 3);
  first.SendData(records.substr(0, 50));
  first.SendData(records.substr(50));
  first.AwaitAck(3);
  EXPECT_EQ(Kept(), "1:1 1:2 1:3 ");
  first.SendData(Lines(4, 4, false));
  first.SendData(Lines(5, 5, false).substr(0, 44));  // and the agent dies
  first.AwaitAck(4);
  first.Close();

  Guest second = Accept();
  EXPECT_EQ(second.opening().boot_id(), kBoot);
  EXPECT_EQ(second.opening().after_seq(), 4U);
  second.SayHello();
  second.SayFollowing(6);
  second.SendData(Lines(5, 2000));
  second.AwaitAck(2000);
  second.Close();

  Guest booted = Accept();
  booted.SayHello(wire::kOperatorGeneration, std::string(16, 'c'));
  booted.SayFollowing(2);
  booted.SendData(Lines(1, 1));
  booted.AwaitAck(1);
  EXPECT_THAT(Kept(), HasSubstr("1:3 1:4 1:5 1:6 "));
}

TEST_F(LogFollowerTest, AGuestThatBreaksTheProtocolLosesItsConnectionAndWhatCameBeforeIsKept) {
  const auto breach = [&](const std::function<void(Guest&)>& how, const std::string& why) {
    Guest guest = Accept();
    guest.SayHello();
    how(guest);
    Await([&] { return logs_->trouble() && logs_->trouble()->Message().contains(why); });
    EXPECT_TRUE(guest.IsClosed()) << why;
  };
  {
    Guest guest = Accept();
    guest.SayHello();
    guest.SayFollowing(4);
    guest.SendData(Lines(1, 2) + Lines(9, 9));
    guest.AwaitAck(2);
    Await([&] { return logs_->trouble().has_value(); });
    EXPECT_TRUE(guest.IsClosed());
    EXPECT_EQ(Kept(), "1:1 1:2 ");
  }
  breach([](Guest& guest) { guest.SayFollowing(2); }, "fewer records");
  breach(
      [](Guest& guest) {
        guest.SayFollowing(3);
        guest.SendData(Lines(3, 3), wire::Stream::kStderr);
      },
      "another stream");
  breach(
      [](Guest& guest) {
        guest.SayFollowing(3);
        guest.SayFollowing(3);
      },
      "unasked");
}

TEST_F(LogFollowerTest, AnOldAgentIsToldOnceAndAskedAgainWhenItIsAnotherOne) {
  Guest old = Accept();
  old.SayHello(wire::kServiceGeneration);
  Await([&] { return logs_->trouble().has_value(); });
  OnLoop([&] {
    EXPECT_EQ(logs_->trouble()->errnum, EPROTONOSUPPORT);
    EXPECT_THAT(logs_->trouble()->Message(), HasSubstr("rebuild its image"));
    follower_->AgentIs("a2");
  });
  Guest young = Accept();
  young.SayHello();
  young.SayFollowing(1);
  Await([&] { return !logs_->trouble(); });
}

TEST_F(LogFollowerTest, WhatTheGuestSentBeforeItEndedIsReadToItsEnd) {
  Guest guest = Accept();
  guest.SayHello();
  guest.SayFollowing(1);
  guest.SendData(Lines(1, 500));
  guest.Close();
  OnLoop([&] { follower_->Finish(); });
  Await([&] { return !logs_->followed(); });
  EXPECT_THAT(Kept(), HasSubstr("1:500 "));
}

TEST_F(LogFollowerTest, AConnectionThatHangsDoesNotKeepItFromFinishing) {
  Guest guest = Accept();
  guest.SayHello();
  guest.SayFollowing(1);
  guest.SendData(Lines(1, 1));
  guest.AwaitAck(1);
  OnLoop([&] { follower_->Finish(); });
  Await([&] { return !logs_->followed(); });
  EXPECT_TRUE(guest.IsClosed());
}

TEST_F(LogFollowerTest, WhatCannotBeKeptIsSaidOnceAndTheGuestGoesOn) {
  Guest guest = Accept();
  guest.SayHello();
  guest.SayFollowing(1);
  // A file where the store's directory has to be.
  const std::string place = dir_ + "/vms/vm/logs";
  std::filesystem::create_symlink("/nonexistent/logs", place);
  guest.SendData(Lines(1, 2));
  guest.AwaitAck(2);
  guest.SendData(Lines(3, 3, false));
  guest.AwaitAck(3);
  OnLoop([&] {
    ASSERT_EQ(kept_.size(), 1U);
    EXPECT_THAT(kept_[0], HasSubstr("log-"));
  });
  std::filesystem::remove(place);
  guest.SendData(Lines(4, 4, false));
  guest.AwaitAck(4);
  EXPECT_EQ(Kept(), "1:1-3 1:4 ");
  OnLoop([&] {
    ASSERT_EQ(kept_.size(), 2U);
    EXPECT_EQ(kept_[1], "");
  });
}

}  // namespace
}  // namespace berth::daemon
