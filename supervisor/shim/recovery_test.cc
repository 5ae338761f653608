// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::shim {
namespace {

using nlohmann::json;
using State = Recovery::State;
using testing::ElementsAre;
using testing::IsEmpty;
using std::chrono_literals::operator""s;

// Writes down what it is asked for.
class FakeActions final : public Recovery::Actions {
 public:
  uint64_t SendCommand(std::string_view command) override {
    if (!monitor_works) return 0;
    done.emplace_back(command);
    return ++last_id;
  }
  Result<> StartDevice() override {
    done.emplace_back("start");
    if (!device_starts) return Fail("spawn", ENOENT, "gone");
    return {};
  }
  void KillDevice() override { done.emplace_back("kill"); }
  void OnRecovered() override { done.emplace_back("recovered"); }
  void OnLost(std::string) override { done.emplace_back("lost"); }

  bool monitor_works = true;
  bool device_starts = true;
  uint64_t last_id = 0;
  std::vector<std::string> done;
};

class RecoveryTest : public testing::Test {
 protected:
  void Die() { recovery_.OnDeviceDied(now_); }
  void Reply(json value = json::object()) {
    recovery_.OnReply(actions_.last_id, {actions_.last_id, true, std::move(value), ""});
  }
  void ReplyConnected() {
    Reply(json::parse(R"([{"label":"vsock","filename":"unix:/v,server=on"}])"));
  }
  void ReplyDisconnected() {
    Reply(json::parse(R"([{"label":"vsock","filename":"disconnected:unix:/v,server=on"}])"));
  }
  void Event(const char* name) { recovery_.OnEvent({name, json::object()}); }
  std::vector<std::string> Done() { return std::exchange(actions_.done, {}); }
  // From the death of the device to its start anew.
  void DieAndClear() {
    Die();
    if (recovery_.state() == State::kStopping) {
      Event("STOP");
      Reply();
    }
    ReplyDisconnected();
  }
  void Connect() {
    recovery_.OnDeviceReady();
    ReplyConnected();
    ReplyConnected();
  }
  void RecoverOnce() {
    DieAndClear();
    Connect();
    Event("RESUME");
    Reply();
  }

