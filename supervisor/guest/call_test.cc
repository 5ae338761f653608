// SPDX-License-Identifier: Apache-2.0
//
// The bounds of what a guest answers: it is hostile until it has been checked.
#include "supervisor/guest/call.h"

#include <gtest/gtest.h>

#include <functional>

#include "protocol/wire/limits.h"

namespace berth::guest {
namespace {

using Row = v1::ServiceReply::Service;

v1::ServiceReply Reply(const std::function<void(Row&)>& change) {
  v1::ServiceReply reply;
  Row& row = *reply.add_services();
  row.set_name("web");
  row.set_code(255);
  row.set_pid(INT32_MAX);
  row.set_restart_us(INT64_MAX / 1000);
  change(row);
  return reply;
}

TEST(ServiceReplyTest, IsTakenWithinItsBounds) {
  v1::ServiceReply reply = Reply([](Row&) {});
  reply.set_errnum(wire::kMaxErrno);
  EXPECT_TRUE(CheckServiceReply(reply));
}

TEST(ServiceReplyTest, AnErrnoThatNoKernelHasIsRefused) {
  for (const int errnum : {5000, -1}) {
    v1::ServiceReply reply;
    reply.set_errnum(errnum);
    EXPECT_FALSE(CheckServiceReply(reply)) << errnum;
  }
}

TEST(ServiceReplyTest, ANumberThatCannotBeIsRefused) {
  constexpr uint64_t kNegative = uint64_t{1} << 63;
  const std::function<void(Row&)> changes[] = {
      [](Row& row) { row.set_code(256); },
      [](Row& row) { row.set_signal(65); },
      [](Row& row) { row.set_pid(uint32_t{1} << 31); },
      [](Row& row) { row.set_restarts(uint32_t{1} << 31); },
      [](Row& row) { row.set_wanted_us(kNegative); },
      [](Row& row) { row.set_start_us(kNegative); },
      [](Row& row) { row.set_ready_us(kNegative); },
      [](Row& row) { row.set_restart_us(kNegative); },
      [](Row& row) { row.set_first_ready_us(kNegative); },
  };
  for (const auto& change : changes) {
    const v1::ServiceReply reply = Reply(change);
    EXPECT_FALSE(CheckServiceReply(reply)) << reply.services(0).ByteSizeLong();
  }
  v1::ServiceReply reply;
  reply.set_monotonic_us(kNegative);
  EXPECT_FALSE(CheckServiceReply(reply));
}

TEST(GuestEventTest, AnErrnoThatNoKernelHasIsRefused) {
  v1::GuestEvent event;
  event.mutable_configure_refused()->set_errnum(EINVAL);
  EXPECT_TRUE(CheckGuestEvent(event));
  event.mutable_configure_refused()->set_errnum(5000);
  EXPECT_FALSE(CheckGuestEvent(event));
}

}  // namespace
}  // namespace berth::guest
