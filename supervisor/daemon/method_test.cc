// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/method.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "supervisor/lifecycle/generated_doc.h"

namespace berth::daemon {
namespace {

using lifecycle::GeneratedPart;
using testing::HasSubstr;

const Method& Named(std::string_view name) {
  const Method* method = FindMethod(name);
  EXPECT_NE(method, nullptr) << name;
  return *method;
}

TEST(Methods, AreSortedAndNamedOnce) {
  std::string_view last;
  for (const Method& method : Methods()) {
    EXPECT_LT(last, method.name);
    last = method.name;
    EXPECT_TRUE(method.handler != nullptr || method.name == "rpc.discover") << method.name;
    std::set<std::string_view> names;
    bool optional_seen = false;
    for (const Param& param : method.params) {
      EXPECT_TRUE(names.insert(param.name).second) << method.name << " " << param.name;
      // By position an optional one cannot be left out before a required one.
      EXPECT_FALSE(optional_seen && param.required) << method.name << " " << param.name;
      optional_seen |= !param.required;
    }
  }
  EXPECT_EQ(FindMethod("compute.vm"), nullptr);
}

TEST(CheckParams, TakesThemByNameAndByPosition) {
  const Method& stop = Named("compute.vm.stop");
  const auto by_name = CheckParams(stop, {{"name", "a"}, {"timeout_ms", 5}});
  const auto by_position = CheckParams(stop, json::array({"a", 5}));
  ASSERT_TRUE(by_name);
  ASSERT_TRUE(by_position);
  EXPECT_EQ(*by_name, *by_position);
}

TEST(CheckParams, NamesEveryMistakeAtOnce) {
  const auto checked = CheckParams(Named("compute.vm.exec"),
                                   {{"argv", "not an array"}, {"tty", 1}, {"bogus", true}});
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, kInvalidParams);
  for (const char* mistake : {"name: is missing", "argv: an array of strings", "tty: true or false",
                              "bogus: no such parameter"}) {
    EXPECT_THAT(checked.error().message, HasSubstr(mistake));
  }
}

TEST(CheckParams, RefusesWhatHasTheWrongType) {
  const Method& stop = Named("compute.vm.stop");
  for (const json& bad : {json(-1), json(1.5), json("5"), json(nullptr), json::array()}) {
    EXPECT_FALSE(CheckParams(stop, {{"name", "a"}, {"timeout_ms", bad}})) << bad;
  }
  EXPECT_FALSE(CheckParams(stop, json::array({"a", 5, 6})));
  EXPECT_FALSE(CheckParams(Named("compute.vm.wait"), {{"name", "a"}, {"states", {"Running", 4}}}));
}

// The parts of the OpenRPC meta-schema that a document must have.
TEST(Discover, IsAnOpenRpcDocumentOfEveryMethod) {
  const json document = Discover(Methods());
  EXPECT_TRUE(document["openrpc"].is_string());
  EXPECT_TRUE(document["info"]["title"].is_string());
  EXPECT_TRUE(document["info"]["version"].is_string());
  ASSERT_EQ(document["methods"].size(), Methods().size());
  for (const json& method : document["methods"]) {
    EXPECT_TRUE(method["name"].is_string());
    EXPECT_TRUE(method["result"]["name"].is_string());
    EXPECT_TRUE(method["result"].contains("schema"));
    for (const json& param : method["params"]) {
      EXPECT_TRUE(param["name"].is_string());
      EXPECT_TRUE(param["schema"].is_object());
      EXPECT_TRUE(param["required"].is_boolean());
    }
  }
}

TEST(ApiPage, SaysWhatTheTablesSay) {
  EXPECT_EQ(GeneratedPart("docs/api.md", "methods", RenderMethods(Methods())),
            RenderMethods(Methods()));
  EXPECT_EQ(GeneratedPart("docs/api.md", "errors", RenderErrorCodes()), RenderErrorCodes());
}

TEST(OperatorsPage, ListsEveryExitCode) {
  EXPECT_EQ(GeneratedPart("docs/operators.md", "exit-codes", RenderExitCodes()), RenderExitCodes());
}

}  // namespace
}  // namespace berth::daemon
