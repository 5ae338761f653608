// SPDX-License-Identifier: Apache-2.0
#include "agent/stats_parse.h"

#include <algorithm>
#include <limits>

#include "protocol/base/parse.h"
#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace {

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kSectorBytes = 512;  // of diskstats, whatever the device's are

uint64_t Times(uint64_t value, uint64_t factor) {
  return factor != 0 && value > kMost / factor ? kMost : value * factor;
}

std::vector<std::string_view> Words(std::string_view line, size_t most = 32) {
  std::vector<std::string_view> words;
  while (words.size() < most) {
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) break;
    line.remove_prefix(begin);
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

std::optional<uint64_t> Number(std::string_view word) { return WholeNumber<uint64_t>(word); }

uint64_t NumberAt(const std::vector<std::string_view>& words, size_t index) {
  return index < words.size() ? Number(words[index]).value_or(0) : 0;
}

// "1.25" as 125; what is larger than can be becomes the largest.
uint64_t Centi(std::string_view word) {
  const size_t dot = word.find('.');
  const uint64_t whole = Number(word.substr(0, dot)).value_or(0);
  std::string fraction(dot == std::string_view::npos ? "" : word.substr(dot + 1, 2));
  fraction.resize(2, '0');
  const uint64_t part = Number(fraction).value_or(0);
  return Times(whole, 100) > kMost - part ? kMost : Times(whole, 100) + part;
}

uint32_t Small(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX));
}

std::string Text(std::string_view text) { return Utf8(text, wire::kMaxStatsTextBytes); }

}  // namespace

void ParseCpu(std::string_view text, int64_t ticks, v1::StatsReply::Cpu& out) {
  const uint64_t tick_us =
      1'000'000 / static_cast<uint64_t>(std::clamp<int64_t>(ticks, 1, 1'000'000));
  uint32_t count = 0;
  while (!text.empty()) {
    const std::string_view line = Cut(text, '\n');
    if (!line.starts_with("cpu")) break;  // they stand in front
    const auto words = Words(line);
    if (words[0] != "cpu") {
      ++count;
      continue;
    }
    const auto us = [&](size_t index) { return Times(NumberAt(words, index), tick_us); };
    out.set_user_us(us(1));
    out.set_nice_us(us(2));
    out.set_system_us(us(3));
    out.set_idle_us(us(4));
    out.set_iowait_us(us(5));
    out.set_irq_us(us(6));
    out.set_softirq_us(us(7));
    out.set_steal_us(us(8));
  }
  out.set_count(count);
}

void ParseLoad(std::string_view text, v1::StatsReply& out) {
  const auto words = Words(text);
  if (words.size() < 3) return;
  out.set_load1_centi(Small(Centi(words[0])));
  out.set_load5_centi(Small(Centi(words[1])));
  out.set_load15_centi(Small(Centi(words[2])));
}

