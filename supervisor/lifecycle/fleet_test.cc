// SPDX-License-Identifier: Apache-2.0
//
// The flows over the state machine, against a scripted host: every way a VM can come up, go down,
// and fail to.
#include "supervisor/lifecycle/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "supervisor/lifecycle/fake_host.h"
#include "supervisor/lifecycle/memory_store.h"

namespace berth::lifecycle {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

// A store whose commits can be made to fail.
class FailingStore : public MemoryStore {
 public:
  Result<uint64_t> Commit(Entry entry, const StoredVm* vm) override {
    if (fail > 0 && entry.kind == EntryKind::kTransition) {
      --fail;
      return Fail("record", ENOSPC, "the disk is full");
    }
    return MemoryStore::Commit(std::move(entry), vm);
  }
  int fail = 0;
};

class FleetTest : public testing::Test {
 protected:
  ~FleetTest() override {
    Go(fleet_.Shutdown(milliseconds(0)));
    work_.reset();
    io_.run();
    for (const auto& [name, vm] : fleet_.vms()) EXPECT_FALSE(vm->driven) << name;
    EXPECT_LE(FakeInstance::alive, left_over_) << "an instance outlives the fleet";
  }

  VmSpec Spec(std::string name = "vm") {
    VmSpec spec;
    spec.name = std::move(name);
    spec.image = "/image";
    spec.timeouts = {milliseconds(50), milliseconds(50), milliseconds(50), milliseconds(50)};
    return spec;
  }

  // Starts `call` and runs the executor until nothing is left to do at once; `out` is set once the
  // call has come back.
  template <typename T>
  std::shared_ptr<std::optional<T>> Begin(asio::awaitable<T> call) {
    auto out = std::make_shared<std::optional<T>>();
    asio::co_spawn(
        io_,
        [](asio::awaitable<T> inner,
           std::shared_ptr<std::optional<T>> slot) -> asio::awaitable<void> {
          slot->emplace(co_await std::move(inner));
        }(std::move(call), out),
        asio::detached);
    Poll();
    return out;
  }
  void Go(asio::awaitable<void> call) {
    bool done = false;
    asio::co_spawn(io_, std::move(call), [&done](const std::exception_ptr&) { done = true; });
    while (!done) io_.run_one();
  }
  template <typename T>
  T Call(asio::awaitable<T> call) {
    auto out = Begin(std::move(call));
    while (!*out) io_.run_one();
    return **out;
  }
  void Poll() {
    while (io_.poll() != 0) {
    }
  }
  void Create(const std::string& name = "vm") {
    ASSERT_TRUE(fleet_.Create(Spec(name), "test")) << name;
  }
  void Up(const std::string& name = "vm") {
    Create(name);
    ASSERT_TRUE(Call(fleet_.Start(name, "test")));
  }
  State StateOf(const std::string& name = "vm") { return fleet_.vms().at(name)->state(); }
  Vm& TheVm() { return *fleet_.vms().at("vm"); }
  std::shared_ptr<FakeInstance> Instance(const std::string& name = "vm") {
    return host_.instances.at(name).lock();
  }
  std::vector<std::string> Path() {
    std::vector<std::string> path;
    for (const Transition& each : TheVm().ring()) path.emplace_back(Name(each.to));
    return path;
  }
  std::string Log() {
    std::string text;
    for (const Entry& entry : fleet_.journal().Read(0, 1000).value().entries) {
      text += std::string(Name(entry.kind)) + ": " + entry.why + "\n";
    }
    return text;
  }

