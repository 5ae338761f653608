// SPDX-License-Identifier: Apache-2.0
#include "agent/stats.h"

#include <dirent.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <vector>

#include "agent/mountinfo.h"
#include "agent/stats_parse.h"
#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;

namespace {

constexpr size_t kMaxProcFileBytes = 256 * 1024;
constexpr size_t kMaxGroupFileBytes = 16 * 1024;
// Groups that are read before others have their turn.
constexpr int kGroupsPerTurn = 4;

std::string Read(const std::string& path, size_t most) {
  return ReadFile(path.c_str(), most).value_or("");
}

// Names of the folders in `path`, at most `max`, in order.
std::vector<std::string> Folders(const std::string& path, size_t max, uint32_t& left_out) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  if (!directory) return names;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    if (names.size() < max) {
      names.emplace_back(entry->d_name);
    } else {
      ++left_out;
    }
  }
  std::ranges::sort(names);
  return names;
}

void ReadGroup(const std::string& path, v1::StatsReply::Group& out) {
  const auto read = [&](const char* file) { return Read(path + "/" + file, kMaxGroupFileBytes); };
  if (const auto bytes = ParseNumber(read("memory.current"))) out.set_memory_bytes(*bytes);
  if (const auto bytes = ParseNumber(read("memory.peak"))) out.set_memory_peak_bytes(*bytes);
  if (const auto us = ParseKey(read("cpu.stat"), "usage_usec")) out.set_cpu_us(*us);
  if (const auto tasks = ParseNumber(read("pids.current"))) out.set_tasks(*tasks);
  if (const auto kills = ParseKey(read("memory.events"), "oom_kill")) out.set_oom_kills(*kills);
  // Empty also where nothing was read or written yet; missing where the kernel does not count.
  if (const auto io = ReadFile((path + "/io.stat").c_str(), kMaxGroupFileBytes)) {
    ParseIoStat(*io, out);
  }
}

// What waits for the next session, and holds none.
bool IsIdle(const std::string& group) {
  return ParseKey(Read(group + "/cgroup.events", kMaxGroupFileBytes), "populated") == 0;
}

asio::awaitable<void> ReadGroups(
    asio::any_io_executor executor, std::string folder, bool idle_too, v1::StatsReply& reply,
    google::protobuf::RepeatedPtrField<v1::StatsReply::Group>& groups) {
  uint32_t left_out = 0;
  const auto names = Folders(folder, wire::kMaxStatsGroups, left_out);
  reply.set_left_out(reply.left_out() + left_out);
  int turn = 0;
  for (const std::string& name : names) {
    if (turn++ % kGroupsPerTurn == 0) co_await asio::post(executor, asio::use_awaitable);
    if (!idle_too && IsIdle(folder + "/" + name)) continue;
    auto& group = *groups.Add();
    group.set_name(Utf8(name, wire::kMaxStatsTextBytes));
    ReadGroup(folder + "/" + name, group);
  }
}

void AddFileSystems(std::string_view mountinfo, v1::StatsReply& reply) {
  for (const MountRow& mount : BlockMounts(ParseMountinfo(mountinfo))) {
    if (reply.file_systems_size() >= wire::kMaxStatsFileSystems) {
      reply.set_left_out(reply.left_out() + 1);
      continue;
    }
    struct statfs status{};
    if (statfs(mount.path.c_str(), &status) != 0) continue;
    const auto block = static_cast<uint64_t>(status.f_bsize);
    auto& row = *reply.add_file_systems();
    row.set_path(Utf8(mount.path, wire::kMaxStatsTextBytes));
    row.set_device(Utf8(mount.source, wire::kMaxStatsTextBytes));
    row.set_type(Utf8(mount.type, wire::kMaxStatsTextBytes));
    row.set_total_bytes(status.f_blocks * block);
    row.set_free_bytes(status.f_bfree * block);
    row.set_available_bytes(status.f_bavail * block);
  }
}

}  // namespace

asio::awaitable<v1::StatsReply> CollectStats(asio::any_io_executor executor, StatsSources sources) {
  v1::StatsReply reply;
  const auto read = [&](const char* name) {
    return Read(sources.proc + "/" + name, kMaxProcFileBytes);
  };
  reply.set_monotonic_us(ToMicroseconds(MonotonicNs()));
  ParseUptime(read("uptime"), reply);
  ParseLoad(read("loadavg"), reply);
  ParseCpu(read("stat"), sysconf(_SC_CLK_TCK), *reply.mutable_cpu());
  ParseMemory(read("meminfo"), *reply.mutable_memory());
  v1::StatsReply::Pressure pressure;
  if (ParsePressure(read("pressure/cpu"), pressure)) *reply.mutable_cpu_pressure() = pressure;
  pressure.Clear();
  if (ParsePressure(read("pressure/memory"), pressure)) *reply.mutable_memory_pressure() = pressure;
  pressure.Clear();
  if (ParsePressure(read("pressure/io"), pressure)) *reply.mutable_io_pressure() = pressure;
  co_await asio::post(executor, asio::use_awaitable);
  ParseDisks(read("diskstats"), reply);
  AddFileSystems(read("self/mountinfo"), reply);
  ParseInterfaces(read("net/dev"), reply);
  co_await ReadGroups(executor, sources.services, true, reply, *reply.mutable_services());
  co_await ReadGroups(executor, sources.sessions, false, reply, *reply.mutable_sessions());
  co_return reply;
}

}  // namespace berth::agent
