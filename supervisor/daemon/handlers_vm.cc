// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "supervisor/daemon/handlers.h"
#include "supervisor/daemon/render_vm.h"

namespace berth::daemon {

using lifecycle::State;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kMaxWait = std::chrono::hours(1);
constexpr milliseconds kMaxFollow = std::chrono::minutes(1);
constexpr size_t kMaxPage = 256;

std::string AskedBy(const Caller& caller) { return "asked by " + caller.Text(); }

milliseconds Bounded(uint64_t ms, milliseconds most) {
  const auto limit = static_cast<uint64_t>(most.count());
  return milliseconds(static_cast<int64_t>(std::min(ms, limit)));
}

// The VM after a call that changed it, or that call's fault. A VM that was removed while the call
// was answered is one that the caller knows nothing of.
Outcome<Answer> VmAfter(Service& service, const std::string& name, const Outcome<>& done) {
  if (!done) return std::unexpected(done.error());
  auto vm = service.fleet.Find(name);
  if (!vm) return std::unexpected(vm.error());
  return Answer{VmJson(**vm), {}};
}

}  // namespace

HandlerResult VmCreate(Service& service, json params, Caller caller) {
  auto spec = VmSpecFromJson(params["spec"]);
  if (!spec) co_return std::unexpected(ToFault(Kind::kInvalidSpec, ToError(spec.error())));
  auto vm = service.fleet.Create(std::move(*spec), AskedBy(caller));
  if (!vm) co_return std::unexpected(vm.error());
  co_return Answer{VmJson(**vm), {}};
}

HandlerResult VmStart(Service& service, json params, Caller caller) {
  const std::string name = params["name"];
  const auto done = co_await service.fleet.Start(name, AskedBy(caller));
  co_return VmAfter(service, name, done);
}

HandlerResult VmStop(Service& service, json params, Caller caller) {
  const std::string name = params["name"];
  std::optional<milliseconds> grace;
  if (params.contains("timeout_ms")) {
    grace = Bounded(params["timeout_ms"].get<uint64_t>(), kMaxPhaseTimeout);
  }
  const auto done = co_await service.fleet.Stop(name, grace, AskedBy(caller));
  co_return VmAfter(service, name, done);
}

HandlerResult VmKill(Service& service, json params, Caller caller) {
  const std::string name = params["name"];
  const auto done = co_await service.fleet.Kill(name, AskedBy(caller));
  co_return VmAfter(service, name, done);
}

HandlerResult VmPause(Service& service, json params, Caller caller) {
  const std::string name = params["name"];
  const auto done = co_await service.fleet.Pause(name, AskedBy(caller));
  co_return VmAfter(service, name, done);
}

HandlerResult VmResume(Service& service, json params, Caller caller) {
  const std::string name = params["name"];
  const auto done = co_await service.fleet.Resume(name, AskedBy(caller));
  co_return VmAfter(service, name, done);
}

HandlerResult VmRemove(Service& service, json params, Caller caller) {
  const std::string name = params["name"];
  const auto done =
      co_await service.fleet.Remove(name, params.value("force", false), AskedBy(caller));
  if (!done) co_return std::unexpected(done.error());
  co_return Answer{{{"name", name}}, {}};
}

HandlerResult VmStatus(Service& service, json params, Caller /*caller*/) {
  co_return VmAfter(service, params["name"], {});
}

HandlerResult VmList(Service& service, json /*params*/, Caller /*caller*/) {
  json list = json::array();
  for (const auto& [name, vm] : service.fleet.vms()) list.push_back(VmSummaryJson(*vm));
  co_return Answer{std::move(list), {}};
}

HandlerResult VmWait(Service& service, json params, Caller /*caller*/) {
  std::vector<State> states;
  for (const json& each : params["states"]) {
    const auto state = lifecycle::StateNamed(each.get<std::string>());
    if (!state) {
      co_return lifecycle::Refuse(Kind::kFailed, "wait", EINVAL,
                                  "no state is named '" + each.get<std::string>() + "'",
                                  "docs/lifecycle.md lists them; they start with a capital");
    }
    states.push_back(*state);
  }
  const auto timeout =
      Bounded(params.value("timeout_ms", static_cast<uint64_t>(kMaxWait.count())), kMaxWait);
  const auto reached =
      co_await service.fleet.WaitFor(params["name"], std::move(states), Deadline::In(timeout));
  if (!reached) co_return std::unexpected(reached.error());
  json out = {{"state", lifecycle::Name(*reached)}};
  if (const auto vm = service.fleet.Find(params["name"]); vm && (*vm)->state() == *reached) {
    if (json told = GuestExitOf(**vm); !told.is_null()) out["guest_exit"] = std::move(told);
  }
  co_return Answer{std::move(out), {}};
}

HandlerResult VmEventsTail(Service& service, json params, Caller /*caller*/) {
  lifecycle::Journal& journal = service.fleet.journal();
  uint64_t after = 0;
  if (params.contains("cursor")) {
    auto parsed = journal.ParseCursor(params["cursor"].get<std::string>());
    if (!parsed) co_return std::unexpected(ToFault(Kind::kFailed, parsed.error()));
    after = *parsed;
  }
  const std::string name = params.value("name", "");
  const auto limit = static_cast<size_t>(
      std::clamp<uint64_t>(params.value("limit", uint64_t{kMaxPage}), 1, kMaxPage));
  const Deadline deadline =
      Deadline::In(Bounded(params.value("follow_ms", uint64_t{0}), kMaxFollow));
  uint64_t lost = 0;
  for (;;) {
    auto page = journal.Read(after, limit);
    if (!page) co_return std::unexpected(ToFault(Kind::kFailed, page.error()));
    json events = json::array();
    for (const lifecycle::Entry& entry : page->entries) {
      if (name.empty() || entry.vm == name) events.push_back(EntryJson(entry));
    }
    lost += page->lost;
    after = page->next;
    const bool more = after < journal.newest();
    if (!events.empty() || lost > 0 || (!more && deadline.Passed())) {
      co_return Answer{
          {{"events", std::move(events)}, {"cursor", journal.Cursor(after)}, {"lost", lost}}, {}};
    }
    // Pages without an entry of the VM asked for are skipped without waiting.
    if (!more) co_await journal.grown().Wait(deadline);
  }
}

}  // namespace berth::daemon
