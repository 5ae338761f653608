// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the payload of a message, and what either end does with each message before it acts
// on it: the checks must hold, and what passes them must be within its bounds.
#include <cstdint>
#include <cstdlib>

#include "agent/exec_request.h"
#include "agent/forward.h"
#include "agent/health.h"
#include "agent/service_link.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/render_health.h"
#include "supervisor/daemon/render_service.h"
#include "supervisor/daemon/render_stats.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/check_stats.h"
#include "supervisor/guest/oom_kill.h"
#include "supervisor/guest/ready_listener.h"
#include "supervisor/guest/tend.h"
#include "supervisor/lifecycle/guest_exit.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

bool Printable(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto message = berth::wire::DecodeMessage(std::as_bytes(std::span(data, size)));
  if (!message) return 0;
  if (message->has_hello()) {
    const auto ours = berth::wire::MakeHello({}, {});
    const auto agreed = berth::wire::Negotiate(ours, message->hello());
    if (agreed) {
      Require(*agreed >= berth::wire::kOldestGeneration && *agreed <= berth::wire::kGeneration);
    } else {
      Require(Printable(agreed.error().Message()));
    }
    Require(berth::guest::CheckGuestHello(*message).has_value() == agreed.has_value());
  }
  if (message->has_failure()) {
    const berth::Error error = berth::wire::FromFailure(message->failure());
    Require(Printable(error.detail) && Printable(error.hint));
    Require(error.hint.size() <= berth::wire::kMaxFailureBytes);
  }
  if (message->has_ready() && berth::guest::CheckReady(message->ready())) {
    Require(message->ready().phases_size() <= berth::wire::kMaxBootPhases);
  }
  if (message->has_service_call()) {
    const auto request = berth::agent::ToRequest(message->service_call());
    if (request)
      Require(request->name[berth::kServiceNameBytes - 1] == 0 && request->timeout_ms > 0);
  }
  if (message->has_service_reply() && berth::guest::CheckServiceReply(message->service_reply())) {
    Require(message->service_reply().services_size() <= berth::wire::kMaxServices);
    const auto shown = berth::daemon::ServicesJson(message->service_reply());
    for (const auto& row : shown["services"]) {
      for (const char* text : {"name", "waits_for", "detail"}) {
        Require(Printable(row[text].get<std::string>()));
      }
    }
    Require(!shown.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).empty());
  }
  if (message->has_stats_reply() && berth::guest::CheckStatsReply(message->stats_reply())) {
    Require(message->stats_reply().services_size() <= berth::wire::kMaxStatsGroups);
    const auto shown = berth::daemon::StatsJson(message->stats_reply());
    for (const char* rows : {"disks", "interfaces", "services", "sessions"}) {
      for (const auto& row : shown[rows]) Require(Printable(row["name"].get<std::string>()));
    }
    Require(!shown.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).empty());
  }
  if (message->has_forward()) {
    const auto addresses = berth::agent::ForwardAddresses(message->forward());
    if (addresses) {
      for (const auto& each : *addresses) Require(Printable(each.text));
    }
  }
  if (message->has_health_configure()) {
    const auto checks = berth::agent::ToChecks(message->health_configure());
    if (checks) {
      // What the agent takes, it takes again from a file of its own.
      const auto again =
          berth::DecodeAgentSettings(berth::EncodeAgentSettings({.checks = *checks}));
      Require(again && again->checks == *checks);
    }
  }
  if (message->has_health_reply() && berth::guest::CheckHealthReply(message->health_reply())) {
    const auto rows = berth::lifecycle::RowsOf(message->health_reply());
    Require(rows.size() <= static_cast<size_t>(berth::wire::kMaxHealthRows));
    for (const std::string& line : berth::lifecycle::HealthNews({}, rows)) Require(Printable(line));
    for (const auto& row : berth::daemon::HealthJson(message->health_reply())) {
      Require(Printable(row["name"].get<std::string>()));
      Require(Printable(row["result"].get<std::string>()));
    }
  }
  if (message->has_clock_reply()) {
    const berth::guest::ClockSample sample{.before_ns = 1'700'000'000'000'000'000,
                                           .guest_ns = message->clock_reply().realtime_ns(),
                                           .after_ns = 1'700'000'000'000'000'000,
                                           .round_trip_ns = 0};
    if (const auto best = berth::guest::BestOffset(std::span(&sample, 1))) {
      Require(Printable(berth::lifecycle::Explain(
          {.offset_ns = best->offset_ns, .error_ns = best->error_ns, .stepped = true})));
    }
  }
  if (message->has_guest_event() && berth::guest::CheckGuestEvent(message->guest_event())) {
    const auto told = berth::lifecycle::FromClaim(message->guest_event().going_down());
    if (told) {
      Require(Printable(berth::lifecycle::Explain(*told)));
      Require(!(told->code && told->signal));
    }
    if (message->guest_event().has_oom_kill()) {
      Require(Printable(berth::guest::ExplainOomKill(message->guest_event().oom_kill())));
    }
  }
  if (message->has_exec_start() && berth::agent::CheckExecStart(message->exec_start())) {
    const auto& request = message->exec_start();
    const auto environment = berth::agent::SessionEnvironment(request, {});
    Require(!environment.empty() && environment.size() <= berth::wire::kMaxEnv + 6);
    for (const auto& each : environment) {
      Require(each.find('=') != 0 && each.find('=') != std::string::npos);
      Require(each.find('\0') == std::string::npos);
    }
    berth::agent::SearchPath(environment);
  }
  return 0;
}
