// SPDX-License-Identifier: Apache-2.0
#include "agent/exec_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "protocol/wire/limits.h"

namespace berth::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::ExecStart Good() {
  v1::ExecStart request;
  request.add_argv("true");
  return request;
}

TEST(ExecRequestTest, WhatIsAtItsBoundIsTaken) {
  v1::ExecStart request = Good();
  while (request.argv_size() < wire::kMaxArgs) request.add_argv("");
  while (request.env_size() < wire::kMaxEnv) request.add_env("A=");
  while (request.groups_size() < wire::kMaxGroups) request.add_groups("0");
  while (request.rlimits_size() < wire::kMaxRlimits) request.add_rlimits();
  request.set_cwd(std::string(wire::kMaxPathBytes, 'c'));
  request.set_user(std::string(wire::kMaxNameBytes, 'u'));
  request.set_rows(wire::kMaxWindowCells);
  const auto good = CheckExecStart(request);
  EXPECT_TRUE(good) << good.error().Message();
}

TEST(ExecRequestTest, EachBoundIsChecked) {
  const std::string null("a\0b", 3);
  const struct {
    const char* what;
    std::function<void(v1::ExecStart&)> spoil;
  } rows[] = {
      {"names no program", [](auto& r) { r.clear_argv(); }},
      {"names no program", [](auto& r) { r.set_argv(0, ""); }},
      {"argv has 4097",
       [](auto& r) {
         while (r.argv_size() <= wire::kMaxArgs) r.add_argv("x");
       }},
      {"argument contains a null", [&](auto& r) { r.add_argv(null); }},
      {"env has 4097",
       [](auto& r) {
         while (r.env_size() <= wire::kMaxEnv) r.add_env("A=b");
       }},
      {"variable contains a null", [&](auto& r) { r.add_env("A=" + null); }},
      {"NAME=value", [](auto& r) { r.add_env("A"); }},
      {"NAME=value", [](auto& r) { r.add_env("=b"); }},
      {"cwd is too long", [](auto& r) { r.set_cwd(std::string(wire::kMaxPathBytes + 1, 'c')); }},
      {"cwd contains a null", [&](auto& r) { r.set_cwd(null); }},
      {"user is longer", [](auto& r) { r.set_user(std::string(wire::kMaxNameBytes + 1, 'u')); }},
      {"user contains a null", [](auto& r) { r.set_user(std::string("a\0b", 3)); }},
      {"group is longer", [](auto& r) { r.set_group(std::string(wire::kMaxNameBytes + 1, 'g')); }},
      {"groups has 65",
       [](auto& r) {
         while (r.groups_size() <= wire::kMaxGroups) r.add_groups("0");
       }},
      {"a group is longer",
       [](auto& r) { r.add_groups(std::string(wire::kMaxNameBytes + 1, 'g')); }},
      {"rows or columns", [](auto& r) { r.set_rows(wire::kMaxWindowCells + 1); }},
      {"rows or columns", [](auto& r) { r.set_columns(~0u); }},
      {"a timeout is longer", [](auto& r) { r.set_timeout_ms(~uint64_t{0}); }},
      {"a timeout is longer", [](auto& r) { r.set_kill_grace_ms(315360000001); }},
      {"rlimits has 17",
       [](auto& r) {
         while (r.rlimits_size() <= wire::kMaxRlimits) r.add_rlimits();
       }},
      {"resource limit 16", [](auto& r) { r.add_rlimits()->set_resource(16); }},
      {"soft resource limit", [](auto& r) { r.add_rlimits()->set_soft(1); }},
  };
  for (const auto& row : rows) {
    v1::ExecStart request = Good();
    row.spoil(request);
    const auto checked = CheckExecStart(request);
    ASSERT_FALSE(checked) << row.what;
    EXPECT_EQ(checked.error().step, Step("request"));
    EXPECT_THAT(checked.error().detail, HasSubstr(row.what));
  }
}

TEST(SessionEnvironmentTest, RequestGoesOverDefaultsAndTheLastOfANameWins) {
  v1::ExecStart request = Good();
  request.add_env("B=1");
  request.add_env("HOME=/elsewhere");
  request.add_env("B=2=3");
  Account account;
  account.name = "app";
  account.home = "/srv/app";
  account.shell = "/bin/ash";
  const auto environment = SessionEnvironment(request, account);
  EXPECT_THAT(environment,
              ElementsAre("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                          "HOME=/elsewhere", "USER=app", "LOGNAME=app", "SHELL=/bin/ash", "B=2=3"));
  EXPECT_EQ(SearchPath(environment),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

TEST(SessionEnvironmentTest, ATerminalHasAType) {
  v1::ExecStart request = Good();
  request.set_tty(true);
  EXPECT_THAT(SessionEnvironment(request, {}), ::testing::Contains("TERM=xterm"));
  request.add_env("TERM=dumb");
  EXPECT_THAT(SessionEnvironment(request, {}), ::testing::Contains("TERM=dumb"));
  request.set_tty(false);
  request.clear_env();
  EXPECT_THAT(SessionEnvironment(request, {}), ::testing::Not(::testing::Contains("TERM=xterm")));
}

}  // namespace
}  // namespace berth::agent
