// SPDX-License-Identifier: Apache-2.0
//
// Handlers of what an operator asks a guest's agent of generation 3: its health, its clock, and to
// hold its file systems and bring its devices online.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/handlers.h"
#include "supervisor/daemon/render_health.h"
#include "supervisor/guest/tend.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

using lifecycle::AgentState;
using lifecycle::InstancePtr;
using std::chrono::milliseconds;

namespace {

constexpr auto kHealthLook = std::chrono::seconds(5);
constexpr auto kClockLook = std::chrono::seconds(10);
// The agent's own deadlines for these, and the way.
constexpr auto kPowerCall = std::chrono::seconds(25);
constexpr milliseconds kMaxHealthFollow = std::chrono::minutes(1);

// Names what has been seen, so that a client can wait for something else.
std::string SeenOf(const lifecycle::Instance& instance) {
  const auto& view = instance.view();
  return fmt::format("{}-{}-{}", view.ready ? view.ready->instance_id : "", view.health.version,
                     Name(view.agent));
}

json AgentRow(const lifecycle::Instance::View& view, const Outcome<v1::Envelope>& answer,
              double took_ms) {
  json row = {{"name", "agent"}, {"source", "host"}, {"output", ""}};
  row["state"] = answer ? "healthy" : "unhealthy";
  row["result"] =
      answer ? fmt::format("it answers in {:.1f} ms", took_ms)
             : Printable(view.agent_why.empty() ? answer.error().Message() : view.agent_why,
                         wire::kMaxHealthTextBytes);
  if (answer) row["took_ms"] = took_ms;
  return row;
}

// The worst of all rows.
std::string Worst(const json& checks) {
  const auto any = [&](const char* state) {
    return std::ranges::any_of(checks, [&](const json& each) { return each["state"] == state; });
  };
  return any("unhealthy") ? "unhealthy" : any("unknown") ? "unknown" : "healthy";
}

// One call of generation 3 to the guest of a VM.
boost::asio::awaitable<Outcome<v1::Envelope>> Ask(Service& service, std::string name,
                                                  std::string step, std::string note,
                                                  v1::Envelope request,
                                                  v1::Envelope::BodyCase answer) {
  auto found = service.fleet.Find(name);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  auto speaking = SpeakingInstance(*vm, step);
  if (!speaking) co_return std::unexpected(speaking.error());
  const InstancePtr instance = *speaking;
  // Recorded before it happens: who asked for what.
  vm->Note(lifecycle::EntryKind::kStep, std::move(note));
  co_return co_await instance->Call(std::move(request), wire::kOperatorGeneration, answer,
                                    Deadline::In(kPowerCall));
}

}  // namespace

HandlerResult VmHealth(Service& service, json params, Caller /*caller*/) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  const std::string seen = params.value("seen", "");
  const auto follow = std::min<uint64_t>(params.value("follow_ms", uint64_t{0}),
                                         static_cast<uint64_t>(kMaxHealthFollow.count()));
  const Deadline until = Deadline::In(milliseconds(static_cast<int64_t>(follow)));
  for (;;) {
    auto speaking = SpeakingInstance(*vm, "health");
    if (!speaking) co_return std::unexpected(speaking.error());
    if (seen.empty() || SeenOf(**speaking) != seen || until.Passed()) break;
    co_await vm->changed().Wait(until);
  }
  auto speaking = SpeakingInstance(*vm, "health");
  if (!speaking) co_return std::unexpected(speaking.error());
  const InstancePtr instance = *speaking;
  // Before the question: what changes while it is answered is new to the client.
  std::string now_seen = SeenOf(*instance);
  v1::Envelope request;
  request.mutable_health_call();
  const int64_t asked_ns = MonotonicNs();
  auto answer = co_await instance->Call(std::move(request), wire::kOperatorGeneration,
                                        v1::Envelope::kHealthReply, Deadline::In(kHealthLook));
  const double took_ms = static_cast<double>(MonotonicNs() - asked_ns) / 1e6;
  // An agent that is too old is not unhealthy: it cannot tell.
  if (!answer && answer.error().errnum == EPROTONOSUPPORT) {
    co_return std::unexpected(answer.error());
  }
  if (answer) {
    if (auto good = guest::CheckHealthReply(answer->health_reply()); !good) {
      answer = std::unexpected(ToFault(Kind::kAgentUnreachable, good.error()));
    }
  }
  json out = {{"vm", vm->name()}, {"seen", std::move(now_seen)}, {"fresh", answer.has_value()}};
  json checks = json::array({AgentRow(instance->view(), answer, took_ms)});
  for (json& row :
       answer ? HealthJson(answer->health_reply()) : HealthJson(instance->view().health)) {
    checks.push_back(std::move(row));
  }
  if (answer) {
    out["guest_ms"] = static_cast<double>(answer->health_reply().monotonic_us()) / 1000;
    out["services_why"] =
        Printable(answer->health_reply().services_why(), wire::kMaxHealthTextBytes);
  }
  out["health"] = Worst(checks);
  out["checks"] = std::move(checks);
  co_return Answer{std::move(out), {}};
}