  asio::io_context io_;
  // Without it the context would count as stopped whenever all coroutines wait for the test.
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  FailingStore store_;
  FakeHost host_;
  Fleet fleet_{host_, store_, io_.get_executor()};
  int left_over_ = FakeInstance::alive;
};

TEST_F(FleetTest, AVmGoesUpAndDownThroughItsStates) {
  Create();
  EXPECT_EQ(StateOf(), State::kPending);
  EXPECT_TRUE(Call(fleet_.Start("vm", "test")));
  EXPECT_EQ(StateOf(), State::kRunning);
  EXPECT_FALSE(TheVm().timeline.empty());
  EXPECT_TRUE(Call(fleet_.Stop("vm", {}, "asked by a test")));
  EXPECT_EQ(StateOf(), State::kStopped);
  EXPECT_EQ(TheVm().ring().back().why, "asked by a test: the guest switched itself off");
  EXPECT_THAT(Path(), ElementsAre("Provisioning", "Configured", "Starting", "Running", "Stopping",
                                  "Stopped"));
  EXPECT_TRUE(Call(fleet_.Remove("vm", false, "test")));
  EXPECT_TRUE(fleet_.vms().empty());
  EXPECT_THAT(host_.deprovisioned, ElementsAre("vm"));
}

TEST_F(FleetTest, ARefusedSpecLeavesNoVm) {
  host_.check_outcome = Refuse(Kind::kBadImage, "image", ENOENT, "/image");
  const auto created = fleet_.Create(Spec(), "test");
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().kind, Kind::kBadImage);
  EXPECT_TRUE(fleet_.vms().empty());
  EXPECT_EQ(Log(), "");
}

TEST_F(FleetTest, ANameIsGivenOnce) {
  Create();
  EXPECT_EQ(fleet_.Create(Spec(), "test").error().kind, Kind::kVmExists);
}

TEST_F(FleetTest, AnUnknownVmIsNamedByEveryCall) {
  EXPECT_EQ(Call(fleet_.Start("no", "")).error().kind, Kind::kUnknownVm);
  EXPECT_EQ(Call(fleet_.Stop("no", {}, "")).error().kind, Kind::kUnknownVm);
  EXPECT_EQ(Call(fleet_.Kill("no", "")).error().kind, Kind::kUnknownVm);
  EXPECT_EQ(Call(fleet_.Pause("no", "")).error().kind, Kind::kUnknownVm);
  EXPECT_THAT(Call(fleet_.Remove("no", true, "")).error().detail, HasSubstr("'no'"));
}

TEST_F(FleetTest, WhatCannotBeProvisionedIsFailedAndCanStartLater) {
  Create();
  host_.provision_outcome = Refuse(Kind::kNoResources, "disk-space", ENOSPC, "/state");
  const auto started = Call(fleet_.Start("vm", "test"));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().errnum, ENOSPC);
  EXPECT_EQ(StateOf(), State::kFailed);
  host_.provision_outcome = {};
  EXPECT_TRUE(Call(fleet_.Start("vm", "test")));
}

TEST_F(FleetTest, APanicAtBootIsToldTornDownAndNotTriedAgain) {
  host_.scripts = {[](FakeInstance& instance) {
    instance.evidence.console_tail = "Kernel panic - not syncing: VFS\n";
    instance.Launch();
    instance.Exit(shim::ExitReason::kGuestPanic);
  }};
  Create();
  const auto started = Call(fleet_.Start("vm", "test"));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, Kind::kStartFailed);
  EXPECT_THAT(started.error().detail, HasSubstr("VFS"));
  EXPECT_EQ(StateOf(), State::kStartFailed);
  EXPECT_EQ(host_.launches, 1);
  Poll();
  EXPECT_EQ(Instance(), nullptr) << "nothing of a failed start is kept";
}

TEST_F(FleetTest, ABootThatHangsIsTriedOnceMore) {
  host_.scripts = {[](FakeInstance& instance) { instance.Launch(); },
                   [](FakeInstance& instance) {
                     instance.Launch();
                     instance.SayReady();
                   }};
  Create();
  EXPECT_TRUE(Call(fleet_.Start("vm", "test")));
  EXPECT_EQ(TheVm().boot_attempts, 2);
  EXPECT_THAT(Path(), ElementsAre("Provisioning", "Configured", "Starting", "StartFailed",
                                  "Starting", "Running"));
}

TEST_F(FleetTest, ABootThatHangsTwiceIsAFailureThatNamesPhaseAndTime) {
  host_.scripts = {[](FakeInstance& instance) { instance.Launch(); }};
  Create();
  const auto started = Call(fleet_.Start("vm", "test"));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().step, "boot");
  EXPECT_THAT(started.error().detail, HasSubstr("50 ms"));
  EXPECT_EQ(host_.launches, kBootAttempts);
  EXPECT_EQ(StateOf(), State::kStartFailed);
}

