// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/control_protocol.h"

#include <gtest/gtest.h>

#include "supervisor/hypervisor/temp_dir.h"

namespace berth::shim {
namespace {

ExitRecord ExampleRecord() {
  ExitRecord record;
  record.signal = 9;
  record.reason = ExitReason::kKilled;
  record.kill_requested = true;
  record.monotonic_ns = 1;
  record.realtime_ns = 1'795'249'761'000'000'000;
  record.utime_us = 3;
  record.stime_us = 4;
  record.maxrss_kib = 5;
  record.vsock_restarts = 6;
  return record;
}

Status ExampleStatus() {
  Status status;
  status.phase = Phase::kEnding;
  status.pid = 10;
  status.vsock_pid = 11;
  status.paused = true;
  status.vsock = VsockState::kLost;
  status.vsock_restarts = 1;
  status.console_bytes = 2;
  status.console_lost_bytes = 3;
  status.log_lost_bytes = 4;
  status.qmp_dropped = 5;
  status.clients_dropped = 6;
  return status;
}

TEST(ControlProtocol, EventsSurviveTheWire) {
  const Event events[] = {
      Started{1, 2, 3},       VsockRestarted{4, 5},
      VsockLost{6, "why"},    ExampleStatus(),
      RequestRefused{"what"}, Failure{"spawn-hypervisor", ENOENT, "/usr/bin/qemu", "install it"},
      ExampleRecord()};
  for (const Event& event : events) {
    std::string line = Encode(event);
    ASSERT_EQ(line.back(), '\n');
    line.pop_back();
    EXPECT_EQ(line.find('\n'), line.npos);
    const auto parsed = ParseEvent(line);
    ASSERT_TRUE(parsed.has_value()) << line << parsed.error().Message();
    EXPECT_EQ(*parsed, event) << line;
  }
}

TEST(ControlProtocol, RequestsSurviveTheWire) {
  for (const Op op : {Op::kStatus, Op::kKill}) {
    std::string line = Encode(op);
    line.pop_back();
    EXPECT_EQ(ParseRequest(line).value(), op);
  }
  EXPECT_EQ(Encode(Op::kKill), "{\"op\":\"kill\"}\n");
}

TEST(ControlProtocol, RefusesWhatItDoesNotKnow) {
  for (const char* line : {"", "{}", "[]", "kill", "{\"op\":\"reboot\"}", "{\"op\":1}",
                           "{\"op\":null}", "{\"op\":\"kill\"", "[[[[[[[[", "\xff"}) {
    EXPECT_FALSE(ParseRequest(line).has_value()) << line;
  }
  for (const char* line :
       {"", "{}", "{\"event\":\"begun\"}", "{\"event\":\"started\"}",
        "{\"event\":\"started\",\"pid\":-1}", "{\"event\":\"started\",\"pid\":\"1\"}",
        "{\"event\":\"exited\"}", "{\"event\":\"exited\",\"reason\":\"bored\"}",
        "{\"event\":\"exited\",\"reason\":\"killed\",\"signal\":1000}", "{\"event\":\"failed\"}",
        "{\"event\":\"status\",\"phase\":7}"}) {
    EXPECT_FALSE(ParseEvent(line).has_value()) << line;
  }
}

TEST(ControlProtocol, FieldsOfALaterShimAreLetBe) {
  EXPECT_TRUE(ParseEvent(R"({"event":"started","pid":1,"colour":"blue"})").has_value());
}

TEST(ExitRecord, TellsCodeSignalAndNeitherApart) {
  ExitRecord record = ExampleRecord();
  record.signal.reset();
  EXPECT_EQ(ExitRecordFromJson(ToJson(record)).value(), record);
  record.code = 0;
  EXPECT_EQ(ExitRecordFromJson(ToJson(record)).value(), record);
  record.failure = Failure{"hypervisor-exit", 0, "exit code 1", ""};
  record.reason = ExitReason::kLaunchFailed;
  EXPECT_EQ(ExitRecordFromJson(ToJson(record)).value(), record);
}

TEST(ExitRecord, EveryReasonHasItsName) {
  for (int i = 0; i <= static_cast<int>(ExitReason::kUnknown); ++i) {
    const auto reason = static_cast<ExitReason>(i);
    EXPECT_EQ(ParseExitReason(Name(reason)), reason);
  }
  EXPECT_EQ(ParseExitReason("bored"), std::nullopt);
}

TEST(ExitRecord, FileThatIsMissingOrTornIsTold) {
  TempDir dir;
  EXPECT_EQ(ReadExitRecord(dir.path() + "/exit.json").error().errnum, ENOENT);
  const std::string path = dir.Put("exit.json", "{\"reason\":");
  EXPECT_EQ(ReadExitRecord(path).error().errnum, EPROTO);
}

TEST(Failure, ReadsAsTheErrorItWas) {
  const Error error{"connect", ECONNREFUSED, "/run/x", "is it running?"};
  EXPECT_EQ(Failure::From(error).Message(), error.Message());
}

}  // namespace
}  // namespace berth::shim
