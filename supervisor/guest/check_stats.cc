// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/check_stats.h"

#include <algorithm>

#include "protocol/wire/limits.h"

namespace berth::guest {

namespace {

bool Short(const std::string& text) { return text.size() <= wire::kMaxStatsTextBytes; }

}  // namespace

Result<> CheckStatsReply(const v1::StatsReply& reply) {
  if (reply.disks_size() > wire::kMaxStatsDisks ||
      reply.file_systems_size() > wire::kMaxStatsFileSystems ||
      reply.interfaces_size() > wire::kMaxStatsInterfaces ||
      reply.services_size() > wire::kMaxStatsGroups ||
      reply.sessions_size() > wire::kMaxStatsGroups) {
    return Fail("stats", E2BIG, "the guest's answer has too many rows");
  }
  const auto named = [](const auto& rows) {
    return std::ranges::all_of(rows, [](const auto& row) { return Short(row.name()); });
  };
  const bool mounts = std::ranges::all_of(reply.file_systems(), [](const auto& row) {
    return Short(row.path()) && Short(row.device()) && Short(row.type());
  });
  if (!mounts || !named(reply.disks()) || !named(reply.interfaces()) || !named(reply.services()) ||
      !named(reply.sessions())) {
    return Fail("stats", EMSGSIZE, "the guest's answer does not keep its bounds");
  }
  return {};
}

}  // namespace berth::guest