void RingOfAnotherGeneration(FakeInstance& instance) {
  instance.Launch();
  instance.Change([](struct Instance::View& view) {
    view.refused = Fault{Kind::kStartFailed, "handshake", EPROTONOSUPPORT, "generation 99", {}};
  });
}

TEST_F(FleetTest, AGuestOfAnotherGenerationIsAStartFailureLongBeforeTheBootsTimeout) {
  host_.scripts = {RingOfAnotherGeneration};
  VmSpec spec = Spec();
  spec.timeouts.boot = std::chrono::hours(1);
  ASSERT_TRUE(fleet_.Create(spec, "test"));
  const auto started = Call(fleet_.Start("vm", "test"));
  EXPECT_EQ(started.error().errnum, EPROTONOSUPPORT);
  EXPECT_EQ(host_.launches, 1);
}

TEST_F(FleetTest, AGuestOfAnotherGenerationIsNotStartedASecondTime) {
  host_.scripts = {RingOfAnotherGeneration};
  Create();
  const auto started = Call(fleet_.Start("vm", "test"));
  EXPECT_EQ(started.error().errnum, EPROTONOSUPPORT);
  EXPECT_EQ(host_.launches, 1);
}

TEST_F(FleetTest, AStrangerWhoRingsBeforeTheAgentDoesNotFailTheStart) {
  host_.scripts = {[](FakeInstance& instance) {
    RingOfAnotherGeneration(instance);
    instance.SayReady();
  }};
  Create();
  EXPECT_TRUE(Call(fleet_.Start("vm", "test")));
  EXPECT_EQ(StateOf(), State::kRunning);
}

TEST_F(FleetTest, WhatWillNotGoMakesTheVmFailedAndKeepsItFromBeingForgotten) {
  host_.scripts = {[](FakeInstance& instance) {
    instance.teardown_error = Error{"tear-down", ETIMEDOUT, "process 101", {}};
    instance.Launch();
    instance.Exit(shim::ExitReason::kCrashed);
  }};
  Create();
  EXPECT_FALSE(Call(fleet_.Start("vm", "test")));
  EXPECT_EQ(StateOf(), State::kFailed);
  EXPECT_EQ(Call(fleet_.Remove("vm", true, "")).error().kind, Kind::kWrongState);
  EXPECT_EQ(Call(fleet_.Start("vm", "")).error().kind, Kind::kWrongState);
  left_over_ += 1;
}

TEST_F(FleetTest, AStopWhileStartingEndsTheStart) {
  host_.scripts = {[](FakeInstance& instance) { instance.Launch(); }};
  Create();
  auto start = Begin(fleet_.Start("vm", "test"));
  EXPECT_EQ(StateOf(), State::kStarting);
  EXPECT_TRUE(Call(fleet_.Stop("vm", milliseconds(50), "test")));
  EXPECT_EQ(StateOf(), State::kStopped);
  Poll();
  ASSERT_TRUE(*start);
  EXPECT_EQ((*start)->error().errnum, ECANCELED);
}

TEST_F(FleetTest, ASecondStartIsRefusedWhileTheFirstIsOnItsWay) {
  host_.scripts = {[](FakeInstance& instance) { instance.Launch(); }};
  Create();
  auto start = Begin(fleet_.Start("vm", "test"));
  EXPECT_EQ(Call(fleet_.Start("vm", "test")).error().kind, Kind::kWrongState);
  EXPECT_TRUE(Call(fleet_.Kill("vm", "test")));
}

