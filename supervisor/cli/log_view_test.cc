// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/log_view.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <CLI/CLI.hpp>

#include "supervisor/cli/log_time.h"

namespace berth::cli {
namespace {

using nlohmann::json;

constexpr int64_t kNoon = 1'795'262'400'123'000'000;  // 2026-11-21T12:00:00.123Z

void SetZone(const char* zone) {
  setenv("TZ", zone, 1);
  tzset();
}

json Line(const std::string& text, bool partial = false, const std::string& source = "web",
          bool to_stderr = false, const std::string& boot = "aaaaaaaaaaaaaaaa") {
  return {{"cursor", "c"},       {"seq", 1},           {"boot", boot},
          {"time_ns", kNoon},    {"source", source},   {"level", "info"},
          {"stderr", to_stderr}, {"partial", partial}, {"text", text}};
}

json GapLine(uint64_t from, uint64_t to, const std::string& by, json why) {
  return {{"cursor", "c"},
          {"seq", from},
          {"boot", "aaaaaaaaaaaaaaaa"},
          {"time_ns", kNoon},
          {"gap", {{"from", from}, {"to", to}, {"by", by}, {"why", std::move(why)}}}};
}

std::string Show(const std::vector<json>& records, LogViewOptions options = {.utc = true}) {
  std::string out;
  LogView view(options, [&](const std::string& line) { out += line; });
  for (const json& record : records) view.Take(record);
  view.Finish();
  return out;
}

TEST(LogView, ShowsTimeSourceAndText) {
  json bytes = Line("");
  bytes.erase("text");
  bytes["text_base64"] = "/wBh";  // ff 00 'a'
  EXPECT_EQ(Show({Line("hello"), Line("ouch", false, "web", true), bytes}),
            "2026-11-21T12:00:00.123Z web: hello\n"
            "2026-11-21T12:00:00.123Z web!: ouch\n"
            "2026-11-21T12:00:00.123Z web: ??a\n");
  SetZone("<+0130>-01:30");
  EXPECT_EQ(Show({Line("a")}, {}), "2026-11-21T13:30:00.123+01:30 web: a\n");
  SetZone("UTC0");
  EXPECT_EQ(Show({Line("a")}, {}), "2026-11-21T12:00:00.123Z web: a\n");
  EXPECT_EQ(Show({Line("a")}, {.time = false}), "web: a\n");
}

TEST(LogView, NothingOfAGuestDrivesATerminalUnlessItIsAskedForRaw) {
  const json line = Line(
      "\x1b[2J\ttab\r\xe2\x80\xae"
      "x",
      false,
      "we\x1b"
      "b");
  EXPECT_EQ(Show({line}, {.time = false}), "we?b: ?[2J\ttab??x\n");
  EXPECT_EQ(Show({line}, {.raw = true, .time = false}),
            "we?b: \x1b[2J\ttab\r\xe2\x80\xae"
            "x\n");
}

TEST(LogView, PutsTogetherWhatTheGuestHadToCut) {
  const LogViewOptions plain{.time = false};
  EXPECT_EQ(Show({Line("one ", true), Line("other", false, "db"), Line("err ", true, "web", true),
                  Line("two ", true), Line("three"), Line("four"), Line("end", false, "web", true)},
                 plain),
            "db: other\nweb: one two three\nweb: four\nweb!: err end\n");
  EXPECT_EQ(Show({Line("cut", true)}, plain), "web: cut\n") << "its rest never came";
  EXPECT_EQ(Show({Line("cut", true), GapLine(2, 3, "guest", nullptr), Line("rest")}, plain),
            "web: cut\n-- 2 lines lost (seq 2–3) --\nweb: rest\n");
  const std::string half(LogView::kMaxJoinedBytes / 2, 'x');
  EXPECT_EQ(Show({Line(half, true), Line(half, true), Line("rest")}, plain),
            "web: " + half + half + "\nweb: rest\n");
}

TEST(LogView, SaysWhatIsLostAndWhereABootBegins) {
  EXPECT_EQ(Show({GapLine(5, 1239, "guest", nullptr), GapLine(1240, 1240, "host", "ENOSPC"),
                  GapLine(1241, 1250, "host", "ENODATA"), Line("a"),
                  Line("b", false, "web", false, "bbbbbbbbbbbbbbbb")},
                 {.time = false}),
            "-- 1235 lines lost (seq 5–1239) --\n"
            "-- 1 line lost (seq 1240–1240): the host could not keep them: ENOSPC --\n"
            "-- 10 lines lost (seq 1241–1250): not kept any more --\n"
            "web: a\n-- boot bbbbbbbb --\nweb: b\n");
}

TEST(LogView, AsJsonEachRecordIsALine) {
  const json cut = Line("cut", true);
  const json gap = GapLine(1, 2, "guest", nullptr);
  EXPECT_EQ(Show({cut, gap}, {.json = true}), cut.dump() + "\n" + gap.dump() + "\n");
}

TEST(LogView, APatternIsMatchedToWholeLines) {
  LogViewOptions options{.time = false};
  options.pattern = std::make_shared<LinePattern>("^a+ b$|null");
  EXPECT_EQ(Show({Line("aa ", true), Line("b"), Line("xaa b"), Line(std::string("\0null", 5)),
                  GapLine(1, 2, "guest", nullptr)},
                 options),
            "web: aa b\nweb: ?null\n-- 2 lines lost (seq 1–2) --\n");
  EXPECT_THROW(LinePattern("("), CLI::ValidationError);
}

TEST(LogTime, ReadsWhatPeopleWrite) {
  SetZone("<+01>-01");
  constexpr int64_t kNow = 1'795'262'400'000;
  EXPECT_EQ(ParseLogTime("10m", kNow), 1'795'261'800'000U);
  EXPECT_EQ(ParseLogTime("500ms", kNow), 1'795'262'399'500U);
  EXPECT_EQ(ParseLogTime("8000h", 1000), 0U);
  EXPECT_EQ(ParseLogTime("2026-11-21 13:00:00", kNow), 1'795'262'400'000U);
  EXPECT_EQ(ParseLogTime("2026-11-21T13:00", kNow), 1'795'262'400'000U);
  EXPECT_EQ(ParseLogTime("2026-11-21", kNow), 1'795'215'600'000U);
  EXPECT_EQ(ParseLogTime("2026-11-21T12:00:00Z", kNow), 1'795'262'400'000U);
  EXPECT_EQ(ParseLogTime("2026-11-21T12:00:00.5Z", kNow), 1'795'262'400'500U);
  EXPECT_EQ(ParseLogTime("2026-11-21t07:30:00.123456-04:30", kNow), 1'795'262'400'123U);
  EXPECT_EQ(ParseLogTime("@1795262400", kNow), 1'795'262'400'000U);
  EXPECT_EQ(ParseLogTime("@1795262400.25", kNow), 1'795'262'400'250U);
  for (const char* bad :
       {"", "soon", "-1s", "1d", "@", "@-1", "@99999999999", "2026-02-30", "2026-13-01",
        "2026-11-21 25:00:00", "2026-11-21 10", "2026-11-21T10:00:00+1", "2026-11-21 10:00:00 CET",
        "1969-12-31", "2026-11-21T10:00:61Z", "2026-11-21T10:00:00."}) {
    EXPECT_THROW(ParseLogTime(bad, kNow), CLI::ValidationError) << bad;
  }
  SetZone("UTC0");
}

}  // namespace
}  // namespace berth::cli
