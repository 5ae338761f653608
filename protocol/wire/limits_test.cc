// SPDX-License-Identifier: Apache-2.0
//
// docs/protocol.md is what authors of other clients read: its table of limits says what limits.h
// says.
#include "protocol/wire/limits.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "protocol/base/io.h"

namespace berth::wire {
namespace {

int64_t Ms(auto duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

// Every constant of limits.h; durations in milliseconds.
const std::map<std::string, int64_t>& Limits() {
#define BERTH_LIMIT(name) {#name, static_cast<int64_t>(name)}
  static const std::map<std::string, int64_t> limits = {
      BERTH_LIMIT(kAgentPort),
      BERTH_LIMIT(kReadyPort),
      BERTH_LIMIT(kFrameHeaderBytes),
      BERTH_LIMIT(kMaxMessageBytes),
      BERTH_LIMIT(kMaxReadyBytes),
      BERTH_LIMIT(kMaxDataBytes),
      BERTH_LIMIT(kMaxMessageDepth),
      BERTH_LIMIT(kMaxArgs),
      BERTH_LIMIT(kStdinWindowBytes),
      BERTH_LIMIT(kMaxEnv),
      BERTH_LIMIT(kMaxGroups),
      BERTH_LIMIT(kMaxBootPhases),
      BERTH_LIMIT(kMaxRlimits),
      BERTH_LIMIT(kMaxSignal),
      BERTH_LIMIT(kMaxWindowCells),
      BERTH_LIMIT(kMaxPingBytes),
      BERTH_LIMIT(kMaxNameBytes),
      BERTH_LIMIT(kMaxPathBytes),
      BERTH_LIMIT(kMaxFailureBytes),
      BERTH_LIMIT(kMaxScrollbackBytes),
      BERTH_LIMIT(kMaxDetachable),
      BERTH_LIMIT(kMaxSessions),
      BERTH_LIMIT(kMaxCommandBytes),
      BERTH_LIMIT(kSessionIdBytes),
      BERTH_LIMIT(kMaxServices),
      BERTH_LIMIT(kMaxServiceNameBytes),
      BERTH_LIMIT(kMaxServiceTextBytes),
      BERTH_LIMIT(kMaxMistakesBytes),
      BERTH_LIMIT(kMaxConfigBytes),
      BERTH_LIMIT(kMaxErrno),
      BERTH_LIMIT(kMaxFollowers),
      BERTH_LIMIT(kMaxCopyNameBytes),
      BERTH_LIMIT(kMaxCopyTargetBytes),
      BERTH_LIMIT(kMaxCopyDepth),
      BERTH_LIMIT(kMaxCopyLinks),
      BERTH_LIMIT(kMaxCopyLinkBytes),
      BERTH_LIMIT(kMaxCopyNotes),
      BERTH_LIMIT(kMaxCopies),
      BERTH_LIMIT(kMaxCopyEntries),
      BERTH_LIMIT(kMaxCopyBytes),
      {"kCopyGuestTimeout", Ms(kCopyGuestTimeout)},
      {"kCopyHostTimeout", Ms(kCopyHostTimeout)},
      BERTH_LIMIT(kMaxForwards),
      BERTH_LIMIT(kMaxForwardHostBytes),
      BERTH_LIMIT(kMaxUnixPathBytes),
      BERTH_LIMIT(kMaxForwardMessageBytes),
      {"kForwardTimeout", Ms(kForwardTimeout)},
      BERTH_LIMIT(kMaxStatsDisks),
      BERTH_LIMIT(kMaxStatsFileSystems),
      BERTH_LIMIT(kMaxStatsInterfaces),
      BERTH_LIMIT(kMaxStatsGroups),
      BERTH_LIMIT(kMaxStatsTextBytes),
      BERTH_LIMIT(kMaxUnheardOomKills),
      BERTH_LIMIT(kMaxHealthChecks),
      BERTH_LIMIT(kMaxHealthRows),
      BERTH_LIMIT(kMaxHealthNameBytes),
      BERTH_LIMIT(kMaxHealthTextBytes),
      BERTH_LIMIT(kMaxHealthOutputBytes),
      BERTH_LIMIT(kMaxHttpReplyBytes),
      {"kHealthBellPause", Ms(kHealthBellPause)},
      BERTH_LIMIT(kClockSamples),
      {"kClockStepThreshold", Ms(kClockStepThreshold)},
      BERTH_LIMIT(kMinReseedBytes),
      BERTH_LIMIT(kMaxReseedBytes),
      {"kDefaultFreezeTimeout", Ms(kDefaultFreezeTimeout)},
      {"kMaxFreezeTimeout", Ms(kMaxFreezeTimeout)},
      BERTH_LIMIT(kMaxFreezeMounts),
      {"kHandshakeTimeout", Ms(kHandshakeTimeout)},
      {"kFrameTimeout", Ms(kFrameTimeout)},
      {"kIdleTimeout", Ms(kIdleTimeout)},
      {"kDefaultKillGrace", Ms(kDefaultKillGrace)},
      {"kMaxTimeout", Ms(kMaxTimeout)},
      {"kCallTimeout", Ms(kCallTimeout)},
      {"kKeepEnded", Ms(kKeepEnded)},
      {"kDefaultServiceTimeout", Ms(kDefaultServiceTimeout)},
      {"kMaxServiceTimeout", Ms(kMaxServiceTimeout)},
      {"kEventAckTimeout", Ms(kEventAckTimeout)},
  };
#undef BERTH_LIMIT
  return limits;
}

TEST(LimitsTest, EachConstantIsInTheTable) {
  const auto source = ReadFile(BERTH_SOURCE_DIR "/protocol/wire/limits.h", 1 << 20).value();
  size_t count = 0;
  for (size_t at = 0; (at = source.find("inline constexpr", at)) != std::string::npos; ++at)
    ++count;
  EXPECT_EQ(count, Limits().size())
      << "a constant was added to limits.h: add it here and to the docs";
}

TEST(LimitsTest, TheDocumentSaysTheSame) {
  const auto doc = ReadFile(BERTH_SOURCE_DIR "/docs/protocol.md", 1 << 20).value();
  for (const auto& [name, value] : Limits()) {
    // "| `kMaxArgs` | 4096 | …": the number, without its unit and thousands.
    const size_t row = doc.find("| `" + name + "` | ");
    ASSERT_NE(row, std::string::npos) << name << " is missing in docs/protocol.md";
    const size_t number = row + name.size() + 7;
    EXPECT_EQ(std::stoll(doc.substr(number)), value) << name;
  }
}

}  // namespace
}  // namespace berth::wire
