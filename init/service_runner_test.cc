// SPDX-License-Identifier: Apache-2.0
#include "init/service_runner_fixture.h"

namespace berth::init {
namespace {

TEST_F(ServiceRunnerTest, RunsInOrderWithItsEnvironmentAndOutput) {
  std::ofstream(dir_ + "/env") << "# a comment\nB='from file'\nC=file\n";
  config_.environment = {{"A", "all"}, {"C", "all"}};
  ServiceConfig& first = Add("first", "echo $A $B $C $HOME $USER; pwd");
  first.oneshot = true;
  first.env_file = dir_ + "/env";
  first.env = {{"C", "own"}};
  first.cwd = "/usr";
  Add("second", "echo second; exec sleep 1000").requires_ = {"first"};
  Begin();
  ASSERT_TRUE(Gets("second", State::kReady));
  ASSERT_TRUE(Until([&] { return Out().find("second") != std::string::npos; }));
  EXPECT_EQ(Out(), "all from file own /root root\n/usr\nsecond\n");
}

TEST_F(ServiceRunnerTest, IsThereAgainAfterASIGKILLWithAllItForkedGone) {
  Add("web", "sleep 1000 & echo $!; exec sleep 1000");
  Begin();
  ASSERT_TRUE(Until([&] { return Out().ends_with("\n"); }));
  const pid_t forked = std::stoi(Out());
  const pid_t first = Row("web").pid;
  kill(first, SIGKILL);
  ASSERT_TRUE(Until([&] { return Row("web").pid > 0 && Row("web").pid != first; }));
  EXPECT_TRUE(Until([&] { return kill(forked, 0) != 0; }));
  EXPECT_EQ(Row("web").restarts, 1U);
  EXPECT_EQ(Row("web").exit_signal, SIGKILL);
}

TEST_F(ServiceRunnerTest, RunsAsItsUserWithItsLimitsAndCapabilities) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ServiceConfig& web = Add("web", "id -u; id -G; ulimit -n; grep CapEff /proc/self/status");
  web.output = dir_ + "/out";
  web.oneshot = true;
  web.user = "1234";
  web.group = "77";
  web.groups = {"88"};
  web.rlimits = {{RLIMIT_NOFILE, {55, 55}}};
  web.capabilities = uint64_t{1} << 10;
  Begin();
  ASSERT_TRUE(Gets("web", State::kDone));
  EXPECT_EQ(Out(), "1234\n77 88\n55\nCapEff:\t0000000000000400\n");
}

TEST_F(ServiceRunnerTest, AnUnknownUserAndAMissingProgramNameTheStep) {
  Add("who", kSleep).user = "nobody-of-this-name";
  Add("what", kSleep).exec = "/no/such/program";
  for (ServiceConfig& each : config_.services) each.restart.when = RestartWhen::kNever;
  Begin();
  EXPECT_EQ(Row("who").state, State::kFailed);
  EXPECT_THAT(Row("who").detail, HasSubstr("user: ENOENT"));
  EXPECT_EQ(Row("what").state, State::kFailed);
  EXPECT_THAT(Row("what").detail, HasSubstr("exec: ENOENT"));
  EXPECT_THAT(Row("what").detail, HasSubstr("no such file"));
}

TEST_F(ServiceRunnerTest, StopKillsWhatIgnoresItsSignal) {
  ServiceConfig& deaf = Add("deaf", "trap '' TERM; echo up; while :; do sleep 1000; done");
  deaf.stop_timeout = 100ms;
  Begin();
  ASSERT_TRUE(Until([&] { return Out() == "up\n"; }));
  const ServiceReply reply = Ask(ServiceVerb::kStop, "deaf");
  EXPECT_EQ(reply.answer.errnum, 0);
  EXPECT_EQ(Row("deaf").state, State::kInactive);
  EXPECT_EQ(Row("deaf").exit_signal, SIGKILL);
}

TEST_F(ServiceRunnerTest, TheEndOfMainIsToldWithItsStatus) {
  Add("app", "exit 42").main = true;
  Begin();
  ASSERT_TRUE(Until([&] { return ended_.has_value(); }));
  EXPECT_EQ(*ended_, ShutdownCause::kMain);
  EXPECT_EQ(ended_row_.exit_code, 42);
}

// --- Readiness --------------------------------------------------------------------------------

// What sd_notify(3) does, in the shell's reach.
constexpr const char* kNotify =
    "notify() { perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0);"
    " send(S, $ARGV[0], 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die' \"$1\"; }; ";

TEST_F(ServiceRunnerTest, ReadyWhenItSaysSo) {
  ServiceConfig& db = Add("db", std::string(kNotify) +
                                    "notify 'STATUS=recovering'; read go < $FIFO; notify "
                                    "READY=1; exec sleep 1000");
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  db.env = {{"FIFO", dir_ + "/fifo"}};
  db.ready.notify = true;
  Begin();
  ASSERT_TRUE(Until([&] { return std::string_view(Row("db").detail) == "recovering"; }));
  EXPECT_EQ(Row("db").state, State::kStarting);
  const UniqueFd fifo(open((dir_ + "/fifo").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(write(fifo.get(), "\n", 1), 1);
  EXPECT_TRUE(Gets("db", State::kReady));
}

class ServiceRunnerNotifyTest : public ServiceRunnerTest {
 protected:
  void Send(std::string_view text) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (dir_ + "/notify/db").copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_GT(sendto(sender_.get(), text.data(), text.size(), 0,
                     reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0)
        << errno;
  }
  UniqueFd sender_{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

TEST_F(ServiceRunnerNotifyTest, AMessageOfAProcessThatIsNotTheServicesIsDropped) {
  Add("db", kSleep).ready.notify = true;
  Begin();
  Send("READY=1");
  testing::internal::CaptureStderr();
  Turn(Deadline::In(10s));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("which is not the service's"));
  EXPECT_EQ(Row("db").state, State::kStarting);
}

TEST_F(ServiceRunnerNotifyTest, MessagesOfOthersDoNotSilenceTheServicesOwnLines) {
  Add("db", kSleep).ready.notify = true;
  config_.log.lines_per_minute = 1;
  Begin();
  Send("READY=1");
  testing::internal::CaptureStderr();
  Turn(Deadline::In(10s));
  kill(Row("db").pid, SIGKILL);
  EXPECT_TRUE(Until([&] { return Row("db").restarts == 1; }));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("db: ended (SIGKILL)"));
}

TEST_F(ServiceRunnerNotifyTest, WhatTheLastLifeSaidIsNotBelievedOfTheNext) {
  Add("db", kSleep).ready.notify = true;
  Begin();
  const pid_t first = Row("db").pid;
  // Of a process that is gone, its user is all there is to tell by.
  const pid_t late = fork();
  if (late == 0) {
    Send("READY=1");
    _exit(0);
  }
  ASSERT_EQ(waitpid(late, nullptr, 0), late);
  kill(first, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(first, &status, 0), first);
  ASSERT_TRUE(runner_->Reaped(first, status, Deadline::Clock::now()));
  ASSERT_GT(Row("db").pid, 0) << "a first short life is forgiven";
  Turn(Deadline::In(10s));
  EXPECT_EQ(Row("db").state, State::kStarting);
}

TEST_F(ServiceRunnerTest, ReadyWhenAFileIsThere) {
  ServiceConfig& db = Add("db", "sleep 0.05; touch $FILE; exec sleep 1000");
  db.env = {{"FILE", dir_ + "/ready"}};
  db.ready.probe = Probe{};
  db.ready.probe->kind = Probe::Kind::kFile;
  db.ready.probe->path = dir_ + "/ready";
  db.ready.interval = 10ms;
  Begin();
  EXPECT_EQ(Row("db").state, State::kStarting);
  EXPECT_TRUE(Gets("db", State::kReady));
}

TEST_F(ServiceRunnerTest, ReadyWhenAPortAcceptsAndUnhealthyWhenItNoLongerDoes) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  Probe probe;
  probe.port = ntohs(address.sin_port);
  ServiceConfig& db = Add("db", kSleep);
  db.ready.probe = probe;
  db.ready.interval = 10ms;
  db.health = HealthConfig{.probe = probe, .interval = 10ms, .unhealthy_after = 2};
  Begin();
  ASSERT_TRUE(
      Until([&] { return std::string_view(Row("db").detail).find("ECONNREFUSED") != ~size_t{0}; }));
  ASSERT_EQ(listen(listener.get(), 128), 0);
  ASSERT_TRUE(Gets("db", State::kReady));
  ASSERT_TRUE(Until([&] { return Row("db").health == ServiceHealth::kHealthy; }));
  listener.Reset();
  ASSERT_TRUE(Until([&] { return Row("db").health == ServiceHealth::kUnhealthy; }));
  EXPECT_EQ(Row("db").state, State::kReady);
}

TEST_F(ServiceRunnerTest, AProbeThatConnectsToItselfHasNotReachedTheService) {
  const UniqueFd outside(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespace here";
  auto netlink = Netlink::Open();
  ASSERT_TRUE(netlink) << netlink.error().Message();
  ASSERT_TRUE(netlink->SetUp(static_cast<int>(if_nametoindex("lo")), 0));
  // The one number that the kernel can give the probe's end is that of the port itself.
  if (!WriteKnob("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000")) {
    setns(outside.get(), CLONE_NEWNET);
    GTEST_SKIP() << "no settings of the namespace's own";
  }
  Probe probe;
  probe.port = 40000;
  ServiceConfig& db = Add("db", kSleep);
  db.ready.probe = probe;
  db.ready.interval = 10ms;
  Begin();
  EXPECT_TRUE(
      Until([&] { return std::string_view(Row("db").detail).find("ECONNREFUSED") != ~size_t{0}; }));
  EXPECT_EQ(Row("db").state, State::kStarting);
  setns(outside.get(), CLONE_NEWNET);
}

TEST_F(ServiceRunnerTest, AnExecProbeThatHangsIsKilledWithAllItForked) {
  ServiceConfig& db = Add("db", kSleep);
  db.ready.probe = Probe{};
  db.ready.probe->kind = Probe::Kind::kExec;
  db.ready.probe->exec = {"/bin/sh", "-c",
                          "test -e " + dir_ + "/go || { sleep 1000 & echo $!; sleep 1000; }"};
  db.ready.interval = 10ms;
  db.ready.timeout = 200ms;  // of one probe, too
  db.restart.first = 10ms;
  Begin();
  ASSERT_TRUE(Until([&] { return Out().ends_with("\n"); }));
  const pid_t forked = std::stoi(Out());
  EXPECT_TRUE(Until([&] { return kill(forked, 0) != 0; }));
  std::ofstream(dir_ + "/go") << "";
  EXPECT_TRUE(Gets("db", State::kReady));
}

// --- Sockets ----------------------------------------------------------------------------------

TEST_F(ServiceRunnerTest, OnDemandServiceGetsItsSocketsAtTheFirstConnection) {
  ServiceConfig& web =
      Add("web",
          "echo $LISTEN_FDS $LISTEN_FDNAMES; test $LISTEN_PID = $$ && echo own; "
          "perl -MSocket -e 'open(L, \"+<&=3\"); accept(C, L); syswrite(C, \"hello\")'");
  web.on_demand = true;
  web.sockets = {{.name = "http", .listen = "unix:" + dir_ + "/sub/web.sock", .mode = 0600},
                 {.name = "admin", .listen = "tcp:127.0.0.1:0"}};
  Begin();
  EXPECT_EQ(Row("web").state, State::kWaiting);
  struct stat info = {};
  ASSERT_EQ(stat((dir_ + "/sub/web.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (dir_ + "/sub/web.sock").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_TRUE(Until([&] { return Row("web").exit_code == 0; }));
  char text[5];
  ASSERT_EQ(read(fd.get(), text, 5), 5);
  EXPECT_EQ(std::string_view(text, 5), "hello");
  EXPECT_EQ(Out(), "2 http:admin\nown\n");
  EXPECT_TRUE(Gets("web", State::kWaiting));
}

TEST_F(ServiceRunnerTest, ASocketThatCannotBeOpenedIsItsServicesFailure) {
  ServiceConfig& web = Add("web", kSleep);
  web.sockets = {{.name = "a", .listen = "unix:" + std::string(200, 'x')}};
  web.restart.when = RestartWhen::kNever;
  Add("other", kSleep);
  Begin();
  EXPECT_EQ(Row("web").state, State::kFailed);
  EXPECT_THAT(Row("web").detail, HasSubstr("socket: EINVAL"));
  EXPECT_EQ(Row("other").state, State::kReady);
}

TEST_F(ServiceRunnerTest, ASocketThatCouldNotBeOpenedIsTriedAgainAtTheNextStart) {
  std::ofstream(dir_ + "/run") << "";
  ServiceConfig& web = Add("web", "echo $LISTEN_FDS; exec sleep 1000");
  web.sockets = {{.name = "a", .listen = "unix:" + dir_ + "/first.sock"},
                 {.name = "b", .listen = "unix:" + dir_ + "/run/web.sock"}};
  web.restart.when = RestartWhen::kNever;
  Begin();
  ASSERT_EQ(Row("web").state, State::kFailed) << "a file stands where its directory should";
  struct stat before = {};
  ASSERT_EQ(stat((dir_ + "/first.sock").c_str(), &before), 0);
  std::filesystem::remove(dir_ + "/run");
  EXPECT_EQ(Ask(ServiceVerb::kStart, "web").answer.errnum, 0);
  ASSERT_TRUE(Until([&] { return Out() == "2\n"; }));
  struct stat after = {};
  ASSERT_EQ(stat((dir_ + "/first.sock").c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino) << "who waits at the first was let down";
}

TEST_F(ServiceRunnerTest, MoreSocketsThanCanBePassedOnAreRefusedByName) {
  ServiceConfig& web = Add("web", kSleep);
  web.sockets.assign(kMaxServiceSockets + 1, {.name = "a", .listen = "tcp:127.0.0.1:0"});
  web.restart.when = RestartWhen::kNever;
  Begin();
  EXPECT_EQ(Row("web").state, State::kFailed);
  EXPECT_THAT(Row("web").detail, HasSubstr("sockets of web"));
}

// --- Orders -----------------------------------------------------------------------------------

TEST_F(ServiceRunnerTest, OrdersAreAnsweredWhenTheyAreDone) {
  Add("db", kSleep);
  Add("web", kSleep).enabled = false;
  Begin();
  const ServiceReply list = Ask(ServiceVerb::kList, "");
  ASSERT_EQ(list.rows.size(), 2U);
  EXPECT_EQ(list.rows[0].state, State::kReady);
  EXPECT_EQ(list.rows[1].state, State::kInactive);
  EXPECT_EQ(Ask(ServiceVerb::kStart, "web").answer.errnum, 0);
  EXPECT_EQ(Row("web").state, State::kReady);
  const pid_t before = Row("web").pid;
  EXPECT_EQ(Ask(ServiceVerb::kRestart, "web").answer.errnum, 0);
  EXPECT_NE(Row("web").pid, before);
  EXPECT_EQ(Ask(ServiceVerb::kStop, "web").answer.errnum, 0);
  EXPECT_EQ(Row("web").state, State::kInactive);
  EXPECT_EQ(Ask(ServiceVerb::kReload, "web").answer.errnum, ESRCH);
  const ServiceReply unknown = Ask(ServiceVerb::kStart, "nothing");
  EXPECT_EQ(unknown.answer.errnum, ENOENT);
  EXPECT_THAT(unknown.answer.message, HasSubstr("no service \"nothing\""));
  EXPECT_EQ(Ask(ServiceVerb::kStatus, "db").rows.at(0).pid, Row("db").pid);
}

TEST_F(ServiceRunnerTest, TimeoutOfAnOrderLeavesItGoingOn) {
  Add("db", kSleep).ready.notify = true;
  config_.services[0].enabled = false;
  Begin();
  ServiceRequest request{.verb = ServiceVerb::kStart, .timeout_ms = 50, .name = "db"};
  std::atomic<bool> done = false;
  Result<ServiceReply> reply = Fail("test", 0, "");
  std::thread client([&] {
    reply = AskServices((dir_ + "/init.sock").c_str(), request, "", Deadline::In(30s));
    done = true;
  });
  EXPECT_TRUE(Until([&] { return done.load(); }));
  client.join();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->answer.errnum, ETIMEDOUT);
  EXPECT_EQ(Row("db").state, State::kStarting);
}

TEST_F(ServiceRunnerTest, ConfigureIsTakenOnceAndReleasesWhoWaits) {
  Add("app", kSleep).wait_for_configure = true;
  Begin();
  EXPECT_EQ(Row("app").state, State::kWaiting);
  const ServiceReply refused = Ask(ServiceVerb::kConfigure, "", "bad");
  EXPECT_EQ(refused.answer.errnum, EINVAL);
  EXPECT_STREQ(refused.answer.message, "bad text");
  EXPECT_EQ(Row("app").state, State::kWaiting);
  EXPECT_EQ(Ask(ServiceVerb::kConfigure, "", "hostname = \"a\"").answer.errnum, 0);
  EXPECT_EQ(configured_, "hostname = \"a\"");
  EXPECT_EQ(Row("app").state, State::kReady);
  EXPECT_EQ(Ask(ServiceVerb::kConfigure, "", "").answer.errnum, EALREADY);
}

TEST_F(ServiceRunnerTest, ClientsBeyondTheBoundAreRefusedAndSilentOnesLetGo) {
  Add("db", kSleep);
  Begin();
  std::vector<UniqueFd> clients;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (dir_ + "/init.sock").copy(address.sun_path, sizeof(address.sun_path) - 1);
  for (int i = 0; i < kMaxServiceClients; ++i) {
    clients.emplace_back(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(clients.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);
    Turn(Deadline::In(10s));
  }
  EXPECT_EQ(Ask(ServiceVerb::kList, "").answer.errnum, EAGAIN);
  char byte;
  ASSERT_TRUE(Until([&] { return recv(clients[0].get(), &byte, 1, MSG_DONTWAIT) == 0; }));
  EXPECT_EQ(Ask(ServiceVerb::kList, "").answer.errnum, 0);
}

TEST_F(ServiceRunnerTest, HundredServicesAndAStormOfOrphans) {
  for (int i = 0; i < 100; ++i) Add("s" + std::to_string(i), kSleep);
  Add("storm", "i=0; while [ $i -lt 500 ]; do (true & true); i=$((i+1)); done").oneshot = true;
  Begin();
  ASSERT_TRUE(Gets("storm", State::kDone));
  ASSERT_TRUE(Gets("s99", State::kReady));
  EXPECT_EQ(Ask(ServiceVerb::kList, "").rows.size(), 101U);
}

TEST_F(ServiceRunnerTest, ShutdownStopsInReverseOrder) {
  const char* script = "trap 'echo $NAME; exit' TERM; echo up; while :; do sleep 1000 & wait; done";
  Add("db", script).env = {{"NAME", "db"}};
  Add("web", script).env = {{"NAME", "web"}};
  config_.services[1].after = {"db"};
  Begin();
  ASSERT_TRUE(Until([&] { return Out() == "up\nup\n"; }));
  runner_->BeginShutdown(Deadline::Clock::now() + 30s, Deadline::Clock::now());
  ASSERT_TRUE(Until([&] { return !runner_->any_running(); }));
  EXPECT_EQ(Out(), "up\nup\nweb\ndb\n");
}

}  // namespace
}  // namespace berth::init
