// SPDX-License-Identifier: Apache-2.0
//
// The kernel's log and /dev/log. A packet socket stands for /dev/kmsg: one record a read.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <time.h>

#include <boost/asio/io_context.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "agent/log_kernel.h"
#include "agent/log_syslog.h"

namespace berth::agent {
namespace {

class LogSourcesTest : public testing::Test {
 protected:
  LogSourcesTest() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    ours_.Reset(pair[0]);
    theirs_.Reset(pair[1]);
    constexpr int kOn = 1;
    EXPECT_EQ(setsockopt(theirs_.get(), SOL_SOCKET, SO_TIMESTAMPNS, &kOn, sizeof(kOn)), 0);
  }
  void Send(std::string_view text) const {
    ASSERT_EQ(send(ours_.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  UniqueFd Theirs() const { return UniqueFd(dup(theirs_.get())); }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    while (at_ < ring_.head()) {
      const LogRecordHeader header = ring_.HeaderAt(at_);
      std::vector<std::byte> bytes(PaddedLogRecord(header.size));
      ring_.Copy(at_, bytes);
      texts.push_back(std::to_string(header.level) + " " +
                      std::string(reinterpret_cast<char*>(bytes.data()) + sizeof(header),
                                  header.size - sizeof(header)));
    }
    return texts;
  }

  boost::asio::io_context context_;
  UniqueFd ring_fd_ = MakeLogRing(kMinLogRingBytes).value();
  LogRing ring_ = LogRing::Map(ring_fd_.get()).value();
  UniqueFd ours_;
  UniqueFd theirs_;
  LogScratch scratch_;
  uint64_t at_ = 0;
};

using Strings = std::vector<std::string>;

TEST_F(LogSourcesTest, TheKernelsLinesAreTakenOnceAndItsLossesSaid) {
  {
    LogKernel kernel(context_.get_executor(), Theirs());
    Send("6,0,100,-;first\n SUBSYSTEM=x\n");
    Send("30,1,200,-;second\n");
    EXPECT_EQ(kernel.Take(ring_), LogSource::Took::kNothing);
    EXPECT_EQ(Texts(), (Strings{"6 first", "6 second"}));
    Send("2,5,300,-;much later\n");
    Send("gibberish");
    kernel.Take(ring_);
    EXPECT_EQ(Texts(), (Strings{"4 3 messages of the kernel were lost: it wrote them faster than "
                                "they were read",
                                "2 much later"}));
  }
  // The next agent opens it anew and is given all from the oldest on.
  LogKernel kernel(context_.get_executor(), Theirs());
  for (const char* each : {"30,1,200,-;second\n", "2,5,300,-;much later\n", "6,6,400,-;new\n"}) {
    Send(each);
  }
  kernel.Take(ring_);
  EXPECT_EQ(Texts(), (Strings{"6 new"}));
}

TEST_F(LogSourcesTest, TheKernelsLinesHaveTheTimeAtWhichItSaidThem) {
  LogKernel kernel(context_.get_executor(), Theirs());
  const LogClock now = LogClock::Now();
  Send("6,0," + std::to_string(now.monotonic_ns / 1000 - 5'000'000) + ",-;five seconds ago\n");
  kernel.Take(ring_);
  const LogRecordHeader header = ring_.HeaderAt(ring_.tail());
  EXPECT_NEAR(static_cast<double>(now.realtime_ns - header.realtime_ns), 5e9, 1e8);
  EXPECT_NEAR(static_cast<double>(now.monotonic_ns - header.monotonic_ns), 5e9, 1e8);
}

TEST_F(LogSourcesTest, ADatagramBecomesItsLines) {
  LogSyslog syslog(context_.get_executor(), Theirs(), scratch_);
  Send("<11>Nov 21 22:01:02 app[7]: one\ntwo\n");
  Send("<11>Nov 21 22:01:02 app[7]: one\ntwo\n");
  Send("");
  EXPECT_EQ(syslog.Take(ring_), LogSource::Took::kNothing);
  EXPECT_EQ(Texts(), (Strings{"3 app[7]: one", "3 two", "3 app[7]: one", "3 two", "6 "}));
  std::string many;
  for (int i = 0; i < 300; ++i) many += "x\n";
  Send(many);
  syslog.Take(ring_);
  EXPECT_EQ(Texts().size(), 256U);
}

// Killed between the commit of a datagram's lines and its taking.
TEST_F(LogSourcesTest, ADatagramWhoseLinesAreThereIsNotTakenAgain) {
  Send("equal");
  // The clock that tells them apart may be a coarse one.
  const int64_t later = LogClock::Now().realtime_ns + 1'000'000;
  while (LogClock::Now().realtime_ns < later) {
  }
  Send("equal");
  char text[16];
  iovec part{text, sizeof(text)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ASSERT_EQ(recvmsg(theirs_.get(), &header, MSG_PEEK), 5);
  timespec time{};
  std::memcpy(&time, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(time));
  ring_.Append({.source = kLogSourceSyslog,
                .level = 6,
                .flags = 0,
                .position = static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 +
                            static_cast<uint64_t>(time.tv_nsec),
                .text = "equal"},
               LogClock::Now());
  ring_.Commit();
  LogSyslog syslog(context_.get_executor(), Theirs(), scratch_);
  EXPECT_EQ(syslog.Take(ring_), LogSource::Took::kNothing);
  EXPECT_EQ(Texts(), (Strings{"6 equal", "6 equal"})) << "one of before, one that is another";
}

}  // namespace
}  // namespace berth::agent