TEST_F(FleetTest, AStopAsksGuestThenHypervisorThenNobody) {
  Up();
  auto instance = Instance();
  instance->guest_obeys = false;
  instance->hypervisor_obeys = false;
  EXPECT_TRUE(Call(fleet_.Stop("vm", milliseconds(20), "test")));
  EXPECT_THAT(instance->asked, ElementsAre("guest", "hypervisor", "teardown"));
  EXPECT_EQ(StateOf(), State::kStopped);
  const std::string log = Log();
  EXPECT_THAT(log, HasSubstr("asking the guest to power off within 20 ms"));
  EXPECT_THAT(log, HasSubstr("telling the hypervisor to quit"));
  EXPECT_THAT(log, HasSubstr("killing the hypervisor"));
}

TEST_F(FleetTest, AStopOfAGuestWithoutAgentGoesToTheHypervisorAtOnce) {
  Up();
  auto instance = Instance();
  instance->Change([](struct Instance::View& view) { view.agent = AgentState::kLost; });
  EXPECT_TRUE(Call(fleet_.Stop("vm", std::chrono::hours(1), "test")));
  EXPECT_THAT(instance->asked, ElementsAre("hypervisor", "teardown"));
}

TEST_F(FleetTest, APausedVmIsResumedToBeStopped) {
  Up();
  auto instance = Instance();
  EXPECT_TRUE(Call(fleet_.Pause("vm", "test")));
  EXPECT_EQ(Call(fleet_.Pause("vm", "test")).error().kind, Kind::kWrongState);
  EXPECT_TRUE(Call(fleet_.Stop("vm", milliseconds(50), "test")));
  EXPECT_THAT(instance->asked, ElementsAre("pause", "resume", "guest", "teardown"));
}

TEST_F(FleetTest, AKillHurriesAStopOnItsWay) {
  Up();
  auto instance = Instance();
  instance->guest_obeys = false;
  auto stop = Begin(fleet_.Stop("vm", std::chrono::hours(1), "test"));
  EXPECT_EQ(StateOf(), State::kStopping);
  EXPECT_TRUE(Call(fleet_.Kill("vm", "test")));
  Poll();
  EXPECT_TRUE(*stop && **stop);
  EXPECT_THAT(instance->asked, ElementsAre("guest", "teardown"));
}

TEST_F(FleetTest, StopAndKillOfAVmThatIsNotUpNameItsState) {
  Create();
  const auto stopped = Call(fleet_.Stop("vm", {}, "test"));
  EXPECT_EQ(stopped.error().kind, Kind::kWrongState);
  EXPECT_THAT(stopped.error().detail, HasSubstr("Pending"));
  EXPECT_EQ(Call(fleet_.Kill("vm", "test")).error().kind, Kind::kWrongState);
}

TEST_F(FleetTest, AGuestThatPowersItselfOffIsStopped) {
  Up();
  Instance()->Exit(shim::ExitReason::kGuestShutdown);
  Poll();
  EXPECT_EQ(StateOf(), State::kStopped);
  EXPECT_EQ(TheVm().ring().back().why, "the guest switched itself off") << "nobody asked";
  EXPECT_THAT(Path(), testing::Contains("Stopping"));
  EXPECT_TRUE(Call(fleet_.Start("vm", "test"))) << "and can start again";
}

TEST_F(FleetTest, ACrashIsAFailureThatSaysHow) {
  Up();
  Instance()->evidence.console_tail = "Kernel panic - not syncing: sysrq\n";
  Instance()->Exit(shim::ExitReason::kGuestPanic);
  Poll();
  EXPECT_EQ(StateOf(), State::kFailed);
  EXPECT_THAT(TheVm().ring().back().why, HasSubstr("sysrq"));
}

TEST_F(FleetTest, AgentAndDeviceLossesAreEventsAndNoStates) {
  Up();
  auto instance = Instance();
  instance->Change([](struct Instance::View& view) {
    view.agent = AgentState::kLost;
    view.agent_why = "ECONNRESET";
  });
  Poll();
  instance->SayReady("a2");
  Poll();
  instance->Change([](struct Instance::View& view) { view.vsock_restarts = 1; });
  Poll();
  EXPECT_EQ(StateOf(), State::kRunning);
  const std::string log = Log();
  EXPECT_THAT(log, HasSubstr("the agent is lost: ECONNRESET"));
  EXPECT_THAT(log, HasSubstr("the agent was started again"));
  EXPECT_THAT(log, HasSubstr("the vsock device died"));
}

