// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/find_program.h"

#include <gtest/gtest.h>

#include "supervisor/hypervisor/temp_dir.h"

namespace berth {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

TEST(FindProgram, TakesTheFirstExecutableOfTheSearchPath) {
  TempDir dir;
  dir.Put("a/tool", "no program");
  const std::string tool = dir.PutScript("b/tool", "#!/bin/sh\n");
  dir.PutScript("c/tool", "#!/bin/sh\n");
  const std::string path = dir.path() + "/a::" + dir.path() + "/b:" + dir.path() + "/c";
  EXPECT_EQ(*FindProgramIn("tool", path), tool);
  EXPECT_EQ(*FindProgramIn(tool, ""), tool);
  EXPECT_EQ(FindProgramIn("other", path).error().errnum, ENOENT);
  EXPECT_EQ(FindProgramIn(dir.path() + "/a/tool", path).error().errnum, EACCES);
  EXPECT_EQ(FindProgramIn(dir.path() + "/a", path).error().errnum, EACCES);
}

TEST(OutputOf, ReturnsWhatIsPrinted) {
  EXPECT_EQ(*OutputOf({"/bin/sh", "-c", "echo one; echo two >&2"}, 100, Deadline::In(10s)),
            "one\n");
}

TEST(OutputOf, FailureAndAbsenceAreErrors) {
  EXPECT_FALSE(OutputOf({"/bin/sh", "-c", "exit 3"}, 100, Deadline::In(10s)).has_value());
  EXPECT_EQ(OutputOf({"/nonexistent"}, 100, Deadline::In(10s)).error().errnum, ENOENT);
}

TEST(OutputOf, ProgramThatHangsIsKilledAtTheDeadline) {
  const auto begin = Deadline::Clock::now();
  const auto output = OutputOf({"/bin/sleep", "60"}, 100, Deadline::In(50ms));
  EXPECT_EQ(output.error().errnum, ETIMEDOUT);
  EXPECT_LT(Deadline::Clock::now() - begin, 10s);
}

TEST(OutputOf, FloodIsCutOff) {
  const auto output = OutputOf({"/usr/bin/yes"}, 10'000, Deadline::In(200ms));
  EXPECT_FALSE(output.has_value());
}

}  // namespace
}  // namespace berth
