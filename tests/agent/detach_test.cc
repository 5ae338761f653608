// SPDX-License-Identifier: Apache-2.0
//
// Sessions that outlive their connection, the list of sessions, and the end of all that one
// started.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

struct Detached {
  std::string session;
  uint32_t pid = 0;
};

v1::Envelope StartOf(v1::ExecStart request) {
  request.set_detach(true);
  v1::Envelope message;
  *message.mutable_exec_start() = std::move(request);
  return message;
}

// Starts it and goes away.
Detached Detach(const AgentRig& rig, v1::ExecStart request) {
  RawClient client(rig.Connect());
  client.SendBytes(RawClient::Hello(3));
  client.Send(StartOf(std::move(request)));
  const v1::Envelope started = client.ReadMessage();
  EXPECT_TRUE(started.has_exec_started()) << started.failure().detail();
  return {started.exec_started().session(), started.exec_started().pid()};
}

struct Attached {
  RawClient client;
  v1::ExecAttached said;
};

RawClient Ask(const AgentRig& rig, const std::string& session) {
  RawClient client(rig.Connect());
  v1::Envelope message;
  message.mutable_exec_attach()->set_session(session);
  client.SendBytes(RawClient::Hello(3));
  client.Send(message);
  return client;
}

Attached Attach(const AgentRig& rig, const std::string& session) {
  RawClient client = Ask(rig, session);
  const v1::Envelope answer = client.ReadMessage();
  EXPECT_TRUE(answer.has_exec_attached()) << answer.failure().detail();
  return {std::move(client), answer.exec_attached()};
}

v1::Envelope Call(const AgentRig& rig, v1::SessionsCall::Verb verb, const std::string& session = {},
                  uint32_t signal = 0) {
  RawClient client(rig.Connect());
  v1::Envelope message;
  message.mutable_sessions_call()->set_verb(verb);
  message.mutable_sessions_call()->set_session(session);
  message.mutable_sessions_call()->set_signal(signal);
  client.SendBytes(RawClient::Hello(3));
  client.Send(message);
  return client.ReadMessage();
}

v1::SessionsReply List(const AgentRig& rig) {
  return Call(rig, v1::SessionsCall::LIST).sessions_reply();
}

bool Ended(const AgentRig& rig, const std::string& session) {
  for (const auto& row : List(rig).sessions()) {
    if (row.id() == session) return row.end_us() != 0;
  }
  return false;
}

TEST(DetachTest, ASessionOutlivesItsConnectionAndGoesOnWithTheNext) {
  const AgentRig rig;
  v1::ExecStart request = Shell("echo one; read line; echo got $line; exit 5");
  request.set_stdin_open(true);
  const Detached session = Detach(rig, request);
  EXPECT_EQ(session.session.size(), wire::kSessionIdBytes);
  {
    Attached first = Attach(rig, session.session);
    EXPECT_EQ(first.said.pid(), session.pid);
    EXPECT_TRUE(first.said.stdin_open());
    EXPECT_EQ(first.said.stdin_window(), wire::kStdinWindowBytes);
    EXPECT_EQ(first.client.ReadStdoutLine(), "one");
  }
  Attached second = Attach(rig, session.session);
  EXPECT_EQ(second.client.ReadStdoutLine(), "one") << "what it said before is shown again";
  second.client.SendData(wire::Stream::kStdin, "two\n");
  EXPECT_EQ(second.client.ReadUntilExited().code(), 5U);
  EXPECT_EQ(second.client.stdout_text(), "one\ngot two\n");
}

TEST(DetachTest, AnEndedSessionTellsHowItEndedUntilItIsForgotten) {
  const AgentRig rig;
  const Detached session = Detach(rig, Shell("echo bye; kill -USR1 $$"));
  ASSERT_TRUE(Eventually([&] { return Ended(rig, session.session); }));
  for (int i = 0; i < 2; ++i) {
    Attached attached = Attach(rig, session.session);
    EXPECT_FALSE(attached.said.stdin_open());
    EXPECT_EQ(attached.client.ReadUntilExited().signal(), static_cast<uint32_t>(SIGUSR1));
    EXPECT_EQ(attached.client.stdout_text(), "bye\n");
  }
  EXPECT_TRUE(Call(rig, v1::SessionsCall::END, session.session).has_sessions_reply());
  EXPECT_TRUE(Eventually([&] { return List(rig).sessions().empty(); }));
  EXPECT_EQ(Ask(rig, session.session).ReadFailure().errnum(), ESRCH);
}

TEST(DetachTest, TheNewestClientHasTheSession) {
  const AgentRig rig;
  const Detached session = Detach(rig, Shell("echo here; sleep 1000"));
  Attached first = Attach(rig, session.session);
  EXPECT_EQ(first.client.ReadStdoutLine(), "here");
  Attached second = Attach(rig, session.session);
  EXPECT_EQ(second.client.ReadStdoutLine(), "here");
  const v1::Failure told = first.client.ReadFailure();
  EXPECT_EQ(told.errnum(), ECANCELED);
  EXPECT_THAT(told.detail(), HasSubstr("another client"));
}

