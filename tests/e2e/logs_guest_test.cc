// SPDX-License-Identifier: Apache-2.0
//
// The guest's log as the wire has it: what each source says, and that nothing is lost or repeated
// when the agent is killed. tests/e2e/images/logs-guest/init.toml is the machine.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "protocol/base/io.h"
#include "protocol/base/log_record.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/frame.h"
#include "tests/e2e/bare_vm.h"
#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

struct Line {
  uint64_t seq = 0;
  std::string source;
  int level = 0;
  int flags = 0;
  std::string text;
};

// Follows a guest's log; where the connection ends it comes again and goes on behind what it has.
class Follower {
 public:
  explicit Follower(std::string socket) : socket_(std::move(socket)) {}

  // The next line or gap; nullopt, and the test fails, where none comes until the deadline.
  std::optional<Line> Next(Deadline deadline) {
    while (!deadline.Passed()) {
      if (auto line = Cut()) return line;
      if (!fd_) Connect();
      if (!fd_) return std::nullopt;
      if (!Receive(deadline)) fd_.Reset();
    }
    ADD_FAILURE() << "no line in time; the last was " << seq_;
    return std::nullopt;
  }
  int connections() const { return connections_; }
  // All that Next has given is durable.
  void Acknowledge() const {
    v1::Envelope message;
    message.mutable_log_ack()->set_seq(seq_);
    EXPECT_TRUE(WriteFull(fd_.get(), wire::EncodeMessage(message).value(),
                          Deadline::In(std::chrono::seconds(30))));
  }

 private:
  void Connect() {
    ++connections_;
    frames_.emplace();
    bytes_.clear();
    fd_ = Converse(socket_, "CONNECT 1023\n", "OK ");
    v1::Envelope hello;
    hello.mutable_hello()->set_generation(3);
    hello.mutable_hello()->set_oldest_generation(1);
    v1::Envelope follow;
    follow.mutable_log_follow()->set_boot_id(boot_id_);
    follow.mutable_log_follow()->set_after_seq(seq_);
    // An agent that ends is told by what is read.
    [[maybe_unused]] const auto sent = WriteFull(
        fd_.get(), wire::EncodeMessage(hello).value() + wire::EncodeMessage(follow).value(),
        Deadline::In(std::chrono::seconds(30)));
  }
  bool Receive(Deadline deadline) {
    for (;;) {
      auto next = frames_->Next();
      if (!next) {
        ADD_FAILURE() << next.error().Message();
        return false;
      }
      if (*next && (*next)->kind == wire::FrameKind::kMessage) {
        const auto message = wire::DecodeMessage((*next)->payload);
        EXPECT_TRUE(message && (message->has_hello() || message->has_log_following()));
        if (message && message->has_hello()) boot_id_ = message->hello().boot_id();
        continue;
      }
      if (*next) {
        bytes_.append(reinterpret_cast<const char*>((*next)->payload.data()),
                      (*next)->payload.size());
        return true;
      }
      if (!PollFor(fd_.get(), POLLIN, deadline)) return false;
      const auto room = frames_->Prepare();
      const ssize_t n = read(fd_.get(), room.data(), room.size());
      if (n <= 0) return false;
      frames_->Commit(static_cast<size_t>(n));
    }
  }
  std::optional<Line> Cut() {
    for (;;) {
      LogRecordHeader header;
      if (bytes_.size() - used_ < sizeof(header)) break;
      std::memcpy(&header, bytes_.data() + used_, sizeof(header));
      const size_t padded = PaddedLogRecord(header.size);
      if (header.size < sizeof(header) || bytes_.size() - used_ < padded) break;
      Line line{.seq = header.seq,
                .source = names_[header.source],
                .level = header.level,
                .flags = header.flags,
                .text = bytes_.substr(used_ + sizeof(header), header.size - sizeof(header))};
      used_ += padded;
      if ((header.flags & LogFlag::kSource) != 0) {
        names_[header.source] = line.text;
        continue;
      }
      EXPECT_EQ(line.seq, seq_ + 1);
      EXPECT_EQ(header.flags & LogFlag::kGap, 0) << "lines were lost";
      seq_ = line.seq;
      return line;
    }
    bytes_.erase(0, std::exchange(used_, 0));
    return std::nullopt;
  }

  const std::string socket_;
  UniqueFd fd_;
  std::optional<wire::FrameBuffer> frames_;
  std::string bytes_;
  size_t used_ = 0;
  std::string boot_id_;
  uint64_t seq_ = 0;
  std::map<uint16_t, std::string> names_;
  int connections_ = 0;
};

Outcome InGuest(Host& host, const std::string& script) {
  return host.Berth({"exec", "vm", "--", "sh", "-c", script});
}