void ParseUptime(std::string_view text, v1::StatsReply& out) {
  const auto words = Words(text);
  if (!words.empty()) out.set_uptime_us(Times(Centi(words[0]), 10'000));
}

void ParseMemory(std::string_view text, v1::StatsReply::Memory& out) {
  using Memory = v1::StatsReply::Memory;
  struct Row {
    std::string_view key;
    void (Memory::*set)(uint64_t);
  };
  static constexpr Row kRows[] = {
      {"MemTotal:", &Memory::set_total_bytes},         {"MemFree:", &Memory::set_free_bytes},
      {"MemAvailable:", &Memory::set_available_bytes}, {"Cached:", &Memory::set_cached_bytes},
      {"SwapTotal:", &Memory::set_swap_total_bytes},   {"SwapFree:", &Memory::set_swap_free_bytes}};
  while (!text.empty()) {
    const auto words = Words(Cut(text, '\n'));
    if (words.size() < 2) continue;
    for (const Row& row : kRows) {
      if (words[0] == row.key) (out.*row.set)(Times(NumberAt(words, 1), 1024));
    }
  }
}

bool ParsePressure(std::string_view text, v1::StatsReply::Pressure& out) {
  bool found = false;
  while (!text.empty()) {
    const auto words = Words(Cut(text, '\n'));
    if (words.empty() || (words[0] != "some" && words[0] != "full")) continue;
    auto& line = words[0] == "some" ? *out.mutable_some() : *out.mutable_full();
    found = true;
    for (const std::string_view word : words) {
      const size_t equals = word.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view key = word.substr(0, equals);
      const std::string_view value = word.substr(equals + 1);
      if (key == "avg10") line.set_avg10_centi(Small(Centi(value)));
      if (key == "avg60") line.set_avg60_centi(Small(Centi(value)));
      if (key == "avg300") line.set_avg300_centi(Small(Centi(value)));
      if (key == "total") line.set_total_us(Number(value).value_or(0));
    }
  }
  return found;
}

void ParseDisks(std::string_view text, v1::StatsReply& out) {
  std::string_view whole;  // the last device that was no partition of the one before
  while (!text.empty()) {
    const auto words = Words(Cut(text, '\n'));
    if (words.size() < 14) continue;
    const std::string_view name = words[2];
    // Partitions stand behind their device and begin with its name.
    const bool partition = !whole.empty() && name.size() > whole.size() && name.starts_with(whole);
    if (partition || name.starts_with("loop") || name.starts_with("ram")) continue;
    whole = name;
    if (out.disks_size() >= wire::kMaxStatsDisks) {
      out.set_left_out(out.left_out() + 1);
      continue;
    }
    auto& disk = *out.add_disks();
    disk.set_name(Text(name));
    disk.set_reads(NumberAt(words, 3));
    disk.set_read_bytes(Times(NumberAt(words, 5), kSectorBytes));
    disk.set_writes(NumberAt(words, 7));
    disk.set_write_bytes(Times(NumberAt(words, 9), kSectorBytes));
    disk.set_busy_us(Times(NumberAt(words, 12), 1000));
  }
}

void ParseInterfaces(std::string_view text, v1::StatsReply& out) {
  while (!text.empty()) {
    const std::string_view line = Cut(text, '\n');
    const size_t colon = line.rfind(':');
    if (colon == std::string_view::npos) continue;  // the two lines above the table
    const auto name = Words(line.substr(0, colon));
    const auto counts = Words(line.substr(colon + 1));
    if (name.size() != 1 || counts.size() < 12) continue;
    if (out.interfaces_size() >= wire::kMaxStatsInterfaces) {
      out.set_left_out(out.left_out() + 1);
      continue;
    }
    auto& row = *out.add_interfaces();
    row.set_name(Text(name[0]));
    row.set_rx_bytes(NumberAt(counts, 0));
    row.set_rx_packets(NumberAt(counts, 1));
    row.set_rx_errors(NumberAt(counts, 2));
    row.set_rx_dropped(NumberAt(counts, 3));
    row.set_tx_bytes(NumberAt(counts, 8));
    row.set_tx_packets(NumberAt(counts, 9));
    row.set_tx_errors(NumberAt(counts, 10));
    row.set_tx_dropped(NumberAt(counts, 11));
  }
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  const auto words = Words(Cut(text, '\n'));
  return words.empty() ? std::nullopt : Number(words[0]);
}

std::optional<uint64_t> ParseKey(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto words = Words(Cut(text, '\n'));
    if (words.size() == 2 && words[0] == key) return Number(words[1]);
  }
  return std::nullopt;
}

void ParseIoStat(std::string_view text, v1::StatsReply::Group& out) {
  uint64_t read = 0;
  uint64_t written = 0;
  const auto add = [](uint64_t& sum, uint64_t value) {
    sum = value > kMost - sum ? kMost : sum + value;
  };
  while (!text.empty()) {
    for (const std::string_view word : Words(Cut(text, '\n'))) {
      if (word.starts_with("rbytes=")) add(read, Number(word.substr(7)).value_or(0));
      if (word.starts_with("wbytes=")) add(written, Number(word.substr(7)).value_or(0));
    }
  }
  out.set_read_bytes(read);
  out.set_write_bytes(written);
}

}  // namespace berth::agent
