// SPDX-License-Identifier: Apache-2.0
#include "init/guest_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "init/open_files.h"
#include "init/service_spawn.h"
#include "protocol/base/io.h"
#include "protocol/base/log.h"
#include "protocol/base/log_ring.h"

namespace berth::init {
namespace {

using testing::IsEmpty;

struct Packet {
  ControlPacket packet;
  std::vector<UniqueFd> fds;
};

class GuestLogTest : public testing::Test {
 protected:
  GuestLogTest() {
    char name[] = "/tmp/berth-guest-log-XXXXXX";
    dir_ = mkdtemp(name);
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    inits_.Reset(pair[0]);
    agents_.Reset(pair[1]);
  }
  ~GuestLogTest() override {
    TeeLog(-1);
    std::filesystem::remove_all(dir_);
  }
  void Open(LogConfig config = {}) { log_.Open(config, OpenOwnLogPipe().value(), Path().c_str()); }
  std::string Path() const { return dir_ + "/log"; }

  // What the agent finds in its socket.
  std::vector<Packet> Received() const {
    std::vector<Packet> packets;
    for (;;) {
      Packet each;
      iovec part{&each.packet, sizeof(each.packet)};
      alignas(cmsghdr) char rights[CMSG_SPACE(sizeof(int) * kMaxControlFds)];
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = rights;
      message.msg_controllen = sizeof(rights);
      const ssize_t n = recvmsg(agents_.get(), &message, MSG_CMSG_CLOEXEC);
      if (n < 0) return packets;
      EXPECT_EQ(n, static_cast<ssize_t>(sizeof(each.packet)));
      const cmsghdr* const header = CMSG_FIRSTHDR(&message);
      for (size_t i = 0; header != nullptr && i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
           ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        each.fds.emplace_back(fd);
      }
      packets.push_back(std::move(each));
    }
  }
  static std::string ReadNow(int fd) {
    char text[4096];
    const ssize_t n = read(fd, text, sizeof(text));
    return n > 0 ? std::string(text, static_cast<size_t>(n)) : "";
  }