TEST(DetachTest, WithoutAHostTheOldestOutputIsDroppedAndTheProgramGoesOn) {
  const AgentRig rig;
  const Detached session = Detach(rig, Shell("seq 1 300000; echo end >&2"));
  ASSERT_TRUE(Eventually([&] { return Ended(rig, session.session); }));
  Attached attached = Attach(rig, session.session);
  EXPECT_EQ(attached.client.ReadUntilExited().code(), 0U);
  EXPECT_THAT(attached.client.stdout_text(), ::testing::EndsWith("\n300000\n"));
  EXPECT_LE(attached.client.stdout_bytes(), wire::kMaxScrollbackBytes);
  // seq's output and "end\n", less what was still there.
  EXPECT_EQ(attached.said.lost_bytes() + attached.client.stdout_bytes() + 4, 1988895U + 4);
}

TEST(DetachTest, AHostThatDoesNotReadSlowsTheProgramAndLosesNothing) {
  const AgentRig rig;
  v1::ExecStart request = Shell("read go; seq 1 300000");
  request.set_stdin_open(true);
  const Detached waiting = Detach(rig, request);
  Attached attached = Attach(rig, waiting.session);
  attached.client.SendData(wire::Stream::kStdin, "go\n");
  EXPECT_EQ(attached.client.ReadUntilExited().code(), 0U);
  EXPECT_EQ(attached.client.stdout_bytes(), 1988895U);
  EXPECT_EQ(attached.said.lost_bytes(), 0U);
}

TEST(DetachTest, OnlySessionsWithDetachCanBeAttachedTo) {
  const AgentRig rig;
  RawClient plain(rig.Open(Shell("echo up; sleep 1000")));
  plain.ReadStarted();
  const v1::SessionsReply rows = List(rig);
  ASSERT_THAT(rows.sessions(), SizeIs(1));
  EXPECT_FALSE(rows.sessions(0).detach());
  EXPECT_TRUE(rows.sessions(0).attached());
  EXPECT_EQ(rows.sessions(0).command(), "/bin/sh -c echo up; sleep 1000");
  const v1::Failure refused = Ask(rig, rows.sessions(0).id()).ReadFailure();
  EXPECT_EQ(refused.errnum(), EPERM);
  EXPECT_THAT(refused.hint(), HasSubstr("--detach"));
}

TEST(DetachTest, SignalsAndTheEndReachASessionByItsId) {
  const AgentRig rig;
  const Detached trapped =
      Detach(rig, Shell("trap 'exit 9' USR2; echo up; while :; do sleep 0.01; done"));
  Attached attached = Attach(rig, trapped.session);
  EXPECT_EQ(attached.client.ReadStdoutLine(), "up");
  Call(rig, v1::SessionsCall::SIGNAL, trapped.session, SIGUSR2);
  EXPECT_EQ(attached.client.ReadUntilExited().code(), 9U);

  v1::ExecStart stubborn = Shell("trap '' TERM; echo up; while :; do sleep 0.01; done");
  stubborn.set_kill_grace_ms(50);
  const Detached deaf = Detach(rig, stubborn);
  Attached other = Attach(rig, deaf.session);
  EXPECT_EQ(other.client.ReadStdoutLine(), "up");
  Call(rig, v1::SessionsCall::END, deaf.session);
  const v1::ExecExited exited = other.client.ReadUntilExited();
  EXPECT_EQ(exited.signal(), static_cast<uint32_t>(SIGKILL));
  EXPECT_FALSE(exited.timed_out());
}

// A process that left the session and its group is ended with the rest.
TEST(DetachTest, TheEndOfASessionReachesWhatLeftItsProcessGroup) {
  const AgentRig rig;
  if (!rig.has_cgroups()) GTEST_SKIP() << "no cgroup2 that can be written";
  v1::ExecStart request =
      Shell("setsid sh -c 'trap \"\" HUP TERM; echo $$; exec sleep 1000' & wait");
  request.set_kill_grace_ms(50);
  RawClient client(rig.Open(request));
  client.ReadStarted();
  const auto pid = static_cast<uint32_t>(std::stoi(client.ReadStdoutLine()));
  client.Close();
  EXPECT_TRUE(Eventually([&] { return ProcessState(pid) == 0 || ProcessState(pid) == 'Z'; }));
}

TEST(DetachTest, ManySessionsOneAfterAnotherLeaveFewCgroups) {
  const AgentRig rig;
  for (int i = 0; i < 60; ++i) EXPECT_EQ(rig.Run(Command({"true"})).Code(), 0U);
  EXPECT_LE(rig.CountSessionCgroups(), 2);
}

TEST(DetachTest, ThirtyTwoAreEnoughAndEndedOnesMakeRoom) {
  const AgentRig rig;
  const Detached ended = Detach(rig, Command({"true"}));
  ASSERT_TRUE(Eventually([&] { return Ended(rig, ended.session); }));
  for (int i = 0; i < wire::kMaxDetachable; ++i) Detach(rig, Command({"sleep", "1000"}));
  RawClient client(rig.Connect());
  client.SendBytes(RawClient::Hello(3));
  client.Send(StartOf(Command({"true"})));
  EXPECT_EQ(client.ReadFailure().errnum(), EAGAIN);
}

}  // namespace
}  // namespace berth::testing
