// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/render_service.h"

#include <array>

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

using nlohmann::json;
using Row = v1::ServiceReply::Service;

namespace {

constexpr std::array<std::string_view, 6> kVerbs = {"ls",   "status",  "start",
                                                    "stop", "restart", "reload"};
constexpr std::array<std::string_view, 8> kStates = {"inactive", "waiting", "starting", "ready",
                                                     "stopping", "backoff", "done",     "failed"};
constexpr std::array<std::string_view, 3> kHealths = {"unknown", "healthy", "unhealthy"};
static_assert(v1::ServiceCall::RELOAD == kVerbs.size());
static_assert(Row::FAILED + 1 == kStates.size() && Row::UNHEALTHY + 1 == kHealths.size());

// A number that we do not know is of a later generation: the first.
template <size_t size>
std::string_view NameOf(int value, const std::array<std::string_view, size>& names) {
  const auto index = static_cast<size_t>(value);
  return index < size ? names[index] : names[0];
}

json Ms(uint64_t us) { return us == 0 ? json() : json(static_cast<double>(us) / 1000); }

std::string Clean(const std::string& text) { return Printable(text, wire::kMaxServiceTextBytes); }

json RowJson(const Row& row) {
  json out = {{"name", Clean(row.name())},
              {"state", NameOf(row.state(), kStates)},
              {"health", NameOf(row.health(), kHealths)},
              {"pid", row.pid()},
              {"restarts", row.restarts()},
              {"main", row.main()},
              {"oneshot", row.oneshot()},
              {"wanted_ms", Ms(row.wanted_us())},
              {"start_ms", Ms(row.start_us())},
              {"ready_ms", Ms(row.ready_us())},
              {"restart_ms", Ms(row.restart_us())},
              {"first_ready_ms", Ms(row.first_ready_us())},
              {"waits_for", Clean(row.waits_for())},
              {"detail", Clean(row.detail())},
              {"last_exit", nullptr}};
  if (row.has_code()) out["last_exit"] = {{"code", row.code()}};
  if (row.has_signal()) out["last_exit"] = {{"signal", row.signal()}};
  return out;
}

}  // namespace

std::optional<v1::ServiceCall::Verb> ServiceVerbNamed(std::string_view name) {
  for (size_t i = 0; i < kVerbs.size(); ++i) {
    if (kVerbs[i] == name) return static_cast<v1::ServiceCall::Verb>(i + 1);
  }
  return std::nullopt;
}

json ServicesJson(const v1::ServiceReply& reply) {
  json services = json::array();
  for (const Row& row : reply.services()) services.push_back(RowJson(row));
  return {{"services", std::move(services)},
          {"guest_ms", static_cast<double>(reply.monotonic_us()) / 1000}};
}

}  // namespace berth::daemon
