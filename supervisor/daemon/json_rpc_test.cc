// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/json_rpc.h"

#include <gtest/gtest.h>

namespace berth::daemon {
namespace {

const Request& Only(const Incoming& incoming) {
  EXPECT_EQ(incoming.requests.size(), 1U);
  return incoming.requests.front();
}

TEST(ParseLine, TakesARequestApart) {
  const auto incoming =
      ParseLine(R"({"jsonrpc":"2.0","id":7,"method":"compute.vm.list","params":{"a":1}})");
  EXPECT_FALSE(incoming.batch);
  const Request& request = Only(incoming);
  EXPECT_FALSE(request.error);
  EXPECT_EQ(request.id, 7);
  EXPECT_EQ(request.method, "compute.vm.list");
  EXPECT_EQ(request.params, json({{"a", 1}}));
}

TEST(ParseLine, ARequestWithoutIdIsANotificationAndOneWithNullIsNot) {
  EXPECT_TRUE(Only(ParseLine(R"({"jsonrpc":"2.0","method":"m"})")).notification);
  EXPECT_FALSE(Only(ParseLine(R"({"jsonrpc":"2.0","method":"m","id":null})")).notification);
}

TEST(ParseLine, WhatIsNoRequestIsAnErrorOfItsKind) {
  const std::pair<std::string, int> bad[] = {
      {"", kParseError},
      {"{", kParseError},
      {"\xff\xfe", kParseError},
      {"7", kInvalidRequest},
      {"[]", kInvalidRequest},
      {R"({"id":1,"method":"m"})", kInvalidRequest},
      {R"({"jsonrpc":"1.0","id":1,"method":"m"})", kInvalidRequest},
      {R"({"jsonrpc":"2.0","id":1})", kInvalidRequest},
      {R"({"jsonrpc":"2.0","id":1,"method":4})", kInvalidRequest},
      {R"({"jsonrpc":"2.0","id":{},"method":"m"})", kInvalidRequest},
      {R"({"jsonrpc":"2.0","id":1.5,"method":"m"})", kInvalidRequest},
      {R"({"jsonrpc":"2.0","id":1,"method":"m","params":3})", kInvalidRequest},
  };
  for (const auto& [line, code] : bad) {
    const auto incoming = ParseLine(line);
    ASSERT_TRUE(Only(incoming).error) << line;
    EXPECT_EQ(Only(incoming).error->code, code) << line;
  }
}

TEST(ParseLine, NestingIsBoundedBeforeAnythingIsBuilt) {
  const std::string deep(1'000'000, '[');
  EXPECT_EQ(Only(ParseLine(deep)).error->code, kInvalidRequest);
  // Brackets in strings are text.
  const std::string text = R"({"jsonrpc":"2.0","id":1,"method":")" + std::string(100, '[') + "\"}";
  EXPECT_FALSE(Only(ParseLine(text)).error);
}

TEST(ParseLine, ABatchKeepsTheGoodAndNamesTheBad) {
  const auto incoming = ParseLine(R"([{"jsonrpc":"2.0","id":1,"method":"m"},3])");
  EXPECT_TRUE(incoming.batch);
  ASSERT_EQ(incoming.requests.size(), 2U);
  EXPECT_FALSE(incoming.requests[0].error);
  EXPECT_TRUE(incoming.requests[1].error);
}

TEST(ParseLine, ABatchIsBounded) {
  json batch = json::array();
  for (size_t i = 0; i <= kMaxBatch; ++i) batch.push_back(1);
  EXPECT_EQ(Only(ParseLine(batch.dump())).error->code, kInvalidRequest);
}

TEST(ToRpcError, CarriesAllThatIsKnownOfAFault) {
  const RpcError error = ToRpcError(
      Fault{Kind::kStartFailed, "boot", ETIMEDOUT, "no Ready", "see the console"}, "StartFailed");
  EXPECT_EQ(error.code, Info(Kind::kStartFailed).rpc_code);
  EXPECT_EQ(error.data["kind"], "start-failed");
  EXPECT_EQ(error.data["step"], "boot");
  EXPECT_EQ(error.data["errno"], ETIMEDOUT);
  EXPECT_EQ(error.data["errno_name"], "ETIMEDOUT");
  EXPECT_EQ(error.data["detail"], "no Ready");
  EXPECT_EQ(error.data["hint"], "see the console");
  EXPECT_EQ(error.data["state"], "StartFailed");
}

TEST(Dump, WritesBytesThatAreNoUtf8AsReplacements) {
  EXPECT_EQ(Dump(json("a\xff")), "\"a\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace berth::daemon
