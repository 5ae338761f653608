// SPDX-License-Identifier: Apache-2.0
//
// From the command line to what berthd is asked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/session.h"
#include "supervisor/cli/spec_options.h"
#include "supervisor/hypervisor/vm_spec.h"

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
  options.log_limit = "128M";
  const json spec = ToSpec("vm", options);
  EXPECT_EQ(spec["cmdline"], "quiet root=/dev/vda");
  EXPECT_EQ(spec["vcpus"], 2);
  EXPECT_EQ(spec["logs"], json({{"max_bytes", 134'217'728}}));
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

TEST(ExitCode, OfAVmIsItsMainServices) {
  const auto code = [](const json& guest_exit) {
    return ExitCodeOfGuest({{"state", "Stopped"}, {"guest_exit", guest_exit}});
  };
  EXPECT_EQ(code({{"cause", "main"}, {"service", "web"}, {"code", 3}}), 3);
  EXPECT_EQ(code({{"cause", "main"}, {"service", "web"}, {"signal", 9}}), 137);
  EXPECT_EQ(code({{"cause", "signal"}, {"by", "SIGTERM"}}), 0);
  EXPECT_EQ(code({{"cause", "crash-loop"}, {"service", "web"}}), 125);
  EXPECT_EQ(code({{"cause", "main"}, {"service", "web"}, {"code", 4294967295U}}), 255);
  EXPECT_EQ(ExitCodeOfGuest({{"state", "Stopped"}}), 125) << "how it ended is not known";
  EXPECT_EQ(ExitCodeOfGuest({{"state", "Stopped"}, {"guest_exit", nullptr}}), 125);
  EXPECT_EQ(ExitCodeOfGuest({{"state", "Failed"}}), 125);
}

// Runs a command line up to its first call, for which there is no daemon.
int RunLine(void (*add)(CLI::App&, Shared&), std::vector<std::string> args) {
  Shared shared;
  shared.socket = "/no/such/daemon";
  CLI::App app;
  add(app, shared);
  std::ranges::reverse(args);
  app.parse(std::move(args));
  return shared.chosen();
}

TEST(Usage, OfServiceIsCheckedBeforeAnybodyIsAsked) {
  EXPECT_THROW(RunLine(AddService, {"service", "vm", "start"}), CLI::ValidationError);
  EXPECT_THROW(RunLine(AddService, {"service", "vm", "ls", "web"}), CLI::ValidationError);
  EXPECT_THROW(RunLine(AddService, {"service", "vm", "stop", "web", "--timeout", "61m"}),
               CLI::ValidationError);
  EXPECT_EQ(RunLine(AddService, {"service", "vm", "stop", "web", "--timeout", "1h"}), 5);
  EXPECT_EQ(RunLine(AddService, {"service", "vm"}), 5);
}

TEST(Usage, OfRunWithoutACommandHasNoOptionsOfOne) {
  for (const char* option : {"-i", "-t", "-eA=b", "-w/", "-u0"}) {
    EXPECT_THROW(RunLine(AddRun, {"run", option, "image"}), CLI::ValidationError) << option;
  }
  EXPECT_EQ(RunLine(AddRun, {"run", "--timeout", "1s", "image"}), 125);
}

TEST(GuestConfig, IsReadAndItsSizeAndTextAreChecked) {
  char path[] = "/tmp/berth-config-XXXXXX";
  const UniqueFd file(mkstemp(path));
  ASSERT_TRUE(file);
  const auto write = [&](const std::string& text) {
    EXPECT_EQ(ftruncate(file.get(), 0), 0);
    EXPECT_EQ(pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  };
  write("hostname = \"ä\"\n");
  SpecOptions options;
  options.image = "/i";
  options.guest_config = path;
  EXPECT_EQ(ToSpec("vm", options)["guest_config"], "hostname = \"ä\"\n");
  write("\xff");
  EXPECT_THROW(ReadGuestConfig(path), CLI::ValidationError);
  write(std::string(kMaxGuestConfigBytes, '#'));
  EXPECT_EQ(ReadGuestConfig(path).size(), kMaxGuestConfigBytes);
  write(std::string(kMaxGuestConfigBytes + 1, '#'));
  EXPECT_THROW(ReadGuestConfig(path), CLI::ValidationError);
  unlink(path);
  EXPECT_THROW(ReadGuestConfig(path), CLI::ValidationError);
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