  FakeActions actions_;
  Recovery recovery_{actions_};
  Deadline::Clock::time_point now_ = Deadline::Clock::now();
};

TEST_F(RecoveryTest, StopsRestartsWaitsAndResumes) {
  Die();
  EXPECT_THAT(Done(), ElementsAre("stop"));
  Event("STOP");
  EXPECT_FALSE(recovery_.paused_by_operator());
  Reply();
  EXPECT_THAT(Done(), ElementsAre("query-chardev"));
  ReplyConnected();  // still the dead one
  EXPECT_THAT(Done(), ElementsAre("query-chardev"));
  ReplyDisconnected();
  EXPECT_THAT(Done(), ElementsAre("start"));
  recovery_.OnDeviceReady();
  EXPECT_THAT(Done(), ElementsAre("query-chardev"));
  ReplyDisconnected();
  EXPECT_THAT(Done(), ElementsAre("query-chardev"));
  ReplyConnected();
  EXPECT_THAT(Done(), ElementsAre("query-chardev"));
  ReplyConnected();
  EXPECT_THAT(Done(), ElementsAre("cont"));
  Event("RESUME");
  Reply();
  EXPECT_THAT(Done(), ElementsAre("recovered"));
  EXPECT_EQ(recovery_.state(), State::kUp);
  EXPECT_FALSE(recovery_.deadline().has_value());
}

TEST_F(RecoveryTest, VmThatAnOperatorPausedStaysPaused) {
  Event("STOP");
  EXPECT_TRUE(recovery_.paused_by_operator());
  DieAndClear();
  EXPECT_THAT(Done(), ElementsAre("query-chardev", "start"));
  Connect();
  EXPECT_THAT(Done(), ElementsAre("query-chardev", "query-chardev", "recovered"));
  EXPECT_TRUE(recovery_.paused_by_operator());
}

TEST_F(RecoveryTest, VmResumedInTheMiddleIsStoppedOnceMore) {
  DieAndClear();
  Event("RESUME");
  Done();
  Connect();
  EXPECT_THAT(Done(), ElementsAre("query-chardev", "query-chardev", "stop", "cont"));
  Reply();
  EXPECT_THAT(Done(), ElementsAre("recovered"));
}

TEST_F(RecoveryTest, DeviceThatDiesAgainWhileStoppedIsStartedAgain) {
  DieAndClear();
  Done();
  DieAndClear();
  EXPECT_THAT(Done(), ElementsAre("query-chardev", "start"));
  Connect();
  EXPECT_THAT(Done(), ElementsAre("query-chardev", "query-chardev", "cont"));
}

TEST_F(RecoveryTest, ConnectionThatIsFoundDeadATurnLaterDoesNotCount) {
  DieAndClear();
  recovery_.OnDeviceReady();
  ReplyConnected();
  ReplyDisconnected();
  ReplyConnected();
  EXPECT_EQ(recovery_.state(), State::kConnecting);
  ReplyConnected();
  EXPECT_EQ(recovery_.state(), State::kResuming);
}

TEST_F(RecoveryTest, CrashLoopIsGivenUpAndTheVmResumed) {
  for (size_t i = 0; i < kMaxRestarts; ++i) {
    now_ += 1s;
    RecoverOnce();
    ASSERT_EQ(recovery_.state(), State::kUp);
  }
  Done();
  Die();
  EXPECT_THAT(Done(), ElementsAre("lost"));
  EXPECT_EQ(recovery_.state(), State::kLost);
  Die();
  EXPECT_THAT(Done(), IsEmpty());
}

TEST_F(RecoveryTest, CrashLoopWhileStoppedResumesTheVm) {
  for (size_t i = 0; i < kMaxRestarts; ++i) DieAndClear();
  Done();
  Die();
  EXPECT_THAT(Done(), ElementsAre("cont", "lost"));
  EXPECT_EQ(recovery_.state(), State::kLost);
}

TEST_F(RecoveryTest, DeathsFarApartAreNoCrashLoop) {
  for (size_t i = 0; i < 3 * kMaxRestarts; ++i) {
    now_ += kRestartWindow / static_cast<int>(kMaxRestarts) + 1s;
    RecoverOnce();
    ASSERT_EQ(recovery_.state(), State::kUp) << i;
  }
}

TEST_F(RecoveryTest, MonitorThatTakesNothingLosesVsock) {
  actions_.monitor_works = false;
  Die();
  EXPECT_THAT(Done(), ElementsAre("lost"));
}

TEST_F(RecoveryTest, MonitorThatDoesNotAnswerLosesVsockAndIsToldToGoOn) {
  Die();
  recovery_.OnDeadline();
  EXPECT_THAT(Done(), ElementsAre("stop", "cont", "lost"));
}

TEST_F(RecoveryTest, ConnectionThatDoesNotEndLosesVsock) {
  Die();
  Event("STOP");
  Reply();
  ReplyConnected();
  Done();
  recovery_.OnDeadline();
  EXPECT_THAT(Done(), ElementsAre("cont", "lost"));
}

TEST_F(RecoveryTest, DeviceThatIsNeverReadyIsKilledAndTriedAgain) {
  DieAndClear();
  Done();
  recovery_.OnDeadline();
  EXPECT_THAT(Done(), ElementsAre("kill"));
  EXPECT_TRUE(recovery_.deadline().has_value());
  DieAndClear();
  EXPECT_THAT(Done(), ElementsAre("query-chardev", "start"));
}

TEST_F(RecoveryTest, DeviceThatCannotBeStartedLosesVsockAndResumesTheVm) {
  actions_.device_starts = false;
  DieAndClear();
  EXPECT_THAT(Done(), ElementsAre("stop", "query-chardev", "start", "cont", "lost"));
}

TEST_F(RecoveryTest, RefusedCommandLosesVsock) {
  Die();
  recovery_.OnReply(actions_.last_id, {actions_.last_id, false, nullptr, "GenericError: no"});
  EXPECT_THAT(Done(), ElementsAre("stop", "cont", "lost"));
}

TEST_F(RecoveryTest, RepliesAndReadinessNobodyWaitsForChangeNothing) {
  recovery_.OnDeviceReady();
  recovery_.OnReply(0, {0, true, nullptr, ""});
  recovery_.OnReply(7, {7, true, nullptr, ""});
  EXPECT_THAT(Done(), IsEmpty());
  EXPECT_EQ(recovery_.state(), State::kUp);
}

TEST(IsVsockConnected, BearsWhateverTheHypervisorSays) {
  for (const char* text :
       {"7", "{}", "[]", "[7]", R"([{"label":7,"filename":8}])", R"([{"label":"vsock"}])",
        R"([{"label":"vsock","filename":7}])", R"([{"label":"qmp","filename":"unix:/q"}])"}) {
    EXPECT_FALSE(IsVsockConnected(json::parse(text))) << text;
  }
}

}  // namespace
}  // namespace berth::shim
