// SPDX-License-Identifier: Apache-2.0
//
// Statistics for people: answers of compute.vm.stats, whose counters become rates between two of
// them. The guest's numbers may be any: what makes no sense shows as 0, never as an error. Pure
// functions.
#ifndef BERTH_SUPERVISOR_CLI_STATS_VIEW_H_
#define BERTH_SUPERVISOR_CLI_STATS_VIEW_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace berth::cli {

// All about one VM.
std::string RenderStats(const nlohmann::json& before, const nlohmann::json& after, size_t width);

// One VM in a list.
struct TopRow {
  std::string vm;
  std::string note;     // why there are no numbers; empty: there are
  double cpu = 0;       // percent of one processor, by the guest
  double host_cpu = 0;  // of the hypervisor, by the host
  double memory_bytes = 0;
  double memory_total_bytes = 0;
  double host_rss_bytes = 0;
  double rx = 0;  // bytes a second
  double tx = 0;
  double read = 0;
  double write = 0;
  double load = 0;
};
TopRow MakeTopRow(const std::string& vm, const nlohmann::json& before, const nlohmann::json& after);

enum class TopOrder { kCpu, kMemory };
// Those without numbers stand last.
void SortTop(std::vector<TopRow>& rows, TopOrder order);
std::string RenderTop(const std::vector<TopRow>& rows, size_t width);

// "1.5 GiB", "512 B".
std::string ShowBytes(double bytes);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_STATS_VIEW_H_