HandlerResult VmClock(Service& service, json params, Caller caller) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  auto speaking = SpeakingInstance(*vm, "clock");
  if (!speaking) co_return std::unexpected(speaking.error());
  const InstancePtr instance = *speaking;
  const bool set = params.value("set", false);
  if (set) vm->Note(lifecycle::EntryKind::kClock, caller.Text() + ": set the guest's clock");
  const auto report = co_await instance->LookAtClock(
      set ? lifecycle::ClockAction::kSet : lifecycle::ClockAction::kLook, Deadline::In(kClockLook));
  if (!report) co_return std::unexpected(report.error());
  co_return Answer{ClockJson(*report), {}};
}

HandlerResult VmFreeze(Service& service, json params, Caller caller) {
  constexpr auto kDefaultMs =
      static_cast<uint64_t>(milliseconds(wire::kDefaultFreezeTimeout).count());
  constexpr auto kMostMs = static_cast<uint64_t>(milliseconds(wire::kMaxFreezeTimeout).count());
  const uint64_t timeout_ms = params.value("timeout_ms", kDefaultMs);
  if (timeout_ms == 0 || timeout_ms > kMostMs) {
    co_return lifecycle::Refuse(Kind::kFailed, "freeze", EINVAL,
                                "timeout_ms must be from 1 to " + std::to_string(kMostMs));
  }
  v1::Envelope request;
  request.mutable_freeze()->set_timeout_ms(timeout_ms);
  const auto answer = co_await Ask(
      service, params["name"], "freeze",
      fmt::format("{}: freeze its file systems, for {} ms at most", caller.Text(), timeout_ms),
      std::move(request), v1::Envelope::kFreezeReply);
  if (!answer) co_return std::unexpected(answer.error());
  const v1::FreezeReply& reply = answer->freeze_reply();
  if (auto good = guest::CheckFreezeReply(reply); !good) {
    co_return std::unexpected(ToFault(Kind::kAgentUnreachable, good.error()));
  }
  if (!reply.failed().empty()) {
    co_return lifecycle::Refuse(Kind::kFailed, "freeze", 0,
                                Printable(reply.failed(), wire::kMaxHealthTextBytes));
  }
  json mounts = json::array();
  for (const auto& mount : reply.mounts()) {
    mounts.push_back({{"path", Printable(mount.path(), wire::kMaxPathBytes)},
                      {"type", Printable(mount.type(), wire::kMaxNameBytes)},
                      {"frozen", mount.frozen()},
                      {"why", Printable(mount.why(), wire::kMaxHealthTextBytes)}});
  }
  co_return Answer{{{"mounts", std::move(mounts)}, {"timeout_ms", timeout_ms}}, {}};
}

HandlerResult VmThaw(Service& service, json params, Caller caller) {
  v1::Envelope request;
  request.mutable_thaw();
  const auto answer =
      co_await Ask(service, params["name"], "thaw", caller.Text() + ": thaw its file systems",
                   std::move(request), v1::Envelope::kThawReply);
  if (!answer) co_return std::unexpected(answer.error());
  co_return Answer{{{"mounts", answer->thaw_reply().mounts()}}, {}};
}

HandlerResult VmOnline(Service& service, json params, Caller caller) {
  v1::Envelope request;
  request.mutable_online();
  const auto answer = co_await Ask(service, params["name"], "online",
                                   caller.Text() + ": bring processors and memory online",
                                   std::move(request), v1::Envelope::kOnlineReply);
  if (!answer) co_return std::unexpected(answer.error());
  const v1::OnlineReply& reply = answer->online_reply();
  co_return Answer{{{"cpus",
                     {{"before", reply.cpus_before()},
                      {"after", reply.cpus_after()},
                      {"present", reply.cpus_present()}}},
                    {"memory_blocks",
                     {{"before", reply.memory_before()},
                      {"after", reply.memory_after()},
                      {"present", reply.memory_present()}}},
                    {"failed", Printable(reply.failed(), wire::kMaxHealthTextBytes)}},
                   {}};
}

}  // namespace berth::daemon
