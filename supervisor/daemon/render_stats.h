// SPDX-License-Identifier: Apache-2.0
//
// A guest's statistics, and the host's own figures of its hypervisor, as the API answers them. Pure
// functions; any thread.
#ifndef BERTH_SUPERVISOR_DAEMON_RENDER_STATS_H_
#define BERTH_SUPERVISOR_DAEMON_RENDER_STATS_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "protocol/proto/berth.pb.h"

namespace berth::daemon {

// Of a checked reply. Texts are printable; what the guest's kernel does not tell is null.
nlohmann::json StatsJson(const v1::StatsReply& reply);

// What this host's kernel counts for a process.
struct ProcessUse {
  uint64_t cpu_us = 0;
  uint64_t rss_bytes = 0;
};
// Of /proc/PID/stat: `ticks` a second, pages of `page_bytes`. The name in it may hold anything.
std::optional<ProcessUse> ParseProcessStat(std::string_view text, int64_t ticks,
                                           int64_t page_bytes);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_RENDER_STATS_H_
