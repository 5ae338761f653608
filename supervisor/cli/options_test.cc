// SPDX-License-Identifier: Apache-2.0
//
// From the command line to what berthd is asked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/session.h"
#include "supervisor/cli/spec_options.h"

namespace berth::cli {
namespace {

using std::chrono::milliseconds;

TEST(ParseDuration, TakesUnitsAndCountsSecondsWithout) {
  EXPECT_EQ(ParseDuration("500ms"), milliseconds(500));
  EXPECT_EQ(ParseDuration("8s"), milliseconds(8000));
  EXPECT_EQ(ParseDuration("8"), milliseconds(8000));
  EXPECT_EQ(ParseDuration("2m"), milliseconds(120'000));
  EXPECT_EQ(ParseDuration("1h"), milliseconds(3'600'000));
  for (const char* bad : {"", "s", "-1s", "1d", "1.5s", "99999999999999999999", "999999999h"}) {
    EXPECT_THROW(ParseDuration(bad), CLI::ValidationError) << bad;
  }
}

TEST(ParseMemory, TakesMebibytesAndGibibytes) {
  EXPECT_EQ(ParseMemoryMib("256"), 256U);
  EXPECT_EQ(ParseMemoryMib("256M"), 256U);
  EXPECT_EQ(ParseMemoryMib("2G"), 2048U);
  for (const char* bad : {"", "M", "1T", "-1", "1.5G"}) {
    EXPECT_THROW(ParseMemoryMib(bad), CLI::ValidationError) << bad;
  }
}

TEST(ParseDisk, TakesItsParts) {
  EXPECT_EQ(ParseDisk("/d/a.img"), json({{"path", "/d/a.img"}}));
  EXPECT_EQ(
      ParseDisk("/d/a.img,ro,format=qcow2,serial=data"),
      json({{"path", "/d/a.img"}, {"read_only", true}, {"format", "qcow2"}, {"serial", "data"}}));
  EXPECT_THROW(ParseDisk("/d/a.img,rw"), CLI::ValidationError);
}

TEST(ToSpec, HoldsWhatWasGivenAndNothingElse) {
  SpecOptions options;
  options.image = "/images/demo/";
  EXPECT_EQ(ToSpec("vm", options), json({{"name", "vm"}, {"image", "/images/demo"}}));
  options.append = {"quiet", "root=/dev/vda"};
  options.vcpus = 2;
  options.ready_ms = 8000;
  const json spec = ToSpec("vm", options);
  EXPECT_EQ(spec["cmdline"], "quiet root=/dev/vda");
  EXPECT_EQ(spec["vcpus"], 2);
  EXPECT_EQ(spec["timeouts_ms"], json({{"boot", 8000}}));
}

TEST(ToSpec, RelativePathsAreMeantFromHere) {
  SpecOptions options;
  options.image = "some/image";
  EXPECT_TRUE(ToSpec("vm", options)["image"].get<std::string>().starts_with("/"));
}

TEST(SessionParams, SplitUserAndGroupAndTakeVariablesFromHere) {
  setenv("BERTH_TEST_VARIABLE", "here", 1);
  SessionOptions options;
  options.user = "65534:nogroup";
  options.env = {"A=b=c", "BERTH_TEST_VARIABLE", "BERTH_TEST_NOT_SET"};
  const json params = SessionParams("vm", {"id"}, options);
  EXPECT_EQ(params["user"], "65534");
  EXPECT_EQ(params["group"], "nogroup");
  EXPECT_EQ(params["env"], json({"A=b=c", "BERTH_TEST_VARIABLE=here"}));
  EXPECT_FALSE(params["stdin"].get<bool>());
  EXPECT_FALSE(params.contains("rows"));
}

TEST(ExitCode, IsTheProgramsOwnOrItsSignals) {
  guest::ExecOutcome outcome;
  outcome.code = 7;
  EXPECT_EQ(ExitCodeOf(outcome), 7);
  outcome = {};
  outcome.signal = 9;
  EXPECT_EQ(ExitCodeOf(outcome), 137);
  outcome.timed_out = true;
  EXPECT_EQ(ExitCodeOf(outcome), 124);
}

TEST(ExitCode, TellsWhatTheGuestCouldNotExecuteFromWhatBerthCouldNotDo) {
  EXPECT_EQ(ExitCodeOf(Error{"guest", ENOENT, "exec: /no/such", {}}), 127);
  EXPECT_EQ(ExitCodeOf(Error{"guest", EACCES, "exec: /etc/passwd", {}}), 126);
  EXPECT_EQ(ExitCodeOf(Error{"guest", ENOENT, "chdir: /no/such", {}}), 125);
  EXPECT_EQ(ExitCodeOf(Error{"session", ECONNRESET, "", {}}), 125);
  EXPECT_EQ(ExitCodeOf(Error{"interrupted", EINTR, "signal 2", {}}), 130);
}

TEST(OutcomeJson, KeepsCodeAndSignalApart) {
  guest::ExecOutcome outcome;
  outcome.signal = 9;
  const json out = ToJson(outcome);
  EXPECT_TRUE(out["code"].is_null());
  EXPECT_EQ(out["signal"], 9);
}

}  // namespace
}  // namespace berth::cli