  std::string dir_;
  UniqueFd inits_;
  UniqueFd agents_;
  GuestLog log_;
  ServiceConfig web_ = [] {
    ServiceConfig web;
    web.name = "web";
    return web;
  }();
};

TEST_F(GuestLogTest, AnAgentThatStartsGetsAllOfIt) {
  Open();
  ASSERT_TRUE(log_.OutputOf(3, web_, -1));
  for (int life = 0; life < 2; ++life) {
    log_.SendAll(inits_.get());
    const auto packets = Received();
    ASSERT_EQ(packets.size(), 6U);
    EXPECT_EQ(packets[0].packet.kind, ControlKind::kLogRing);
    ASSERT_EQ(packets[0].fds.size(), 1U);
    EXPECT_TRUE(LogRing::Map(packets[0].fds[0].get()));
    EXPECT_EQ(packets[1].packet.kind, ControlKind::kLogSyslog);
    EXPECT_EQ(packets[2].packet.log_source, kLogSourceInit);
    EXPECT_EQ(packets[3].packet.log_source, kLogSourceAgent);
    EXPECT_EQ(packets[3].fds.size(), 3U) << "it writes to its own";
    EXPECT_EQ(packets[4].packet.log_source, kFirstLogSourceOfServices + 6);
    EXPECT_STREQ(packets[4].packet.name, "web");
    EXPECT_EQ(packets[4].packet.log_flags, 0);
    EXPECT_EQ(packets[4].fds.size(), 2U);
    EXPECT_EQ(packets[5].packet.log_source, kFirstLogSourceOfServices + 7);
    EXPECT_EQ(packets[5].packet.log_flags, LogSourceFlag::kStderr);
  }
}

TEST_F(GuestLogTest, ASourceThatComesLaterIsToldOnce) {
  Open();
  const LogOutput output = log_.OutputOf(0, web_, inits_.get()).value();
  const auto packets = Received();
  ASSERT_EQ(packets.size(), 2U);
  ASSERT_EQ(write(output.err, "oops\n", 5), 5);
  EXPECT_EQ(ReadNow(packets[1].fds[0].get()), "oops\n");
  EXPECT_EQ(ReadNow(packets[1].fds[0].get()), "") << "it does not block";
  const LogOutput again = log_.OutputOf(0, web_, inits_.get()).value();
  EXPECT_EQ(again.out, output.out);
  EXPECT_THAT(Received(), IsEmpty());
  // But for what the host's configuration changes.
  web_.block_on_full = true;
  ASSERT_TRUE(log_.OutputOf(0, web_, inits_.get()));
  const auto changed = Received();
  ASSERT_EQ(changed.size(), 2U);
  EXPECT_EQ(changed[0].packet.log_flags, LogSourceFlag::kBlock);
  EXPECT_EQ(changed[1].packet.log_flags, LogSourceFlag::kBlock | LogSourceFlag::kStderr);
}

// The agent may not read for a while, and PID 1 cannot wait: all sources of the largest guest fit.
TEST_F(GuestLogTest, TheSocketHoldsAllSources) {
  if (geteuid() != 0) GTEST_SKIP() << "SO_SNDBUFFORCE is root's";
  Open();
  RaiseOpenFiles();
  for (uint32_t i = 0; i < kMaxServices; ++i) ASSERT_TRUE(log_.OutputOf(i, web_, -1));
  log_.SendAll(inits_.get());
  EXPECT_EQ(Received().size(), 4 + 2 * kMaxServices);
}

TEST_F(GuestLogTest, AnybodyCanWriteToItsSocketAndToItsOutputOpenedAnew) {
  Open();
  struct stat info = {};
  ASSERT_EQ(stat(Path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0666U);
  const LogOutput output = log_.OutputOf(0, web_, -1).value();
  ASSERT_EQ(fstat(output.out, &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0622U);
  const UniqueFd anew(open(("/proc/self/fd/" + std::to_string(output.out)).c_str(), O_WRONLY));
  EXPECT_TRUE(anew);
}

TEST_F(GuestLogTest, LeavesASocketThatIsThereAlone) {
  const UniqueFd theirs(open(Path().c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, 0600));
  Open();
  struct stat info = {};
  ASSERT_EQ(stat(Path().c_str(), &info), 0);
  EXPECT_TRUE(S_ISREG(info.st_mode));
  log_.SendAll(inits_.get());
  EXPECT_EQ(Received().size(), 3U);
}

TEST_F(GuestLogTest, MakesNoSocketWhereTheImageSaysSo) {
  LogConfig config;
  config.syslog = false;
  Open(config);
  EXPECT_NE(access(Path().c_str(), F_OK), 0);
}

TEST_F(GuestLogTest, OwnLinesHaveTheirLevelAndNeverBlock) {
  LogPipeEnds pipe = OpenOwnLogPipe().value();
  TeeLog(pipe.write.get());
  Log(LogLevel::kWarning, "berth-init", "a\nb");
  EXPECT_EQ(ReadNow(pipe.read.get()), "<4>a?b\n");
  Log(LogLevel::kInfo, "berth-init", std::string(5000, 'x'));
  EXPECT_EQ(ReadNow(pipe.read.get()).size(), 4096U);
  // Into the console of the test, too; so few.
  ASSERT_GT(fcntl(pipe.write.get(), F_SETPIPE_SZ, 4096), 0);
  for (int i = 0; i < 3; ++i) Log(LogLevel::kInfo, "berth-init", std::string(2000, 'y'));
  TeeLog(-1);
}

TEST(SpawnServiceLog, StdoutAndStderrGoApartAndTheLimitOfFilesIsTheOldOne) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  RaiseOpenFiles();
  LogPipeEnds out = OpenLogPipe().value();
  LogPipeEnds err = OpenLogPipe().value();
  Config config;
  ServiceConfig service;
  service.name = "web";
  service.exec = "/bin/sh";
  service.args = {"-c", "ulimit -Sn; ulimit -Hn; echo wrong >&2"};
  const auto pid = SpawnService({.config = &config,
                                 .service = &service,
                                 .probe = {},
                                 .sockets = {},
                                 .notify_path = "",
                                 .log_out = out.write.get(),
                                 .log_err = err.write.get()});
  ASSERT_TRUE(pid) << pid.error().Message();
  ASSERT_EQ(waitpid(*pid, nullptr, 0), *pid);
  char text[256];
  ssize_t n = read(out.read.get(), text, sizeof(text));
  ASSERT_GT(n, 0);
  EXPECT_EQ(std::string(text, static_cast<size_t>(n)),
            std::to_string(before.rlim_cur) + "\n" + std::to_string(before.rlim_max) + "\n");
  n = read(err.read.get(), text, sizeof(text));
  ASSERT_GT(n, 0);
  EXPECT_EQ(std::string(text, static_cast<size_t>(n)), "wrong\n");
}

}  // namespace
}  // namespace berth::init
