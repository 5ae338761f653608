// SPDX-License-Identifier: Apache-2.0
#include "supervisor/logs/record_cutter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/logs/base64.h"
#include "supervisor/logs/crc32c.h"
#include "supervisor/logs/level.h"

namespace berth::logs {
namespace {

using testing::HasSubstr;

LogRecordHeader Header(uint64_t seq, uint16_t source = 1, uint8_t flags = 0) {
  LogRecordHeader header;
  header.seq = seq;
  header.source = source;
  header.flags = flags;
  return header;
}

std::string Line(uint64_t seq, std::string_view text, uint16_t source = 1, uint8_t flags = 0) {
  std::string out;
  AddRecord(out, Header(seq, source, flags), text);
  return out;
}

std::string Source(uint16_t number, std::string_view name) {
  std::string out;
  AddSource(out, number, name);
  return out;
}

std::string GuestGap(uint64_t from, uint64_t to) {
  return Line(from, {reinterpret_cast<const char*>(&to), sizeof(to)}, 0, LogFlag::kGap);
}

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// What is wrong with a stream; empty: nothing.
std::string Mistake(const std::string& stream) {
  RecordCutter cutter(0, {});
  std::string out;
  const auto taken = cutter.Take(Bytes(stream), out);
  return taken ? "" : taken.error().Message();
}

TEST(RecordCutter, LetsRecordsThroughAsTheyCameInPiecesOfAnySize) {
  const std::string stream = Source(1, "web") + Line(1, "hello") + Line(2, "") +
                             Line(3, std::string(kMaxLogTextBytes, 'x'), 1, LogFlag::kPartial) +
                             GuestGap(4, 9) +
                             Line(10, std::string("\0\xff", 2), 1, LogFlag::kStderr);
  for (const size_t piece : {1UL, 7UL, 39UL, 40UL, 41UL, 4096UL, stream.size()}) {
    RecordCutter cutter(0, {});
    std::string out;
    for (size_t at = 0; at < stream.size(); at += piece) {
      ASSERT_TRUE(cutter.Take(Bytes(std::string_view(stream).substr(at, piece)), out)) << piece;
    }
    EXPECT_EQ(out, stream) << piece;
    EXPECT_EQ(cutter.last_seq(), 10U);
    EXPECT_FALSE(cutter.InsideRecord());
  }
}

TEST(RecordCutter, ASourceIsNamedOnceAndKeepsItsName) {
  RecordCutter cutter(5, {{1, "web"}});
  std::string out;
  ASSERT_TRUE(cutter.Take(Bytes(Source(1, "web") + Line(6, "a")), out));
  EXPECT_EQ(out, Line(6, "a")) << "its name is known already";
  EXPECT_THAT(cutter.Take(Bytes(Source(1, "db")), out).error().Message(), HasSubstr("second name"));
}

TEST(RecordCutter, RefusesWhatTheFormatHasNot) {
  const std::string web = Source(1, "web");
  EXPECT_EQ(Mistake(web + Line(1, "a")), "");
  EXPECT_THAT(Mistake(web + Line(2, "a")), HasSubstr("record 2 behind record 0"));
  EXPECT_THAT(Mistake(web + Line(1, "a") + Line(1, "a")), HasSubstr("record 1 behind record 1"));
  EXPECT_THAT(Mistake(Line(1, "a")), HasSubstr("without a name"));
  EXPECT_THAT(Mistake(web + Line(1, "a\nb")), HasSubstr("newline"));
  EXPECT_THAT(Mistake(web + Line(1, "a", 1, 16)), HasSubstr("flags"));
  EXPECT_THAT(Mistake(Source(1, "")), HasSubstr("printable name"));
  EXPECT_THAT(Mistake(Source(1, "a\x1b[m")), HasSubstr("printable name"));
  EXPECT_THAT(Mistake(Source(1, std::string(65, 'a'))), HasSubstr("printable name"));
  EXPECT_THAT(Mistake(Line(1, "a", 1, LogFlag::kSource)), HasSubstr("something else too"));
  EXPECT_THAT(Mistake(GuestGap(1, 0)), HasSubstr("no sane range"));
  EXPECT_THAT(Mistake(GuestGap(1, UINT64_MAX)), HasSubstr("no sane range"));
  EXPECT_THAT(Mistake(Line(1, "12345678", 0, LogFlag::kGap | LogFlag::kStderr)),
              HasSubstr("no sane range"));
  std::string own;
  AddGap(own, {1, 2, ENOSPC}, 0);
  EXPECT_THAT(Mistake(own), HasSubstr("no sane range")) << "only the host loses records for that";

  std::string record = web + Line(1, "a");
  record.back() = 1;
  EXPECT_THAT(Mistake(record), HasSubstr("padding"));
  LogRecordHeader header = Header(1);
  header.level = 8;
  record = web;
  AddRecord(record, header, "a");
  EXPECT_THAT(Mistake(record), HasSubstr("level"));
  header = Header(1);
  header.realtime_ns = -1;
  record = web;
  AddRecord(record, header, "a");
  EXPECT_THAT(Mistake(record), HasSubstr("time"));
}

TEST(RecordCutter, ASizeOutOfBoundsIsRefusedBeforeAnythingIsKeptForIt) {
  for (const uint32_t size : {0U, 39U, static_cast<uint32_t>(kMaxLogRecordBytes) + 1, UINT32_MAX}) {
    std::string record = Line(1, "abc");
    record.replace(0, 4, reinterpret_cast<const char*>(&size), 4);
    EXPECT_THAT(Mistake(record), HasSubstr("a record of " + std::to_string(size)));
  }
}

TEST(RecordCutter, HasAnEndOfSources) {
  std::string stream;
  for (size_t i = 0; i < kMaxSources; ++i) {
    stream += Source(static_cast<uint16_t>(i), "s" + std::to_string(i));
  }
  EXPECT_EQ(Mistake(stream), "");
  EXPECT_THAT(Mistake(stream + Source(kMaxSources, "more")), HasSubstr("4096 sources"));
}

TEST(Crc32c, IsTheOneOfTheRfc) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aaU) << "RFC 3720, B.4";
}

TEST(Base64, GoesThereAndBack) {
  for (const std::string text : {"", "f", "fo", "foo", "\xff\x00", "foobar!"}) {
    EXPECT_EQ(FromBase64(Base64(text)), text);
  }
  EXPECT_EQ(Base64("fo"), "Zm8=") << "RFC 4648";
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
}

TEST(Level, GoesByItsNamesAndDigits) {
  EXPECT_EQ(LevelNamed("err"), 3);
  EXPECT_EQ(LevelNamed("warn"), 4);
  EXPECT_EQ(LevelNamed("7"), 7);
  EXPECT_EQ(LevelNamed("8"), std::nullopt);
  EXPECT_EQ(LevelNamed("loud"), std::nullopt);
}

}  // namespace
}  // namespace berth::logs