TEST(LogsGuest, EverySourceIsInTheLog) {
  Host host;
  host.Up("vm", "logs-guest");
  const Outcome said = InGuest(host,
                               "logger -t tester -p user.err from syslog; "
                               "echo '<5>from the kernel' >/dev/kmsg");
  EXPECT_EQ(said.code, 0) << said;
  struct Wanted {
    const char* source;
    const char* text;
    int level;
    int flags;
    bool seen = false;
  };
  Wanted wanted[] = {
      {"talker", "to stdout", 6, 0},           {"talker", "to stderr", 3, LogFlag::kStderr},
      {"talker", "anew", 6, LogFlag::kStderr}, {"syslog", "tester: from syslog", 3, 0},
      {"kmsg", "from the kernel", 5, 0},       {"kmsg", "Linux version", 5, 0},
  };
  Follower follower(host.VmDir("vm") + "/vsock.sock");
  const auto deadline = Deadline::In(std::chrono::seconds(60));
  std::string all;
  for (auto left = std::size(wanted); left > 0;) {
    const auto line = follower.Next(deadline);
    ASSERT_TRUE(line) << all;
    all += line->source + " " + std::to_string(line->level) + " " + line->text + "\n";
    for (Wanted& each : wanted) {
      if (each.seen || line->source != each.source || !line->text.contains(each.text)) continue;
      each.seen = true;
      --left;
      EXPECT_EQ(line->level, each.level) << line->text;
      EXPECT_EQ(line->flags, each.flags) << line->text;
    }
  }
  // PID 1's own, which it says of an agent that dies; and the next agent's log goes on.
  InGuest(host, "killall -9 berth-agent");
  for (bool told = false; !told;) {
    const auto line = follower.Next(deadline);
    ASSERT_TRUE(line);
    told = line->source == "init" && line->level == 4 && line->text.contains("agent") &&
           line->text.contains("SIGKILL");
  }
  EXPECT_GE(follower.connections(), 2);
}

TEST(LogsGuest, EachLineComesOnceWhileTheAgentIsKilledAgainAndAgain) {
  Host host;
  host.Up("vm", "logs-guest");
  Follower follower(host.VmDir("vm") + "/vsock.sock");
  // Whether the agent that answers is killed before it does makes no difference.
  InGuest(host, "berth-init start killer; berth-init start writer");
  const auto deadline = Deadline::In(std::chrono::seconds(60));
  int next = 1;
  bool killed = false;
  bool done = false;
  const auto begin = std::chrono::steady_clock::now();
  while (!killed || !done) {
    const auto line = follower.Next(deadline);
    ASSERT_TRUE(line) << "at " << next;
    if (line->source == "killer" && line->text == "4 kills") killed = true;
    if (line->source != "writer") continue;
    ASSERT_EQ(line->flags, 0);
    if (line->text == "done") {
      EXPECT_EQ(next, 200'001);
      done = true;
      continue;
    }
    ASSERT_EQ(line->text, std::to_string(next));
    ++next;
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  std::printf("200000 lines and 4 kills in %lld ms, %d connections\n",
              static_cast<long long>(took.count()), follower.connections());
  // One kill may come before the next agent has answered anybody.
  EXPECT_GE(follower.connections(), 3);
}

// With no berthd, which would follow too: the guest ends when one host has the last line.
TEST(LogsGuest, TheLastLinesComeBeforeTheMachineEnds) {
  BareVm vm(Image("logs-guest"), BareVm::Vsock::kNobodyListens);
  Follower follower(vm.vsock_path());
  const auto deadline = Deadline::In(std::chrono::seconds(60));
  ASSERT_TRUE(vm.qemu().WaitForOutput("the log is open", deadline)) << vm.qemu().so_far();
  std::optional<Line> line = follower.Next(deadline);
  while (line && line->text != "to stdout") line = follower.Next(deadline);
  ASSERT_TRUE(line);
  follower.Acknowledge();
  const UniqueFd call = Converse(vm.vsock_path(), "CONNECT 7000\n", "OK ");
  std::string last;
  while (last != "unfinished") {
    line = follower.Next(deadline);
    ASSERT_TRUE(line) << last;
    if (line->source != "last") continue;
    EXPECT_EQ(line->text, last.empty() ? "last line" : "unfinished");
    last = line->text;
  }
  follower.Acknowledge();
  EXPECT_EQ(vm.qemu().Wait(deadline).code, 0) << vm.qemu().so_far();
}

// In KiB, without what it shares with PID 1: the ring.
int AgentMemory(Host& host) {
  const Outcome status =
      InGuest(host, "grep RssAnon /proc/$(pidof berth-agent)/status | tr -cd 0-9");
  EXPECT_FALSE(status.out.empty()) << status;
  return atoi(status.out.c_str());
}

TEST(LogsGuest, TheAgentsMemoryDoesNotGrowWithTheLog) {
  Host host;
  host.Up("vm", "logs-guest");
  Follower follower(host.VmDir("vm") + "/vsock.sock");
  const auto deadline = Deadline::In(std::chrono::seconds(60));
  const auto read_until = [&](const std::string& source, const std::string& text) {
    for (;;) {
      const auto line = follower.Next(deadline);
      if (!line || (line->source == source && line->text == text)) return line.has_value();
    }
  };
  ASSERT_TRUE(read_until("talker", "to stdout"));
  InGuest(host, "berth-init start writer");
  ASSERT_TRUE(read_until("writer", "50000"));
  const int before = AgentMemory(host);
  ASSERT_TRUE(read_until("writer", "done"));
  const int after = AgentMemory(host);
  std::printf("RssAnon of the agent: %d KiB, %d KiB\n", before, after);
  if (!GuestIsSanitized()) EXPECT_LE(after, before + 128);
}

}  // namespace
}  // namespace berth::e2e
