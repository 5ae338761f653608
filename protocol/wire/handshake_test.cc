// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/wire/limits.h"

namespace berth::wire {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::Hello Speaks(uint32_t oldest, uint32_t newest) {
  v1::Hello hello;
  hello.set_oldest_generation(oldest);
  hello.set_generation(newest);
  hello.set_build_id("build-" + std::to_string(newest));
  return hello;
}

TEST(HandshakeTest, TheLowerGenerationWins) {
  EXPECT_EQ(Negotiate(Speaks(1, 5), Speaks(2, 3)).value(), 3u);
  EXPECT_EQ(Negotiate(Speaks(2, 3), Speaks(1, 5)).value(), 3u);
  EXPECT_EQ(Negotiate(Speaks(1, 1), Speaks(1, 1)).value(), 1u);
}

TEST(HandshakeTest, WithoutACommonGenerationBothEndsAreNamed) {
  for (const auto& [ours, theirs] :
       {std::pair{Speaks(4, 5), Speaks(1, 3)}, std::pair{Speaks(1, 3), Speaks(4, 5)}}) {
    const auto agreed = Negotiate(ours, theirs);
    ASSERT_FALSE(agreed);
    EXPECT_EQ(agreed.error().errnum, EPROTONOSUPPORT);
    for (const char* part : {"4–5", "1–3", "build-5", "build-3"}) {
      EXPECT_THAT(agreed.error().detail, HasSubstr(part));
    }
  }
}

TEST(HandshakeTest, AHelloThatMakesNoSenseIsAProtocolError) {
  for (const auto& theirs : {Speaks(0, 0), Speaks(0, 1), Speaks(2, 1)}) {
    const auto agreed = Negotiate(Speaks(1, 1), theirs);
    ASSERT_FALSE(agreed);
    EXPECT_EQ(agreed.error().errnum, EPROTO);
  }
}

TEST(HandshakeTest, WhatAPeerSaysOfItselfCannotPaintTheTerminal) {
  v1::Hello theirs = Speaks(7, 7);
  theirs.set_build_id("\x1b[2Jevil\n" + std::string(10000, 'x'));
  const auto agreed = Negotiate(Speaks(1, 1), theirs);
  ASSERT_FALSE(agreed);
  EXPECT_THAT(agreed.error().detail, Not(HasSubstr("\x1b")));
  EXPECT_LT(agreed.error().detail.size(), 2 * kMaxNameBytes);
}

TEST(FailureTest, CarriesAnErrorAcross) {
  const Error error =
      FromFailure(ToFailure(Error{"chdir", ENOENT, "/nowhere", "make the directory"}));
  EXPECT_EQ(error.step, Step("guest"));
  EXPECT_EQ(error.errnum, ENOENT);
  EXPECT_EQ(error.detail, "chdir: /nowhere");
  EXPECT_EQ(error.hint, "make the directory");
}

TEST(FailureTest, TextsAreCutAndClean) {
  EXPECT_EQ(ToFailure(Error{"x", 0, std::string(kMaxFailureBytes + 1, 'd'), ""}).detail().size(),
            kMaxFailureBytes);
  v1::Failure hostile;
  hostile.set_step(std::string(100'000, 's'));
  hostile.set_detail("a\tb\x7f" + std::string(100'000, 'd'));
  const Error error = FromFailure(hostile);
  EXPECT_LE(error.detail.size(), kMaxNameBytes + kMaxFailureBytes + 2);
  EXPECT_THAT(error.detail, HasSubstr("a?b?"));
}

TEST(FailureTest, TextsThatAreNoUtf8AreMadeIt) {
  const std::string cut_within = std::string(kMaxFailureBytes - 1, 'd') + "ö";
  const v1::Failure failure = ToFailure(Error{"exec", ENOENT, "caf\xe9", cut_within});
  EXPECT_EQ(failure.detail(), "caf?");
  EXPECT_EQ(failure.hint(), std::string(kMaxFailureBytes - 1, 'd'));
  v1::Failure parsed;
  ASSERT_TRUE(parsed.ParseFromString(failure.SerializeAsString()));
  EXPECT_EQ(parsed.detail(), failure.detail());
  EXPECT_EQ(parsed.hint(), failure.hint());
}

TEST(FailureTest, AnErrnoThatNoKernelHasIsNone) {
  v1::Failure failure;
  for (const int errnum : {-5, 4096}) {
    failure.set_errnum(errnum);
    EXPECT_EQ(FromFailure(failure).errnum, 0) << errnum;
  }
}

}  // namespace
}  // namespace berth::wire
