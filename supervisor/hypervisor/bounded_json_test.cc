// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/bounded_json.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

using nlohmann::json;

TEST(ParseBounded, TakesWhatIsWithinTheBounds) {
  const auto parsed = ParseBounded(R"({"a":[1,2,{"b":"}]}]"}]})", {.max_bytes = 100});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ((*parsed)["a"][2]["b"], "}]}]");
}

TEST(ParseBounded, CountsNoBracketsInStringsEvenBehindEscapedQuotes) {
  const std::string text = R"({"a":"\"[[[[[[[[[[,,,,,,,,"})";
  EXPECT_TRUE(ParseBounded(text, {.max_bytes = 100, .max_depth = 2, .max_values = 4}).has_value());
}

TEST(ParseBounded, RefusesDepthWidthAndLengthBeforeItParses) {
  std::string objects;
  for (int i = 0; i < 1'000; ++i) objects += "{\"a\":";
  for (const std::string& deep : {std::string(10'000, '['), objects}) {
    EXPECT_EQ(ParseBounded(deep, {.max_bytes = 20'000}).error().detail, "nested deeper than 16");
  }
  const std::string wide = "[" + std::string(5'000, ',');
  EXPECT_EQ(ParseBounded(wide, {.max_bytes = 20'000}).error().detail, "more than 4096 values");
  EXPECT_EQ(ParseBounded("[1,2]", {.max_bytes = 4}).error().detail, "longer than 4 bytes");
}

TEST(ParseBounded, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "nul", "[1]]", "\xff", "{\"a\":1", "'a'"}) {
    EXPECT_FALSE(ParseBounded(text, {.max_bytes = 100}).has_value()) << text;
  }
}

TEST(DumpLine, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(DumpLine({{"a", "x\xffy"}}), "{\"a\":\"x\xef\xbf\xbdy\"}\n");
}

class FieldReaderTest : public testing::Test {
 protected:
  FieldMistakes Read(const json& object) {
    FieldMistakes mistakes;
    FieldReader reader(object, "p.", mistakes);
    reader.Text("text", 5, text_);
    reader.Flag("flag", flag_);
    reader.Number("number", -5, 10, number_);
    constexpr std::string_view kNames[] = {"zero", "one"};
    reader.OneOf("choice", kNames, choice_);
    reader.Array("array", 2);
    reader.Object("object");
    reader.RefuseUnknown();
    return mistakes;
  }

  std::string text_ = "-";
  bool flag_ = false;
  int number_ = 7;
  size_t choice_ = 0;
};

TEST_F(FieldReaderTest, ReadsWhatIsThere) {
  EXPECT_TRUE(Read({{"text", "abc"}, {"flag", true}, {"number", -5}, {"choice", "one"}}).empty());
  EXPECT_EQ(text_, "abc");
  EXPECT_TRUE(flag_);
  EXPECT_EQ(number_, -5);
  EXPECT_EQ(choice_, 1U);
}

TEST_F(FieldReaderTest, LeavesAloneWhatIsAbsentOrNull) {
  EXPECT_TRUE(Read({{"text", nullptr}}).empty());
  EXPECT_EQ(text_, "-");
  EXPECT_EQ(number_, 7);
}

TEST_F(FieldReaderTest, TellsEveryMistakeAtOnceAndChangesNothing) {
  const FieldMistakes mistakes = Read({{"text", "too long"},
                                       {"flag", 1},
                                       {"number", 11},
                                       {"choice", "two"},
                                       {"array", {1, 2, 3}},
                                       {"object", "x"},
                                       {"nubmer", 1}});
  EXPECT_EQ(Join(mistakes),
            "p.text: must not be longer than 5 bytes; p.flag: must be true or false; "
            "p.number: must be a whole number from -5 to 10; p.choice: must be zero or one; "
            "p.array: must not have more than 2 elements; p.object: must be an object; "
            "p.nubmer: is not a known field");
  EXPECT_EQ(text_, "-");
  EXPECT_EQ(number_, 7);
}

TEST_F(FieldReaderTest, RefusesNumbersOutOfRangeOrNotWhole) {
  for (const json& number :
       {json(-6), json(11), json(1.5), json(UINT64_MAX), json("1"), json(1e30)}) {
    EXPECT_EQ(Read({{"number", number}}).size(), 1U) << number.dump();
    EXPECT_EQ(number_, 7);
  }
}

TEST_F(FieldReaderTest, RefusesNullCharacters) {
  EXPECT_EQ(Read({{"text", std::string("a\0b", 3)}}).size(), 1U);
}

}  // namespace
}  // namespace berth
