// SPDX-License-Identifier: Apache-2.0
#include "init/service_runner_fixture.h"

namespace berth::init {
namespace {

// --- Cgroups ----------------------------------------------------------------------------------

// In a cgroup that the test makes, where the machine has cgroup2 and lets it.
class ServiceRunnerCgroupTest : public ServiceRunnerTest {
 protected:
  void SetUp() override {
    for (const std::string base : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      const std::string path = base + "/berth-test-" + std::to_string(getpid());
      if (access((base + "/cgroup.procs").c_str(), F_OK) != 0) continue;
      if (mkdir(path.c_str(), 0755) != 0) continue;
      cgroup_root_ = path;
      return;
    }
    GTEST_SKIP() << "no cgroup2 that can be written";
  }
  void TearDown() override {
    if (cgroup_root_.empty()) return;
    if (runner_) {
      runner_->BeginShutdown(Deadline::Clock::now() + 5s, Deadline::Clock::now());
      EXPECT_TRUE(Until([&] { return !runner_->any_running(); }));
    }
    EXPECT_TRUE(Until([&] {
      rmdir((cgroup_root_ + "/berth/web").c_str());
      rmdir((cgroup_root_ + "/berth").c_str());
      return rmdir(cgroup_root_.c_str()) == 0;
    }));
  }

  // Starts "web" and kills it; what it forked stops on the way out, as one that the kernel holds
  // would. Its number; 0 where this machine lets nobody trace.
  pid_t EndAllButWhatItForked() {
    Begin();
    EXPECT_TRUE(Until([&] { return Out().ends_with("\n"); }));
    const pid_t forked = std::stoi(Out());
    const pid_t first = Row("web").pid;
    if (ptrace(PTRACE_SEIZE, forked, nullptr, PTRACE_O_TRACEEXIT) != 0) return 0;
    kill(first, SIGKILL);
    int status = 0;
    EXPECT_EQ(waitpid(first, &status, 0), first);
    EXPECT_TRUE(runner_->Reaped(first, status, Deadline::Clock::now()));
    EXPECT_EQ(waitpid(forked, &status, __WALL), forked);
    return forked;
  }

  static constexpr const char* kForks = "sleep 1000 & echo $!; exec sleep 1000";
};

TEST_F(ServiceRunnerCgroupTest, StartsAgainWhenTheLastOfItsOldProcessesIsGone) {
  Add("web", kForks);
  const pid_t forked = EndAllButWhatItForked();
  if (forked == 0) GTEST_SKIP() << "no right to trace";
  Turn(Deadline::In(10ms));
  EXPECT_EQ(Row("web").restarts, 0U);
  EXPECT_EQ(ptrace(PTRACE_CONT, forked, nullptr, nullptr), 0);
  EXPECT_TRUE(Until([&] { return Row("web").restarts == 1 && Row("web").pid > 0; }));
}

TEST_F(ServiceRunnerCgroupTest, OldProcessesThatStayHoldItForABoundedTimeOnly) {
  Add("web", kForks).restart.when = RestartWhen::kNever;
  const pid_t forked = EndAllButWhatItForked();
  if (forked == 0) GTEST_SKIP() << "no right to trace";
  const auto due = runner_->next_deadline();
  ASSERT_TRUE(due);
  runner_->TimePassed(*due);
  EXPECT_EQ(Row("web").state, State::kFailed);
  EXPECT_EQ(Row("web").exit_signal, SIGKILL);
  ptrace(PTRACE_CONT, forked, nullptr, nullptr);
}

TEST_F(ServiceRunnerCgroupTest, StartsInACgroupThatItsLastLifeDividedUp) {
  const std::string base = cgroup_root_.substr(0, cgroup_root_.rfind('/'));
  const auto controllers = ReadFile((base + "/cgroup.controllers").c_str(), 4096);
  if (!controllers || controllers->empty()) GTEST_SKIP() << "no controller here";
  const std::string one = controllers->substr(0, controllers->find_first_of(" \n"));
  const auto pass_on = [&](const std::string& cgroup, char on) {
    return WriteKnob((cgroup + "/cgroup.subtree_control").c_str(), on + one);
  };
  const auto before = ReadFile((base + "/cgroup.subtree_control").c_str(), 4096);
  const bool was_on = before && before->contains(one);
  const std::string web = cgroup_root_ + "/berth/web";
  if (!pass_on(base, '+')) GTEST_SKIP() << "no right to pass a controller on";
  ASSERT_TRUE(pass_on(cgroup_root_, '+'));
  std::filesystem::create_directories(web + "/a/b");
  for (const std::string& each : {cgroup_root_ + "/berth", web, web + "/a"}) {
    ASSERT_TRUE(pass_on(each, '+')) << each;
  }
  Add("web", kSleep);
  Begin();
  EXPECT_EQ(Row("web").state, State::kReady) << Row("web").detail;
  EXPECT_FALSE(std::filesystem::exists(web + "/a"));
  pass_on(cgroup_root_ + "/berth", '-');
  pass_on(cgroup_root_, '-');
  if (!was_on) pass_on(base, '-');
}

TEST_F(ServiceRunnerCgroupTest, ALimitThatCannotBeSetIsSaidOnce) {
  ServiceConfig& web = Add("web", "exit 0");
  web.limits.memory_bytes = 1 << 20;
  web.oneshot = true;
  testing::internal::CaptureStderr();
  // Before the runner's own: of a cgroup whose parent passes nothing on.
  ServiceCgroups cgroups;
  cgroups.Open(cgroup_root_, Config{});
  EXPECT_TRUE(cgroups.Prepare(web));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("berth/web/memory.max"));
  testing::internal::CaptureStderr();
  EXPECT_TRUE(cgroups.Prepare(web));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace berth::init
