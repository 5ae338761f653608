// SPDX-License-Identifier: Apache-2.0
#include "init/service_graph_fixture.h"

namespace berth::init {
namespace {

// --- Order and readiness ----------------------------------------------------------------------

TEST_F(ServiceGraphTest, StartsInOrderAndOnlyWhenWhatItComesAfterIsReady) {
  Add("db").ready.notify = true;
  Add("web", {"db"});
  Add("free");
  Begin();
  EXPECT_THAT(Log(), ElementsAre("spawn db", "spawn free"));
  EXPECT_EQ(Is("db"), State::kStarting);
  EXPECT_EQ(Is("free"), State::kReady);
  EXPECT_EQ(Is("web"), State::kWaiting);
  EXPECT_STREQ(Row("web").detail, "after db");
  graph_->NotifiedReady(Id("db"), now_);
  Carry();
  EXPECT_THAT(Log(), ElementsAre("spawn web"));
  EXPECT_EQ(Is("db"), State::kReady);
}

TEST_F(ServiceGraphTest, AOneshotIsReadyWhenItHasEndedWell) {
  Add("migrate").oneshot = true;
  Add("web", {}, {"migrate"});
  Begin();
  EXPECT_EQ(Is("web"), State::kWaiting);
  End("migrate", kExit(0));
  EXPECT_EQ(Is("migrate"), State::kDone);
  EXPECT_EQ(Is("web"), State::kReady);
  EXPECT_NE(Row("migrate").ready_ns, 0);
}

TEST_F(ServiceGraphTest, FailureOfWhatIsRequiredFailsAllBehindItAndNotWhatComesAfterIt) {
  ServiceConfig& db = Add("db");
  db.oneshot = true;
  db.restart.when = RestartWhen::kNever;
  Add("app", {}, {"db"});
  Add("web", {}, {"app"});
  Add("log", {"db"});
  Begin();
  Log();
  End("db", kExit(3));
  EXPECT_EQ(Is("db"), State::kFailed);
  EXPECT_STREQ(Row("db").detail, "exit code 3");
  EXPECT_EQ(Is("app"), State::kFailed);
  EXPECT_STREQ(Row("app").detail, "requires db, which has failed");
  EXPECT_STREQ(Row("web").detail, "requires app, which has failed");
  EXPECT_EQ(Is("log"), State::kReady);
  EXPECT_THAT(Log(), ElementsAre("kill db", "spawn log"));
}

TEST_F(ServiceGraphTest, AServiceThatRunsStaysWhenWhatItRequiresFails) {
  Add("db").restart.when = RestartWhen::kNever;
  Add("web", {}, {"db"});
  Begin();
  End("db", SIGSEGV);
  EXPECT_EQ(Is("db"), State::kFailed);
  EXPECT_EQ(Is("web"), State::kReady);
}

TEST_F(ServiceGraphTest, ProbesUntilOnePassesAndStopsThen) {
  Add("db").ready.probe = PortProbe();
  config_.services[0].ready.interval = 200ms;
  Begin();
  EXPECT_THAT(Log(), ElementsAre("spawn db", "probe db"));
  graph_->Probed(0, false, "connect: ECONNREFUSED", now_);
  EXPECT_EQ(graph_->next_deadline(), now_ + 200ms);
  EXPECT_THAT(Row("db").detail, HasSubstr("ECONNREFUSED"));
  Pass(199ms);
  EXPECT_THAT(Log(), IsEmpty());
  Pass(1ms);
  EXPECT_THAT(Log(), ElementsAre("probe db"));
  Pass(10s);  // one at a time
  EXPECT_THAT(Log(), IsEmpty());
  graph_->Probed(0, true, "", now_);
  Carry();
  EXPECT_EQ(Is("db"), State::kReady);
  EXPECT_STREQ(Row("db").detail, "");
  EXPECT_FALSE(graph_->next_deadline() && *graph_->next_deadline() < now_ + 1s);
}

TEST_F(ServiceGraphTest, NotReadyInTimeIsStoppedAndCountsAsAFailure) {
  ServiceConfig& db = Add("db");
  db.ready = {.notify = true, .probe = {}, .timeout = 5s};
  db.stop_timeout = 2s;
  Begin();
  Log();
  Pass(4999ms);
  EXPECT_THAT(Log(), IsEmpty());
  Pass(1ms);
  EXPECT_THAT(Log(), ElementsAre("signal db 15"));
  EXPECT_EQ(Is("db"), State::kStopping);
  Pass(2s);
  EXPECT_THAT(Log(), ElementsAre("kill db"));
  End("db", SIGKILL);
  EXPECT_THAT(Log(), ElementsAre("kill db", "spawn db"));
  EXPECT_THAT(said_.back(), HasSubstr("not ready after 5000 ms"));
  EXPECT_EQ(Row("db").restarts, 1U);
}

TEST_F(ServiceGraphTest, EndWhileAProbeIsUnderWayEndsTheProbe) {
  Add("db").ready.probe = PortProbe();
  Begin();
  Log();
  End("db", kExit(1));
  EXPECT_THAT(Log(), ElementsAre("end-probe db", "kill db", "spawn db", "probe db"));
}

TEST_F(ServiceGraphTest, AServiceWithAMistakeIsFailedWithItAndStartsByNobodysOrder) {
  Add("db").mistake = "init.toml:3:1: service.db.exec: no program";
  config_.services[0].main = true;  // and yet the machine stays up
  Add("web", {}, {"db"});
  Begin();
  EXPECT_THAT(Log(), IsEmpty());
  EXPECT_EQ(Is("db"), State::kFailed);
  EXPECT_STREQ(Row("web").detail, "requires db, which has failed");
  const ServiceOrder order = Order(ServiceVerb::kStart, "db");
  EXPECT_FALSE(graph_->Outcome(order)->has_value());
  EXPECT_THAT(Log(), IsEmpty());
}

// --- Restarts ---------------------------------------------------------------------------------

// They stay in the configuration, with what they require and all.
TEST_F(ServiceGraphTest, ServicesThatRequireOneAnotherAreFailedWithThatMistake) {
  Add("egg", {}, {"hen"}).mistake = "a cycle";
  Add("hen", {}, {"egg"}).mistake = "a cycle";
  Add("self", {}, {"self"}).mistake = "a cycle";
  Add("omelette", {}, {"egg"});
  Begin();
  for (const char* name : {"egg", "hen", "self", "omelette"}) EXPECT_EQ(Is(name), State::kFailed);
  Order(ServiceVerb::kStart, "omelette");
  EXPECT_EQ(Is("omelette"), State::kFailed);
  EXPECT_THAT(Log(), IsEmpty());
}

TEST_F(ServiceGraphTest, RestartPolicies) {
  struct Case {
    RestartWhen when;
    std::vector<int> codes;
    int status;
    State expected;
  };
  const Case cases[] = {
      {RestartWhen::kNever, {}, kExit(0), State::kDone},
      {RestartWhen::kNever, {}, kExit(1), State::kFailed},
      {RestartWhen::kOnFailure, {}, kExit(0), State::kDone},
      {RestartWhen::kOnFailure, {}, kExit(1), State::kReady},
      {RestartWhen::kOnFailure, {}, SIGKILL, State::kReady},
      {RestartWhen::kOnFailure, {75}, kExit(75), State::kReady},
      {RestartWhen::kOnFailure, {75}, kExit(1), State::kFailed},
      {RestartWhen::kOnFailure, {75}, SIGKILL, State::kFailed},
      {RestartWhen::kAlways, {}, kExit(0), State::kReady},
      {RestartWhen::kAlways, {0}, kExit(0), State::kReady},
      {RestartWhen::kAlways, {0}, kExit(1), State::kFailed},
  };
  for (const Case& each : cases) {
    config_ = {};
    ServiceConfig& db = Add("db");
    db.restart.when = each.when;
    db.restart.codes = each.codes;
    Begin();
    End("db", each.status);
    EXPECT_EQ(Is("db"), each.expected) << static_cast<int>(each.when) << " status " << each.status;
  }
}

TEST_F(ServiceGraphTest, BacksOffAndIsMarkedFailedWhenTheBudgetIsSpent) {
  ServiceConfig& db = Add("db");
  db.restart.budget = 3;
  Add("web", {"db"}).enabled = false;
  Begin();
  Log();
  End("db", kExit(1));
  EXPECT_THAT(Log(), ElementsAre("kill db", "spawn db"));
  End("db", kExit(1));
  EXPECT_EQ(Is("db"), State::kBackoff);
  EXPECT_EQ(Row("db").restart_ns,
            std::chrono::nanoseconds((now_ + 100ms).time_since_epoch()).count());
  Pass(100ms);
  EXPECT_EQ(Is("db"), State::kReady);
  End("db", kExit(4));
  EXPECT_EQ(Is("db"), State::kFailed);
  EXPECT_STREQ(Row("db").detail,
               "crash loop: 3 short lives in a row, the last ended with exit code 4");
  EXPECT_EQ(Row("db").restarts, 2U);
  EXPECT_EQ(Row("db").exit_code, 4);
  Pass(3600s);
  EXPECT_EQ(Is("db"), State::kFailed);
}

TEST_F(ServiceGraphTest, ALongLifeForgivesAndACrashLoopMayEndTheMachine) {
  ServiceConfig& db = Add("db");
  db.restart.budget = 2;
  db.restart.shutdown_on_crash_loop = true;
  Begin();
  End("db", kExit(1));
  Pass(10s);
  End("db", kExit(1));
  EXPECT_EQ(Is("db"), State::kReady);
  End("db", kExit(1));
  Log();
  End("db", kExit(1));
  EXPECT_THAT(Log(), ElementsAre("kill db", "end-machine db 4"));
}

TEST_F(ServiceGraphTest, AProgramThatCannotBeStartedFailsLikeOneThatEndsAtOnce) {
  Add("db").restart.budget = 2;
  no_program_ = true;
  Begin();
  Pass(1s);
  EXPECT_EQ(Is("db"), State::kFailed);
  EXPECT_THAT(Row("db").detail, HasSubstr("exec: ENOENT"));
}

// --- Main, Configure, sockets -----------------------------------------------------------------

TEST_F(ServiceGraphTest, TheEndOfMainIsTheMachinesWhateverItsRestartSays) {
  ServiceConfig& app = Add("app");
  app.main = true;
  app.restart.when = RestartWhen::kAlways;
  Begin();
  Log();
  End("app", kExit(7));
  EXPECT_THAT(Log(), ElementsAre("kill app", "end-machine app 2"));
  EXPECT_EQ(Row("app").exit_code, 7);
}

TEST_F(ServiceGraphTest, AMainThatCannotRunEndsTheMachineToo) {
  Add("app").main = true;
  no_program_ = true;
  Begin();
  EXPECT_THAT(Log(), ElementsAre("spawn app", "end-machine app 2"));
  EXPECT_EQ(Row("app").exit_code, 127);
}

TEST_F(ServiceGraphTest, AMainThatIsNotReadyInTimeIsNoSuccessHoweverItEnds) {
  ServiceConfig& main = Add("main");
  main.main = true;
  main.ready.notify = true;
  main.ready.timeout = 1s;
  Begin();
  Pass(1s);
  End("main", kExit(0));
  EXPECT_EQ(Is("main"), State::kFailed);
  EXPECT_EQ(Row("main").exit_code, 125);
}

TEST_F(ServiceGraphTest, StoppingMainByHandDoesNotEndTheMachine) {
  Add("app").main = true;
  Begin();
  Order(ServiceVerb::kStop, "app");
  End("app", SIGTERM);
  EXPECT_EQ(Is("app"), State::kInactive);
  EXPECT_THAT(Log(), ElementsAre("spawn app", "signal app 15", "kill app"));
}

TEST_F(ServiceGraphTest, WaitsForConfigureOrForTheTimeout) {
  Add("app").wait_for_configure = true;
  Begin();
  EXPECT_EQ(Is("app"), State::kWaiting);
  graph_->Configured(now_);
  Carry();
  EXPECT_EQ(Is("app"), State::kReady);

  Begin();
  EXPECT_EQ(graph_->next_deadline(), now_ + config_.configure_timeout);
  Pass(config_.configure_timeout);
  EXPECT_EQ(Is("app"), State::kReady);
  EXPECT_THAT(said_.back(), HasSubstr("did not come within 5000 ms"));
}

TEST_F(ServiceGraphTest, OnDemandStartsAtTheFirstConnectionAndListensAgainAfterwards) {
  Add("ftp").on_demand = true;
  Add("web", {}, {"ftp"});
  Begin();
  EXPECT_THAT(Log(), ElementsAre("watch ftp", "spawn web"));
  EXPECT_STREQ(Row("ftp").detail, "for the first connection");
  graph_->Connected(Id("ftp"), now_);
  Carry();
  EXPECT_THAT(Log(), ElementsAre("unwatch ftp", "spawn ftp"));
  End("ftp", kExit(0));
  EXPECT_EQ(Is("ftp"), State::kBackoff);
  Pass(100ms);
  EXPECT_EQ(Is("ftp"), State::kWaiting);
  EXPECT_THAT(Log(), ElementsAre("kill ftp", "watch ftp"));
  Order(ServiceVerb::kStop, "ftp");
  EXPECT_THAT(Log(), ElementsAre("unwatch ftp"));
  Order(ServiceVerb::kStart, "ftp");
  EXPECT_THAT(Log(), ElementsAre("spawn ftp"));
}

// --- Health -----------------------------------------------------------------------------------

TEST_F(ServiceGraphTest, HealthTurnsAfterItsThresholdsAndRestartsWhereAsked) {
  ServiceConfig& db = Add("db");
  db.health = HealthConfig{.probe = PortProbe(),
                           .interval = 10s,
                           .start_period = 15s,
                           .unhealthy_after = 2,
                           .healthy_after = 2};
  Begin();
  Log();
  const auto probed = [&](bool passed) {
    Pass(10s);
    EXPECT_THAT(Log(), ElementsAre("probe db"));
    graph_->Probed(0, passed, "nobody answers", now_);
    Carry();
  };
  probed(false);  // within the start period
  probed(false);
  EXPECT_EQ(Row("db").health, ServiceHealth::kUnknown);
  probed(false);
  EXPECT_EQ(Row("db").health, ServiceHealth::kUnhealthy);
  EXPECT_STREQ(Row("db").detail, "unhealthy: nobody answers");
  probed(true);
  EXPECT_EQ(Row("db").health, ServiceHealth::kUnhealthy);
  probed(true);
  EXPECT_EQ(Row("db").health, ServiceHealth::kHealthy);
  EXPECT_EQ(Is("db"), State::kReady);
  config_.services[0].health->restart_unhealthy = true;
  probed(false);
  Pass(10s);
  Log();
  graph_->Probed(0, false, "nobody answers", now_);
  Carry();
  EXPECT_THAT(Log(), ElementsAre("signal db 15"));
  End("db", SIGTERM);
  EXPECT_EQ(Is("db"), State::kReady);
  EXPECT_EQ(Row("db").restarts, 1U);
}

}  // namespace
}  // namespace berth::init
