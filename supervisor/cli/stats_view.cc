// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/stats_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "supervisor/cli/table.h"

namespace berth::cli {

using nlohmann::json;

namespace {

const json& Part(const json& object, const char* key) {
  static const json kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

double Num(const json& object, const char* key) {
  const json& value = Part(object, key);
  return value.is_number() ? value.get<double>() : 0;
}

std::string Str(const json& object, const char* key) {
  const json& value = Part(object, key);
  return value.is_string() ? OneLine(value.get<std::string>()) : "";
}

// The row of that name, or nothing: it was not there yet.
const json& Named(const json& rows, const std::string& name) {
  static const json kNothing;
  if (!rows.is_array()) return kNothing;
  for (const json& row : rows) {
    if (Part(row, "name") == name) return row;
  }
  return kNothing;
}

// What one look after another shows. A counter that went back started anew: 0.
struct Span {
  double ms = 0;
  double PerSecond(const json& before, const json& after, const char* key) const {
    if (!Part(before, key).is_number() || ms <= 0) return 0;
    return std::max(0.0, Num(after, key) - Num(before, key)) * 1000 / ms;
  }
  // Of microseconds spent: percent of one processor.
  double Percent(const json& before, const json& after, const char* key) const {
    return PerSecond(before, after, key) / 10'000;
  }
};

Span Between(const json& before, const json& after) {
  return {.ms = std::max(0.0, Num(after, "at_ms") - Num(before, "at_ms"))};
}

constexpr std::array<const char*, 6> kBusy = {"user_us", "nice_us",    "system_us",
                                              "irq_us",  "softirq_us", "steal_us"};

double CpuPercent(const Span& span, const json& before, const json& after) {
  double sum = 0;
  for (const char* key : kBusy) sum += span.Percent(before, after, key);
  return sum;
}

double Used(const json& memory) {
  return std::max(0.0, Num(memory, "total_bytes") - Num(memory, "available_bytes"));
}

std::string Percentage(double value) { return fmt::format("{:.1f}%", value); }
std::string PerSecondText(double bytes) { return ShowBytes(bytes) + "/s"; }

// "-" where the guest's kernel does not tell.
std::string BytesOrNone(const json& row, const char* key) {
  return Part(row, key).is_number() ? ShowBytes(Num(row, key)) : "-";
}
std::string CountOrNone(const json& row, const char* key) {
  return Part(row, key).is_number() ? fmt::format("{:.0f}", Num(row, key)) : "-";
}

std::string Uptime(double ms) {
  return Ago(0, static_cast<int64_t>(std::clamp(ms, 0.0, 1e12) * 1e6));
}

std::string Summary(const json& before, const json& after) {
  const json& guest = Part(after, "guest");
  const json& host = Part(after, "host");
  const Span span = Between(Part(before, "guest"), guest);
  const json& cpu_before = Part(Part(before, "guest"), "cpu");
  const json& cpu = Part(guest, "cpu");
  const json& memory = Part(guest, "memory");
  const json& load = Part(guest, "load");
  const auto load_at = [&](size_t i) {
    return load.is_array() && i < load.size() && load[i].is_number() ? load[i].get<double>() : 0;
  };
  std::string out =
      fmt::format("{:<11}{}, load {:.2f} {:.2f} {:.2f}\n", "up", Uptime(Num(guest, "uptime_ms")),
                  load_at(0), load_at(1), load_at(2));
  out += fmt::format("{:<11}{} of {:.0f} CPU: user {}, system {}, iowait {}, steal {}\n", "cpu",
                     Percentage(CpuPercent(span, cpu_before, cpu)), Num(cpu, "count"),
                     Percentage(span.Percent(cpu_before, cpu, "user_us")),
                     Percentage(span.Percent(cpu_before, cpu, "system_us")),
                     Percentage(span.Percent(cpu_before, cpu, "iowait_us")),
                     Percentage(span.Percent(cpu_before, cpu, "steal_us")));
  const double total = Num(memory, "total_bytes");
  out += fmt::format(
      "{:<11}{} of {} ({}), {} available, {} cached; swap {} of {}\n", "memory",
      ShowBytes(Used(memory)), ShowBytes(total),
      Percentage(total > 0 ? 100 * Used(memory) / total : 0),
      ShowBytes(Num(memory, "available_bytes")), ShowBytes(Num(memory, "cached_bytes")),
      ShowBytes(std::max(0.0, Num(memory, "swap_total_bytes") - Num(memory, "swap_free_bytes"))),
      ShowBytes(Num(memory, "swap_total_bytes")));
  if (host.is_object()) {
    const Span host_span = Between(Part(before, "host"), host);
    out += fmt::format("{:<11}{} of a CPU, {} of memory: its hypervisor, by this host's kernel\n",
                       "host", Percentage(host_span.Percent(Part(before, "host"), host, "cpu_us")),
                       ShowBytes(Num(host, "rss_bytes")));
  }
  return out;
}

std::string PressureTable(const json& pressure, size_t width) {
  Table table({"PRESSURE", "SOME 10s", "60s", "300s", "FULL 10s", "60s", "300s"});
  bool any = false;
  for (const char* resource : {"cpu", "memory", "io"}) {
    const json& of = Part(pressure, resource);
    if (!of.is_object()) continue;
    any = true;
    std::vector<std::string> row{resource};
    for (const char* line : {"some", "full"}) {
      for (const char* key : {"avg10", "avg60", "avg300"}) {
        row.push_back(Part(of, line).is_object() ? Percentage(Num(Part(of, line), key)) : "-");
      }
    }
    table.Add(std::move(row));
  }
  return any ? table.Render(width)
             : "no pressure: the guest's kernel does not tell (CONFIG_PSI, and psi=1)\n";
}

std::string GroupTable(const char* title, const Span& span, const json& before, const json& after,
                       size_t width) {
  if (!after.is_array() || after.empty()) return {};
  Table table({title, "CPU", "MEMORY", "PEAK", "TASKS", "READ", "WRITTEN", "OOM KILLS"});
  for (const json& row : after) {
    const std::string name = Str(row, "name");
    const json& then = Named(before, name);
    table.Add(
        {name,
         Part(row, "cpu_us").is_number() ? Percentage(span.Percent(then, row, "cpu_us")) : "-",
         BytesOrNone(row, "memory_bytes"), BytesOrNone(row, "memory_peak_bytes"),
         CountOrNone(row, "tasks"), BytesOrNone(row, "read_bytes"), BytesOrNone(row, "write_bytes"),
         CountOrNone(row, "oom_kills")});
  }
  return "\n" + table.Render(width);
}

}  // namespace

std::string ShowBytes(double bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 || bytes >= 100 ? 0 : 1, kUnits[unit]);
}

std::string RenderStats(const json& before, const json& after, size_t width) {
  const json& then = Part(before, "guest");
  const json& now = Part(after, "guest");
  const Span span = Between(then, now);
  std::string out = Summary(before, after) + "\n" + PressureTable(Part(now, "pressure"), width);
  const auto rows = [&](const char* key) -> const json& {
    static const json kNone = json::array();
    return Part(now, key).is_array() ? Part(now, key) : kNone;
  };
  if (!rows("disks").empty()) {
    Table table({"DISK", "READ", "WRITE", "READ ALL", "WRITTEN ALL", "BUSY"});
    for (const json& row : rows("disks")) {
      const json& old = Named(Part(then, "disks"), Str(row, "name"));
      table.Add({Str(row, "name"), PerSecondText(span.PerSecond(old, row, "read_bytes")),
                 PerSecondText(span.PerSecond(old, row, "write_bytes")),
                 ShowBytes(Num(row, "read_bytes")), ShowBytes(Num(row, "write_bytes")),
                 Percentage(span.Percent(old, row, "busy_us"))});
    }
    out += "\n" + table.Render(width);
  }
  if (!rows("file_systems").empty()) {
    Table table({"FILE SYSTEM", "TYPE", "DEVICE", "SIZE", "FREE", "AVAILABLE"});
    for (const json& row : rows("file_systems")) {
      table.Add({Str(row, "path"), Str(row, "type"), Str(row, "device"),
                 ShowBytes(Num(row, "total_bytes")), ShowBytes(Num(row, "free_bytes")),
                 ShowBytes(Num(row, "available_bytes"))});
    }
    out += "\n" + table.Render(width);
  }
  if (!rows("interfaces").empty()) {
    Table table({"INTERFACE", "RX", "TX", "RX ALL", "TX ALL", "ERRORS", "DROPPED"});
    for (const json& row : rows("interfaces")) {
      const json& old = Named(Part(then, "interfaces"), Str(row, "name"));
      table.Add({Str(row, "name"), PerSecondText(span.PerSecond(old, row, "rx_bytes")),
                 PerSecondText(span.PerSecond(old, row, "tx_bytes")),
                 ShowBytes(Num(row, "rx_bytes")), ShowBytes(Num(row, "tx_bytes")),
                 fmt::format("{:.0f}", Num(row, "rx_errors") + Num(row, "tx_errors")),
                 fmt::format("{:.0f}", Num(row, "rx_dropped") + Num(row, "tx_dropped"))});
    }
    out += "\n" + table.Render(width);
  }
  out += GroupTable("SERVICE", span, Part(then, "services"), Part(now, "services"), width);
  out += GroupTable("SESSION", span, Part(then, "sessions"), Part(now, "sessions"), width);
  if (Num(now, "left_out") > 0) {
    out += fmt::format("\n{:.0f} rows are left out\n", Num(now, "left_out"));
  }
  return out;
}

TopRow MakeTopRow(const std::string& vm, const json& before, const json& after) {
  const json& then = Part(before, "guest");
  const json& now = Part(after, "guest");
  const Span span = Between(then, now);
  const Span host_span = Between(Part(before, "host"), Part(after, "host"));
  TopRow row;
  row.vm = vm;
  row.cpu = CpuPercent(span, Part(then, "cpu"), Part(now, "cpu"));
  row.host_cpu = host_span.Percent(Part(before, "host"), Part(after, "host"), "cpu_us");
  row.memory_bytes = Used(Part(now, "memory"));
  row.memory_total_bytes = Num(Part(now, "memory"), "total_bytes");
  row.host_rss_bytes = Num(Part(after, "host"), "rss_bytes");
  const json& load = Part(now, "load");
  if (load.is_array() && !load.empty() && load[0].is_number()) row.load = load[0].get<double>();
  const auto sum = [&](const char* rows, const char* key) {
    double total = 0;
    if (!Part(now, rows).is_array()) return total;
    for (const json& each : Part(now, rows)) {
      const std::string name = Str(each, "name");
      if (name != "lo") total += span.PerSecond(Named(Part(then, rows), name), each, key);
    }
    return total;
  };
  row.rx = sum("interfaces", "rx_bytes");
  row.tx = sum("interfaces", "tx_bytes");
  row.read = sum("disks", "read_bytes");
  row.write = sum("disks", "write_bytes");
  return row;
}

void SortTop(std::vector<TopRow>& rows, TopOrder order) {
  const auto key = [order](const TopRow& row) {
    return order == TopOrder::kCpu ? row.cpu : row.memory_bytes;
  };
  std::ranges::sort(rows, [&](const TopRow& a, const TopRow& b) {
    if (a.note.empty() != b.note.empty()) return a.note.empty();
    if (key(a) != key(b)) return key(a) > key(b);
    return a.vm < b.vm;
  });
}

std::string RenderTop(const std::vector<TopRow>& rows, size_t width) {
  Table table(
      {"VM", "CPU", "HOST CPU", "MEMORY", "HOST RSS", "LOAD", "RX", "TX", "READ", "WRITE", "NOTE"});
  for (const TopRow& row : rows) {
    if (!row.note.empty()) {
      table.Add({OneLine(row.vm), "", "", "", "", "", "", "", "", "", OneLine(row.note)});
      continue;
    }
    table.Add({OneLine(row.vm), Percentage(row.cpu), Percentage(row.host_cpu),
               ShowBytes(row.memory_bytes) + " of " + ShowBytes(row.memory_total_bytes),
               ShowBytes(row.host_rss_bytes), fmt::format("{:.2f}", row.load),
               PerSecondText(row.rx), PerSecondText(row.tx), PerSecondText(row.read),
               PerSecondText(row.write), ""});
  }
  return table.Render(width);
}

}  // namespace berth::cli
