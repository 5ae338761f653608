// SPDX-License-Identifier: Apache-2.0
//
// The kernel's text files, as numbers of a StatsReply: /proc/stat, /proc/meminfo and the like. Each
// takes what it understands and leaves out what it does not; nothing there is an error. Text is
// made UTF-8 and cut, rows are bounded. Pure functions; any thread.
#ifndef BERTH_AGENT_STATS_PARSE_H_
#define BERTH_AGENT_STATS_PARSE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/proto/berth.pb.h"

namespace berth::agent {

// A row that a bound leaves out is counted in StatsReply.left_out.

// proc(5) /proc/stat; `ticks` a second are what it counts in.
void ParseCpu(std::string_view text, int64_t ticks, v1::StatsReply::Cpu& out);
// /proc/loadavg, /proc/uptime.
void ParseLoad(std::string_view text, v1::StatsReply& out);
void ParseUptime(std::string_view text, v1::StatsReply& out);
// /proc/meminfo.
void ParseMemory(std::string_view text, v1::StatsReply::Memory& out);
// /proc/pressure/*. False where it holds no line of it.
bool ParsePressure(std::string_view text, v1::StatsReply::Pressure& out);
// /proc/diskstats: whole devices, without those that have nothing behind them (loop, ram).
void ParseDisks(std::string_view text, v1::StatsReply& out);
// /proc/net/dev.
void ParseInterfaces(std::string_view text, v1::StatsReply& out);

// Files of a cgroup: one number ("max" is none), the value of a key, and io.stat's sums.
std::optional<uint64_t> ParseNumber(std::string_view text);
std::optional<uint64_t> ParseKey(std::string_view text, std::string_view key);
void ParseIoStat(std::string_view text, v1::StatsReply::Group& out);

}  // namespace berth::agent

#endif  // BERTH_AGENT_STATS_PARSE_H_
