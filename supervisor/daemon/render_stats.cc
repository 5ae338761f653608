// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/render_stats.h"

#include <charconv>
#include <string>
#include <vector>

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::daemon {

using nlohmann::json;

namespace {

using Stats = v1::StatsReply;

std::string ShownText(const std::string& text) { return Printable(text, wire::kMaxStatsTextBytes); }

double FromCenti(uint32_t value) { return static_cast<double>(value) / 100; }
double MsOf(uint64_t us) { return static_cast<double>(us) / 1000; }

json PressureJson(bool there, const Stats::Pressure& pressure) {
  if (!there) return nullptr;
  const auto line = [](const Stats::Pressure::Line& of) {
    return json{{"avg10", FromCenti(of.avg10_centi())},
                {"avg60", FromCenti(of.avg60_centi())},
                {"avg300", FromCenti(of.avg300_centi())},
                {"total_us", of.total_us()}};
  };
  return {{"some", line(pressure.some())},
          {"full", pressure.has_full() ? line(pressure.full()) : json()}};
}

json GroupJson(const Stats::Group& group) {
  json out = {{"name", ShownText(group.name())}};
  const auto set = [&](const char* key, bool there, uint64_t value) {
    out[key] = there ? json(value) : json();
  };
  set("memory_bytes", group.has_memory_bytes(), group.memory_bytes());
  set("memory_peak_bytes", group.has_memory_peak_bytes(), group.memory_peak_bytes());
  set("cpu_us", group.has_cpu_us(), group.cpu_us());
  set("tasks", group.has_tasks(), group.tasks());
  set("oom_kills", group.has_oom_kills(), group.oom_kills());
  set("read_bytes", group.has_read_bytes(), group.read_bytes());
  set("write_bytes", group.has_write_bytes(), group.write_bytes());
  return out;
}

json CpuJson(const Stats::Cpu& cpu) {
  return {{"count", cpu.count()},      {"user_us", cpu.user_us()},
          {"nice_us", cpu.nice_us()},  {"system_us", cpu.system_us()},
          {"idle_us", cpu.idle_us()},  {"iowait_us", cpu.iowait_us()},
          {"irq_us", cpu.irq_us()},    {"softirq_us", cpu.softirq_us()},
          {"steal_us", cpu.steal_us()}};
}

json MemoryJson(const Stats::Memory& memory) {
  return {{"total_bytes", memory.total_bytes()},
          {"free_bytes", memory.free_bytes()},
          {"available_bytes", memory.available_bytes()},
          {"cached_bytes", memory.cached_bytes()},
          {"swap_total_bytes", memory.swap_total_bytes()},
          {"swap_free_bytes", memory.swap_free_bytes()}};
}

template <typename Rows, typename ToJson>
json List(const Rows& rows, const ToJson& to_json) {
  json out = json::array();
  for (const auto& row : rows) out.push_back(to_json(row));
  return out;
}

}  // namespace

json StatsJson(const v1::StatsReply& reply) {
  return {{"at_ms", MsOf(reply.monotonic_us())},
          {"uptime_ms", MsOf(reply.uptime_us())},
          {"load",
           {FromCenti(reply.load1_centi()), FromCenti(reply.load5_centi()),
            FromCenti(reply.load15_centi())}},
          {"cpu", CpuJson(reply.cpu())},
          {"memory", MemoryJson(reply.memory())},
          {"pressure",
           {{"cpu", PressureJson(reply.has_cpu_pressure(), reply.cpu_pressure())},
            {"memory", PressureJson(reply.has_memory_pressure(), reply.memory_pressure())},
            {"io", PressureJson(reply.has_io_pressure(), reply.io_pressure())}}},
          {"disks", List(reply.disks(),
                         [](const Stats::Disk& disk) {
                           return json{
                               {"name", ShownText(disk.name())},    {"reads", disk.reads()},
                               {"read_bytes", disk.read_bytes()},   {"writes", disk.writes()},
                               {"write_bytes", disk.write_bytes()}, {"busy_us", disk.busy_us()}};
                         })},
          {"file_systems", List(reply.file_systems(),
                                [](const Stats::FileSystem& row) {
                                  return json{{"path", ShownText(row.path())},
                                              {"device", ShownText(row.device())},
                                              {"type", ShownText(row.type())},
                                              {"total_bytes", row.total_bytes()},
                                              {"free_bytes", row.free_bytes()},
                                              {"available_bytes", row.available_bytes()}};
                                })},
          {"interfaces",
           List(reply.interfaces(),
                [](const Stats::Interface& row) {
                  return json{{"name", ShownText(row.name())},  {"rx_bytes", row.rx_bytes()},
                              {"rx_packets", row.rx_packets()}, {"rx_errors", row.rx_errors()},
                              {"rx_dropped", row.rx_dropped()}, {"tx_bytes", row.tx_bytes()},
                              {"tx_packets", row.tx_packets()}, {"tx_errors", row.tx_errors()},
                              {"tx_dropped", row.tx_dropped()}};
                })},
          {"services", List(reply.services(), GroupJson)},
          {"sessions", List(reply.sessions(), GroupJson)},
          {"left_out", reply.left_out()}};
}

std::optional<ProcessUse> ParseProcessStat(std::string_view text, int64_t ticks,
                                           int64_t page_bytes) {
  // The second field is the name in parentheses, which may hold both.
  const size_t close = text.rfind(')');
  if (close == std::string_view::npos || ticks <= 0 || page_bytes <= 0) return std::nullopt;
  text.remove_prefix(close + 1);
  std::vector<uint64_t> fields;  // from the third on; what is no number, or negative, is 0
  while (fields.size() < 22) {
    const size_t begin = text.find_first_not_of(" \n");
    if (begin == std::string_view::npos) return std::nullopt;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(" \n"));
    uint64_t value = 0;
    std::from_chars(word.data(), word.data() + word.size(), value);
    fields.push_back(value);
    text.remove_prefix(word.size());
  }
  const uint64_t tick_us = 1'000'000 / static_cast<uint64_t>(ticks);
  // utime and stime are fields 14 and 15 of proc(5), rss is 24.
  return ProcessUse{.cpu_us = (fields[11] + fields[12]) * tick_us,
                    .rss_bytes = fields[21] * static_cast<uint64_t>(page_bytes)};
}

}  // namespace berth::daemon
