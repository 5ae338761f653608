// SPDX-License-Identifier: Apache-2.0
//
// The transition table, pair by pair, against a copy of it written out by hand: a change of the
// lifecycle has to be made in two places, on purpose.
#include "supervisor/lifecycle/state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace berth::lifecycle {
namespace {

using Pair = std::pair<std::string, std::string>;

const std::map<Pair, std::string>& Expected() {
  static const std::map<Pair, std::string> table{
      {{"Pending", "provision"}, "Provisioning"},
      {{"Provisioning", "provisioned"}, "Configured"},
      {{"Provisioning", "provision-failed"}, "Failed"},
      {{"Configured", "launch"}, "Starting"},
      {{"Starting", "ready"}, "Running"},
      {{"Starting", "stop"}, "Stopping"},
      {{"Starting", "launch-failed"}, "StartFailed"},
      {{"StartFailed", "retry"}, "Starting"},
      {{"StartFailed", "teardown-failed"}, "Failed"},
      {{"StartFailed", "provision"}, "Provisioning"},
      {{"Running", "stop"}, "Stopping"},
      {{"Running", "powered-off"}, "Stopping"},
      {{"Running", "crashed"}, "Failed"},
      {{"Stopping", "ended"}, "Stopped"},
      {{"Stopping", "crashed"}, "Failed"},
      {{"Stopping", "teardown-failed"}, "Failed"},
      {{"Stopped", "provision"}, "Provisioning"},
      {{"Failed", "provision"}, "Provisioning"},
  };
  return table;
}

TEST(TransitionTable, EveryPairLeadsWhereItShouldOrIsAnErrorThatNamesBoth) {
  size_t edges = 0;
  for (const StateInfo& state : kStateInfo) {
    for (const EventInfo& event : kEventInfo) {
      const auto found = Expected().find({std::string(state.name), std::string(event.name)});
      const auto next = Advance(state.state, event.event);
      if (found != Expected().end()) {
        ++edges;
        ASSERT_TRUE(next) << state.name << " + " << event.name;
        EXPECT_EQ(Name(*next), found->second) << state.name << " + " << event.name;
      } else {
        ASSERT_FALSE(next) << state.name << " + " << event.name << " leads to " << Name(*next);
        EXPECT_NE(next.error().detail.find(state.name), std::string::npos);
        EXPECT_NE(next.error().detail.find(event.name), std::string::npos);
      }
    }
  }
  EXPECT_EQ(edges, Expected().size());
  EXPECT_EQ(kEdges.size(), Expected().size());
}

TEST(TransitionTable, NamesAreUniqueAndLeadBackToTheirStates) {
  std::set<std::string_view> names;
  for (const StateInfo& info : kStateInfo) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(StateNamed(info.name), info.state);
  }
  EXPECT_EQ(StateNamed("running"), std::nullopt);
  std::set<std::string_view> events;
  for (const EventInfo& info : kEventInfo) EXPECT_TRUE(events.insert(info.name).second);
}

TEST(TransitionTable, EveryStateWithoutProcessesThatIsNoEntryCanStartAgain) {
  for (const State state : {State::kStopped, State::kStartFailed, State::kFailed}) {
    EXPECT_EQ(Next(state, Event::kProvision), State::kProvisioning) << Name(state);
    EXPECT_TRUE(Info(state).may_remove);
  }
}

}  // namespace
}  // namespace berth::lifecycle
