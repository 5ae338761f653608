// SPDX-License-Identifier: Apache-2.0
#include "init/service_graph_fixture.h"

namespace berth::init {
namespace {

// --- Orders -----------------------------------------------------------------------------------

TEST_F(ServiceGraphTest, StopKillsAfterItsTimeoutAndStaysDown) {
  ServiceConfig& db = Add("db");
  db.restart.when = RestartWhen::kAlways;
  db.stop_signal = SIGINT;
  db.stop_timeout = 3s;
  Begin();
  Log();
  const ServiceOrder order = Order(ServiceVerb::kStop, "db");
  EXPECT_THAT(Log(), ElementsAre("signal db 2"));
  EXPECT_FALSE(graph_->Outcome(order));
  Pass(3s);
  EXPECT_THAT(Log(), ElementsAre("kill db"));
  EXPECT_THAT(said_.back(), HasSubstr("killed"));
  End("db", SIGKILL);
  EXPECT_TRUE(graph_->Outcome(order)->has_value());
  Pass(60s);
  EXPECT_EQ(Is("db"), State::kInactive);
}

TEST_F(ServiceGraphTest, RestartByHandIsNotCountedAndWaitsForReady) {
  Add("db").ready.notify = true;
  Begin();
  graph_->NotifiedReady(0, now_);
  const ServiceOrder order = Order(ServiceVerb::kRestart, "db");
  EXPECT_FALSE(graph_->Outcome(order));
  End("db", SIGTERM);
  EXPECT_EQ(Is("db"), State::kStarting);
  EXPECT_FALSE(graph_->Outcome(order));
  graph_->NotifiedReady(0, now_);
  EXPECT_TRUE(graph_->Outcome(order)->has_value());
  EXPECT_EQ(Row("db").restarts, 0U);
}

TEST_F(ServiceGraphTest, StartOfADisabledServicePullsInWhatItRequires) {
  Add("base").enabled = false;
  Add("db", {}, {"base"}).enabled = false;
  Begin();
  EXPECT_THAT(Log(), IsEmpty());
  EXPECT_EQ(Is("db"), State::kInactive);
  const ServiceOrder order = Order(ServiceVerb::kStart, "db");
  EXPECT_THAT(Log(), ElementsAre("spawn base", "spawn db"));
  EXPECT_TRUE(graph_->Outcome(order)->has_value());
}

TEST_F(ServiceGraphTest, AStartThatFailsSaysHowAndIsTriedAgain) {
  Add("db").ready.notify = true;
  Begin();
  Order(ServiceVerb::kStop, "db");
  End("db", SIGTERM);
  const ServiceOrder order = Order(ServiceVerb::kStart, "db");
  EXPECT_FALSE(graph_->Outcome(order));
  End("db", kExit(9));
  const auto outcome = graph_->Outcome(order);
  ASSERT_TRUE(outcome);
  ASSERT_FALSE(*outcome);
  EXPECT_THAT(outcome->error().Message(), HasSubstr("db has ended"));
  EXPECT_EQ(Is("db"), State::kStarting);
}

TEST_F(ServiceGraphTest, AFailedServiceStartsByHandWithItsRecordForgiven) {
  Add("db").restart.budget = 1;
  Begin();
  End("db", kExit(1));
  EXPECT_EQ(Is("db"), State::kFailed);
  Order(ServiceVerb::kStart, "db");
  EXPECT_EQ(Is("db"), State::kReady);
}

TEST_F(ServiceGraphTest, ReloadSendsItsSignalToWhatIsReady) {
  Add("db").reload_signal = SIGUSR1;
  Begin();
  Log();
  Order(ServiceVerb::kReload, "db");
  EXPECT_THAT(Log(), ElementsAre("signal db " + std::to_string(SIGUSR1)));
  Order(ServiceVerb::kStop, "db");
  EXPECT_FALSE(graph_->Order(ServiceVerb::kReload, 0, now_));
}

// --- Shutdown ---------------------------------------------------------------------------------

TEST_F(ServiceGraphTest, ShutdownStopsInReverseOrderAndStartsNothing) {
  Add("db");
  Add("app", {}, {"db"});
  Add("web", {"app"});
  Add("late").wait_for_configure = true;
  Begin();
  Log();
  graph_->BeginShutdown(now_ + 30s, now_);
  Carry();
  EXPECT_THAT(Log(), ElementsAre("signal web 15"));
  EXPECT_EQ(Is("late"), State::kInactive);
  End("web", SIGTERM);
  EXPECT_THAT(Log(), ElementsAre("kill web", "signal app 15"));
  End("app", kExit(1));
  EXPECT_THAT(Log(), ElementsAre("kill app", "signal db 15"));
  EXPECT_TRUE(graph_->any_running());
  End("db", kExit(1));
  EXPECT_THAT(Log(), ElementsAre("kill db"));
  EXPECT_FALSE(graph_->any_running());
  EXPECT_FALSE(graph_->Order(ServiceVerb::kStart, 0, now_));
}

TEST_F(ServiceGraphTest, AServiceThatDoesNotEndLeavesTimeForThoseBehindIt) {
  Add("db").stop_timeout = 60s;
  Add("web", {"db"}).stop_timeout = 60s;
  Begin();
  Log();
  graph_->BeginShutdown(now_ + 10s, now_);
  Carry();
  Pass(5s);
  EXPECT_THAT(Log(), ElementsAre("signal web 15", "kill web"));
  End("web", SIGKILL);
  EXPECT_THAT(Log(), ElementsAre("kill web", "signal db 15"));
  Pass(4999ms);
  EXPECT_THAT(Log(), IsEmpty());
  Pass(1ms);
  EXPECT_THAT(Log(), ElementsAre("kill db"));
}

TEST_F(ServiceGraphTest, ASecondShutdownRequestBringsTheDeadlineForwardAndNeverBack) {
  Add("db").stop_timeout = 60s;
  Begin();
  graph_->BeginShutdown(now_ + 30s, now_);
  graph_->BeginShutdown(now_ + 60s, now_);
  Carry();
  EXPECT_EQ(graph_->next_deadline(), now_ + 30s);
  graph_->BeginShutdown(now_ + 2s, now_);
  EXPECT_EQ(graph_->next_deadline(), now_ + 2s);
}

// --- The timeline -----------------------------------------------------------------------------

TEST_F(ServiceGraphTest, TimelineNamesTheDependencyThatWasReadyLast) {
  const auto ns = [](auto time) {
    return std::chrono::nanoseconds(time.time_since_epoch()).count();
  };
  Add("fast").ready.notify = true;
  Add("slow").ready.notify = true;
  Add("web", {"slow", "fast"}).ready.notify = true;
  Begin();
  now_ += 1s;
  graph_->NotifiedReady(Id("fast"), now_);
  now_ += 1s;
  graph_->NotifiedReady(Id("slow"), now_);
  Carry();
  now_ += 1s;
  graph_->NotifiedReady(Id("web"), now_);
  const ServiceRow web = Row("web");
  EXPECT_STREQ(web.waits_for, "slow");
  EXPECT_EQ(web.wanted_ns, ns(kStart + 2s));
  EXPECT_EQ(web.start_ns, ns(kStart + 2s));
  EXPECT_EQ(web.ready_ns, ns(kStart + 3s));
  EXPECT_EQ(web.first_ready_ns, ns(kStart + 3s));
  EXPECT_STREQ(Row("fast").waits_for, "");
  now_ += 60s;
  End("web", SIGKILL);
  EXPECT_EQ(Row("web").wanted_ns, ns(kStart + 2s)) << "the boot's";
  EXPECT_EQ(Row("web").start_ns, ns(kStart + 63s));
  EXPECT_EQ(Row("web").ready_ns, 0);
}

TEST_F(ServiceGraphTest, ProcessesAreFoundByTheirNumber) {
  for (int i = 0; i < 200; ++i) Add("s" + std::to_string(i));
  Begin();
  EXPECT_EQ(graph_->OfPid(Pid("s150")), Id("s150"));
  EXPECT_FALSE(graph_->OfPid(99));
  End("s150", kExit(0));
  EXPECT_FALSE(graph_->OfPid(250));
}

}  // namespace
}  // namespace berth::init
