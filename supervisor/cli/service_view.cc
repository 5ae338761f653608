// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/service_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>
#include <vector>

#include "supervisor/cli/table.h"

namespace berth::cli {

using nlohmann::json;

std::string SpanOf(double ms) {
  if (ms < 1000) return fmt::format("{:.0f} ms", ms);
  constexpr int64_t kSecond = 1'000'000'000;
  return Ago(0, static_cast<int64_t>(ms / 1000) * kSecond);
}

std::string ExitText(const json& exit) {
  if (!exit.is_object()) return "-";
  if (exit.contains("code")) return std::to_string(exit.value("code", uint64_t{0}));
  const auto signal = exit.value("signal", uint64_t{0});
  const char* name = signal < NSIG ? sigabbrev_np(static_cast<int>(signal)) : nullptr;
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

namespace {

// Null and absent are "never".
std::optional<double> Time(const json& row, const char* name) {
  const auto found = row.find(name);
  if (found == row.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string Text(const json& row, const char* name) {
  const auto found = row.find(name);
  return found != row.end() && found->is_string() ? OneLine(found->get<std::string>()) : "";
}

// How long it has been what it is; of one that starts again, how long until then.
std::string Since(const json& row, double now_ms) {
  const std::string state = Text(row, "state");
  if (const auto again = Time(row, "restart_ms"); state == "backoff" && again) {
    return "in " + SpanOf(std::max(0.0, *again - now_ms));
  }
  const auto since = state == "ready"                             ? Time(row, "ready_ms")
                     : state == "starting" || state == "stopping" ? Time(row, "start_ms")
                                                                  : std::nullopt;
  return since ? SpanOf(std::max(0.0, now_ms - *since)) : "-";
}

std::string State(const json& row) {
  return Text(row, "state") + (row.value("main", false) ? " (main)" : "");
}

const json* Find(const std::vector<json>& services, const std::string& name) {
  const auto found = std::ranges::find_if(
      services, [&](const json& each) { return each.value("name", "") == name; });
  return found == services.end() ? nullptr : &*found;
}

// When the guest's kernel started, since the hypervisor's exec: what puts the guest's times on the
// host's clock.
double KernelMs(const json& phases) {
  for (const json& phase : phases) {
    if (phase.value("name", "") == "kernel") return phase.value("ms", 0.0);
  }
  return 0;
}

// From the last to be ready back to the first; what a guest claims may be a circle.
json CriticalChain(const std::vector<json>& services) {
  json chain = json::array();
  const json* link = nullptr;
  for (const json& each : services) {
    if (link == nullptr || each["at_ms"] > (*link)["at_ms"]) link = &each;
  }
  while (link != nullptr && chain.size() < services.size()) {
    chain.push_back(*link);
    link = Find(services, link->value("waits_for", ""));
  }
  return chain;
}

std::string RenderPhases(const json& phases, size_t width) {
  Table table({"AT", "TOOK", "WHAT"});
  for (size_t i = 0; i < phases.size(); ++i) {
    const double ms = phases[i].value("ms", 0.0);
    const double next = i + 1 < phases.size() ? phases[i + 1].value("ms", 0.0) : ms;
    table.Add({fmt::format("{:7.1f} ms", ms),
               i + 1 < phases.size() ? fmt::format("{:6.1f}", next - ms) : "",
               OneLine(phases[i].value("name", ""))});
  }
  return table.Render(width);
}

std::string RenderBlame(const json& services, size_t width) {
  Table table({"TOOK", "READY AT", "SINCE EXEC", "SERVICE"});
  for (const json& each : services) {
    table.Add({fmt::format("{:7.0f} ms", each.value("took_ms", 0.0)),
               fmt::format("{:7.0f} ms", each.value("at_ms", 0.0)),
               fmt::format("{:7.0f} ms", each.value("exec_ms", 0.0)), Text(each, "name")});
  }
  return table.Render(width);
}

std::string RenderChain(const json& chain) {
  std::string out;
  for (size_t i = 0; i < chain.size(); ++i) {
    out += i == 0 ? "" : std::string(2 * (i - 1), ' ') + "└─";
    out += fmt::format("{} @{:.0f}ms +{:.0f}ms\n", Text(chain[i], "name"),
                       chain[i].value("at_ms", 0.0), chain[i].value("took_ms", 0.0));
  }
  return out;
}

}  // namespace

std::string RenderServices(const json& answer, size_t width) {
  const double now_ms = answer.value("guest_ms", 0.0);
  Table table({"NAME", "STATE", "HEALTH", "PID", "RESTARTS", "SINCE", "LAST-EXIT", "DETAIL"});
  for (const json& row : answer.value("services", json::array())) {
    const auto pid = row.value("pid", 0U);
    const std::string health = Text(row, "health");
    table.Add({Text(row, "name"), State(row), health == "unknown" ? "-" : health,
               pid == 0 ? "-" : std::to_string(pid), std::to_string(row.value("restarts", 0U)),
               Since(row, now_ms), ExitText(row.value("last_exit", json())), Text(row, "detail")});
  }
  return table.Render(width);
}

std::string WhyNoServices(const json& vm) {
  const std::string state = vm.value("state", "");
  if (state != "Running") return " is " + state + "; only its guest knows them";
  if (vm.value("paused", false)) return " is paused; only its guest knows them";
  const json agent = vm.value("instance", json::object()).value("agent", json::object());
  if (agent.value("state", "") != "lost") return {};
  return "'s agent is lost: " + agent.value("why", "");
}

json BootReport(const json& boot, const json* answer, const std::string& why_none) {
  json report = boot;
  const double kernel_ms = KernelMs(boot.value("phases", json::array()));
  report["kernel_ms"] = kernel_ms;
  if (answer == nullptr) {
    report["services"] = nullptr;
    report["services_why"] = why_none;
    return report;
  }
  std::vector<json> services;
  for (const json& row : answer->value("services", json::array())) {
    const auto at = Time(row, "first_ready_ms");
    if (!at) continue;
    // Started anew since boot, its own time began after it was first ready: not this boot's.
    const auto wanted = Time(row, "wanted_ms");
    const double took = wanted && *wanted <= *at ? *at - *wanted : 0;
    services.push_back({{"name", row.value("name", "")},
                        {"at_ms", *at},
                        {"exec_ms", kernel_ms + *at},
                        {"took_ms", took},
                        {"waits_for", row.value("waits_for", "")}});
  }
  std::ranges::sort(services, [](const json& a, const json& b) {
    const double longer = a["took_ms"].get<double>() - b["took_ms"].get<double>();
    return longer != 0 ? longer > 0 : a["name"] < b["name"];
  });
  report["critical_chain"] = CriticalChain(services);
  report["services"] = std::move(services);
  return report;
}

std::string RenderBoot(const json& report, size_t width) {
  std::string out = "Phases, since the hypervisor's exec:\n\n" +
                    RenderPhases(report.value("phases", json::array()), width);
  const json services = report.value("services", json());
  if (!services.is_array()) {
    return out + "\nNo services: " + Text(report, "services_why") + "\n";
  }
  if (services.empty()) return out + "\nNo services: none has been ready.\n";
  const std::string kernel =
      fmt::format("since the guest's kernel started ({:.0f} ms after the hypervisor's exec)",
                  report.value("kernel_ms", 0.0));
  out += "\nServices by the time that each took itself; ready " + kernel + ":\n\n";
  out += RenderBlame(services, width);
  out += "\nCritical chain: @ when it was ready, " + kernel + "; + the time it took itself:\n\n";
  return out + RenderChain(report.value("critical_chain", json::array()));
}

}  // namespace berth::cli
