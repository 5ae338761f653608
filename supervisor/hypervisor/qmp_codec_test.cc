// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/qmp_codec.h"

#include <gtest/gtest.h>

namespace berth::qmp {
namespace {

using nlohmann::json;

// As QEMU 7.2 sends them.
TEST(QmpCodec, UnderstandsQemu) {
  const auto greeting = ParseMessage(
      R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"},)"
      R"( "capabilities": ["oob"]}})");
  EXPECT_EQ(std::get<Greeting>(*greeting).version, "7.2.22");
  const auto reply = ParseMessage(R"({"return": {"status": "running"}, "id": 4})");
  EXPECT_TRUE(std::get<Reply>(*reply).ok);
  EXPECT_EQ(std::get<Reply>(*reply).id, 4U);
  EXPECT_EQ(std::get<Reply>(*reply).value["status"], "running");
  const auto error = ParseMessage(
      R"({"id": 5, "error": {"class": "CommandNotFound", "desc": "The command x is not found"}})");
  EXPECT_FALSE(std::get<Reply>(*error).ok);
  EXPECT_EQ(std::get<Reply>(*error).error, "CommandNotFound: The command x is not found");
  const auto event =
      ParseMessage(R"({"timestamp": {"seconds": 1, "microseconds": 2}, "event": "SHUTDOWN",)"
                   R"( "data": {"guest": true, "reason": "guest-reset"}})");
  EXPECT_EQ(std::get<Event>(*event).name, "SHUTDOWN");
  EXPECT_EQ(std::get<Event>(*event).Text("reason"), "guest-reset");
  EXPECT_TRUE(std::get<Event>(*event).Flag("guest"));
}

TEST(QmpCodec, EventWithoutDataHasNone) {
  const auto event = ParseMessage(R"({"event": "STOP"})");
  EXPECT_EQ(std::get<Event>(*event).Text("reason"), "");
  EXPECT_FALSE(std::get<Event>(*event).Flag("guest"));
}

TEST(QmpCodec, RefusesWhatIsNoMessage) {
  for (const char* line : {"", "1", "[]", "{}", "{\"event\":7}", "{\"QMP\"", "{\"id\":1}", "null",
                           "\xff\xfe", "{\"timestamp\":{}}"}) {
    EXPECT_FALSE(ParseMessage(line).has_value()) << line;
  }
  EXPECT_FALSE(ParseMessage(std::string(kMaxLineBytes + 1, ' ')).has_value());
  EXPECT_FALSE(ParseMessage("{\"return\":" + std::string(1000, '[')).has_value());
}

TEST(QmpCodec, BearsOddTypesInsideOfMessages) {
  EXPECT_EQ(std::get<Greeting>(*ParseMessage(R"({"QMP": 1})")).version, "");
  EXPECT_EQ(
      std::get<Greeting>(*ParseMessage(R"({"QMP":{"version":{"qemu":{"major":"x"}}}})")).version,
      "");
  EXPECT_EQ(std::get<Event>(*ParseMessage(R"({"event":"E","data":[1]})")).Text("a"), "");
  EXPECT_EQ(std::get<Event>(*ParseMessage(R"({"event":"E","data":{"a":1}})")).Text("a"), "");
  EXPECT_EQ(std::get<Reply>(*ParseMessage(R"({"error":7,"id":"x"})")).id, std::nullopt);
  EXPECT_EQ(std::get<Reply>(*ParseMessage(R"({"return":1,"id":-1})")).id, std::nullopt);
}

TEST(QmpCodec, EncodesCommands) {
  EXPECT_EQ(EncodeCommand("stop", 7), "{\"execute\":\"stop\",\"id\":7}\n");
  EXPECT_EQ(EncodeCommand("x", 1, {{"a", 1}}),
            "{\"arguments\":{\"a\":1},\"execute\":\"x\",\"id\":1}\n");
}

}  // namespace
}  // namespace berth::qmp