TEST_F(FleetTest, AGuestThatRingsAgainAndAgainFillsNoLog) {
  Up();
  for (int i = 0; i < 50; ++i) {
    Instance()->SayReady("agent " + std::to_string(i));
    Poll();
  }
  int entries = 0;
  for (const Entry& entry : fleet_.journal().Read(0, 1000).value().entries) {
    entries += entry.kind == EntryKind::kAgent ? 1 : 0;
  }
  EXPECT_EQ(entries, 10);
}

TEST_F(FleetTest, RemoveIsForVmsThatOwnNothingOrByForce) {
  Up();
  const auto refused = Call(fleet_.Remove("vm", false, "test"));
  EXPECT_EQ(refused.error().kind, Kind::kWrongState);
  EXPECT_THAT(refused.error().detail, HasSubstr("Running"));
  EXPECT_TRUE(Call(fleet_.Remove("vm", true, "test")));
  EXPECT_TRUE(fleet_.vms().empty());
}

TEST_F(FleetTest, ATransitionThatCannotBeRecordedDoesNotHappen) {
  Create();
  store_.fail = 1;
  const auto started = Call(fleet_.Start("vm", "test"));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().errnum, ENOSPC);
  EXPECT_EQ(StateOf(), State::kPending);
  EXPECT_FALSE(TheVm().driven);
}

TEST_F(FleetTest, AnEndThatCannotBeRecordedIsRecordedLater) {
  Up();
  store_.fail = 1;
  Instance()->Exit(shim::ExitReason::kCrashed);
  Poll();
  EXPECT_EQ(StateOf(), State::kRunning);
  while (StateOf() == State::kRunning) io_.run_one();
  EXPECT_EQ(StateOf(), State::kFailed);
}

TEST_F(FleetTest, WaitSeesAStateThatWasPassedThrough) {
  Up();
  auto wait = Begin(fleet_.WaitFor("vm", {State::kStopping}, Deadline::In(std::chrono::hours(1))));
  EXPECT_FALSE(*wait);
  Instance()->Exit(shim::ExitReason::kGuestShutdown);
  Poll();
  ASSERT_TRUE(*wait);
  EXPECT_EQ((*wait)->value(), State::kStopping);
}

TEST_F(FleetTest, WaitEndsAtItsDeadlineAndWhenTheVmIsRemoved) {
  Create();
  EXPECT_EQ(
      Call(fleet_.WaitFor("vm", {State::kRunning}, Deadline::In(milliseconds(1)))).error().kind,
      Kind::kTimedOut);
  auto wait = Begin(fleet_.WaitFor("vm", {State::kRunning}, Deadline::In(std::chrono::hours(1))));
  EXPECT_TRUE(Call(fleet_.Remove("vm", false, "test")));
  Poll();
  ASSERT_TRUE(*wait);
  EXPECT_EQ((*wait)->error().kind, Kind::kUnknownVm);
}

TEST_F(FleetTest, ShutdownStopsAllAndStartsNone) {
  Up("vm");
  Up("other");
  Instance("other")->guest_obeys = false;
  Go(fleet_.Shutdown(milliseconds(20)));
  EXPECT_EQ(StateOf("vm"), State::kStopped);
  EXPECT_EQ(StateOf("other"), State::kStopped);
  EXPECT_EQ(Call(fleet_.Start("vm", "test")).error().kind, Kind::kShuttingDown);
  EXPECT_EQ(fleet_.Create(Spec("new"), "test").error().kind, Kind::kShuttingDown);
}

TEST_F(FleetTest, TheRingKeepsTheLastTransitions) {
  Create();
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(Call(fleet_.Start("vm", "test")));
    ASSERT_TRUE(Call(fleet_.Kill("vm", "test")));
  }
  EXPECT_EQ(TheVm().ring().size(), kMaxRing);
  EXPECT_EQ(TheVm().ring().back().to, State::kStopped);
  EXPECT_EQ(TheVm().ring().back().seq, fleet_.journal().newest());
}

}  // namespace
}  // namespace berth::lifecycle
