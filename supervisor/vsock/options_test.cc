// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace berth::vsock {
namespace {

Result<Options> Parse(std::vector<std::string> arguments) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  return ParseOptions(pointers);
}

TEST(OptionsTest, TakesAllOfThem) {
  const auto options = Parse({"--vhost-socket", "/a", "--socket", "/b", "--cid", "4294967294",
                              "--notify-fd", "5", "--pairs-fd", "6"});
  ASSERT_TRUE(options) << options.error().Message();
  EXPECT_EQ(options->vhost_socket, "/a");
  EXPECT_EQ(options->socket, "/b");
  EXPECT_EQ(options->cid, 4294967294U);
  EXPECT_EQ(options->notify_fd, 5);
  EXPECT_EQ(options->pairs_fd, 6);
}

TEST(OptionsTest, SaysWhatIsWrong) {
  const std::vector<std::string> good = {"--vhost-socket", "/a", "--socket", "/b", "--cid"};
  for (const char* cid : {"0", "2", "4294967295", "-3", "3x", "", "0x10"}) {
    std::vector<std::string> arguments = good;
    arguments.emplace_back(cid);
    const auto options = Parse(arguments);
    ASSERT_FALSE(options) << cid;
    EXPECT_THAT(options.error().detail, ::testing::HasSubstr("--cid")) << cid;
  }
  EXPECT_THAT(Parse(good).error().detail, ::testing::HasSubstr("has no value"));
  EXPECT_THAT(Parse({"--cid", "3"}).error().detail, ::testing::HasSubstr("required"));
  EXPECT_THAT(Parse({"--colour", "3"}).error().detail, ::testing::HasSubstr("--colour"));
}

}  // namespace
}  // namespace berth::vsock
