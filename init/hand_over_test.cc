// SPDX-License-Identifier: Apache-2.0
#include "init/hand_over.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "protocol/base/io.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

using testing::HasSubstr;

TEST(HandOver, GivesTheProgramABlockingConsoleAndNoBlockedSignal) {
  char name[] = "/tmp/berth-hand-over-XXXXXX";
  const std::string dir = mkdtemp(name);
  const std::string program = dir + "/init";
  const std::string console = dir + "/console";
  std::ofstream(program) << "#!/bin/sh\n"
                            "exec grep -h -e SigBlk -e SigIgn -e flags /proc/self/status "
                            "/proc/self/fdinfo/0 /proc/self/fdinfo/1 /proc/self/fdinfo/2\n";
  ASSERT_EQ(chmod(program.c_str(), 0755), 0);
  const UniqueFd there(open(console.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const pid_t child = fork();
  if (child == 0) {
    // As PID 1 stands when it gets there.
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    const int null = open("/dev/null", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    for (int fd = 0; fd <= 2; ++fd) dup2(null, fd);
    _exit(HandOver(program, console.c_str()).errnum);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  const auto said = ReadFile(console.c_str(), 4096);
  ASSERT_TRUE(said) << said.error().Message();
  EXPECT_THAT(*said, HasSubstr("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
  std::istringstream words(*said);
  int flags_seen = 0;
  for (std::string word; words >> word;) {
    if (word != "flags:" || !(words >> word)) continue;
    ++flags_seen;
    EXPECT_EQ(std::stoi(word, nullptr, 8) & O_NONBLOCK, 0) << *said;
  }
  EXPECT_EQ(flags_seen, 3) << *said;
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace berth::init
