// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <ranges>

namespace berth::lifecycle {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

std::unexpected<Fault> WrongState(const Vm& vm, std::string_view what, std::string hint = {}) {
  return Refuse(Kind::kWrongState, std::string(what), 0,
                fmt::format("{} is {}", vm.name(), Name(vm.state())), std::move(hint));
}

std::unexpected<Fault> NotRecorded(const Error& error) {
  return std::unexpected(ToFault(Kind::kFailed, error));
}

}  // namespace

Fleet::Fleet(Host& host, Store& store, asio::any_io_executor executor)
    : host_(host), executor_(executor), journal_(store, executor) {}

Outcome<VmPtr> Fleet::Find(const std::string& name) const {
  const auto found = vms_.find(name);
  if (found != vms_.end()) return found->second;
  return Refuse(Kind::kUnknownVm, "find", ENOENT, "no VM is named '" + name + "'",
                "berth ps lists those there are");
}

Outcome<VmPtr> Fleet::Create(VmSpec spec, std::string why) {
  if (shutting_down_) {
    return Refuse(Kind::kShuttingDown, "create", ESHUTDOWN, "berthd is shutting down");
  }
  if (vms_.contains(spec.name)) {
    return Refuse(Kind::kVmExists, "create", EEXIST,
                  "a VM named '" + spec.name + "' is there already",
                  "remove it, or take another name");
  }
  if (vms_.size() >= kMaxVms) {
    return Refuse(Kind::kLimit, "create", EMFILE,
                  fmt::format("there are {} VMs, the limit", kMaxVms), "remove some");
  }
  if (auto fine = host_.Check(spec); !fine) return std::unexpected(fine.error());

  auto vm = std::make_shared<Vm>(std::move(spec), journal_, executor_);
  if (auto recorded = vm->Created(why); !recorded) return NotRecorded(recorded.error());
  vms_.emplace(vm->name(), vm);
  return vm;
}

awaitable<Outcome<>> Fleet::Provision(VmPtr vm, std::string why) {
  if (auto moved = vm->Apply(Event::kProvision, Provisioning{}, std::move(why)); !moved) {
    co_return NotRecorded(moved.error());
  }
  auto done = co_await host_.Provision(vm->spec());
  const auto moved = done ? vm->Apply(Event::kProvisioned, Configured{},
                                      "directory, image and disk space are there")
                          : vm->Apply(Event::kProvisionFailed, Failed{done.error(), {}, {}},
                                      done.error().Message());
  if (!moved) co_return NotRecorded(moved.error());
  co_return done;
}

awaitable<Outcome<>> Fleet::Start(std::string name, std::string why) {
  if (shutting_down_) {
    co_return Refuse(Kind::kShuttingDown, "start", ESHUTDOWN, "berthd is shutting down");
  }
  auto found = Find(name);
  if (!found) co_return std::unexpected(found.error());
  const VmPtr vm = *found;
  if (vm->driven) co_return WrongState(*vm, "start");
  if (const auto* failed = std::get_if<Failed>(&vm->body());
      failed != nullptr && failed->leftover) {
    co_return WrongState(*vm, "start",
                         "something of its last run is still there: " + failed->why.detail);
  }
  // The table knows whether it may start, directly or by provisioning anew.
  if (!Next(vm->state(), Event::kLaunch) && !Next(vm->state(), Event::kProvision)) {
    co_return WrongState(*vm, "start");
  }
  vm->driven = true;
  vm->stop_request.reset();
  vm->start_result.reset();
  if (vm->state() != State::kConfigured) {
    if (auto ready = co_await Provision(vm, why); !ready) {
      vm->driven = false;
      vm->changed().NotifyAll();
      co_return ready;
    }
  }
  asio::co_spawn(executor_, Drive(host_, vm, std::move(why)), asio::detached);
  while (!vm->start_result) co_await vm->changed().Wait(Deadline::In(kUntilNotified));
  co_return *vm->start_result;
}

awaitable<Outcome<>> Fleet::End(VmPtr vm, StopRequest request) {
  const std::string_view what = request.kill ? "kill" : "stop";
  if (!Info(vm->state()).owns_processes) co_return WrongState(*vm, what);
  // A stop that joins one on its way changes nothing; a kill hurries it.
  if (!vm->stop_request || (request.kill && !vm->stop_request->kill)) {
    vm->stop_request = std::move(request);
    vm->changed().NotifyAll();
  }
  while (vm->driven) co_await vm->changed().Wait(Deadline::In(kUntilNotified));
  if (const auto* failed = std::get_if<Failed>(&vm->body())) {
    co_return std::unexpected(failed->why);
  }
  co_return Outcome<>{};
}

awaitable<Outcome<>> Fleet::Stop(std::string name, std::optional<std::chrono::milliseconds> grace,
                                 std::string why) {
  auto vm = Find(name);
  if (!vm) co_return std::unexpected(vm.error());
  co_return co_await End(*vm, {grace.value_or((*vm)->spec().timeouts.stop), false, std::move(why)});
}

awaitable<Outcome<>> Fleet::Kill(std::string name, std::string why) {
  auto vm = Find(name);
  if (!vm) co_return std::unexpected(vm.error());
  co_return co_await End(*vm, {std::chrono::milliseconds(0), true, std::move(why)});
}

awaitable<Outcome<>> Fleet::SetPaused(std::string name, bool paused, std::string why) {
  auto found = Find(name);
  if (!found) co_return std::unexpected(found.error());
  const VmPtr vm = *found;
  const std::string_view what = paused ? "pause" : "resume";
  if (vm->state() != State::kRunning) co_return WrongState(*vm, what);
  const InstancePtr instance = vm->instance();
  if (instance->view().paused == paused) {
    co_return WrongState(*vm, what, paused ? "it is paused already" : "it is not paused");
  }
  if (auto done = co_await instance->SetPaused(paused, Deadline::In(kAskTimeout)); !done) {
    co_return std::unexpected(ToFault(Kind::kFailed, done.error()));
  }
  vm->Note(EntryKind::kStep, std::string(what) + "d: " + why);
  co_return Outcome<>{};
}

awaitable<Outcome<>> Fleet::Pause(std::string name, std::string why) {
  co_return co_await SetPaused(std::move(name), true, std::move(why));
}

awaitable<Outcome<>> Fleet::Resume(std::string name, std::string why) {
  co_return co_await SetPaused(std::move(name), false, std::move(why));
}

awaitable<Outcome<>> Fleet::Remove(std::string name, bool force, std::string why) {
  auto found = Find(name);
  if (!found) co_return std::unexpected(found.error());
  const VmPtr vm = *found;
  if (force && vm->driven) {
    // Whatever it ended in, what counts is below: that it owns nothing any more.
    std::ignore = co_await End(vm, {std::chrono::milliseconds(0), true, why});
  }
  if (!Info(vm->state()).may_remove || vm->driven || vm->instance()) {
    co_return WrongState(*vm, "remove", "stop or kill it first, or remove it by force (--force)");
  }
  // Another remove may have been here while this one waited.
  if (const auto still = vms_.find(name); still == vms_.end() || still->second != vm) {
    co_return Refuse(Kind::kUnknownVm, "remove", ENOENT, name + " was removed meanwhile");
  }
  if (auto gone = host_.Deprovision(name); !gone) co_return gone;
  Entry entry{.vm = name, .kind = EntryKind::kRemoved, .why = std::move(why)};
  if (auto recorded = journal_.Record(std::move(entry), nullptr); !recorded) {
    co_return NotRecorded(recorded.error());
  }
  vms_.erase(name);
  vm->changed().NotifyAll();
  co_return Outcome<>{};
}

awaitable<Outcome<State>> Fleet::WaitFor(std::string name, std::vector<State> states,
                                         Deadline deadline) {
  auto found = Find(name);
  if (!found) co_return std::unexpected(found.error());
  const VmPtr vm = *found;
  const uint64_t since = vm->ring().empty() ? 0 : vm->ring().back().seq;
  for (;;) {
    const auto wanted = [&](State state) {
      return std::ranges::find(states, state) != states.end();
    };
    if (wanted(vm->state())) co_return vm->state();
    // A state that was passed through between two looks was reached all the same.
    for (const Transition& passed : vm->ring()) {
      if (passed.seq > since && wanted(passed.to)) co_return passed.to;
    }
    if (const auto still = vms_.find(name); still == vms_.end() || still->second != vm) {
      co_return Refuse(Kind::kUnknownVm, "wait", ENOENT, name + " was removed meanwhile");
    }
    if (deadline.Passed()) {
      co_return Refuse(Kind::kTimedOut, "wait", ETIMEDOUT,
                       fmt::format("{} is {}", name, Name(vm->state())));
    }
    co_await vm->changed().Wait(deadline);
  }
}

awaitable<void> Fleet::Shutdown(std::chrono::milliseconds grace) {
  shutting_down_ = true;
  const Deadline hurry = Deadline::In(grace + std::chrono::seconds(1));
  const auto each = [this](bool kill, std::chrono::milliseconds how_long) {
    for (const VmPtr& vm : std::views::values(vms_)) {
      if (!vm->driven || (vm->stop_request && (!kill || vm->stop_request->kill))) continue;
      vm->stop_request = StopRequest{how_long, kill, "berthd is shutting down"};
      vm->changed().NotifyAll();
    }
  };
  bool killed = false;
  each(false, grace);
  for (;;) {
    const auto driven =
        std::ranges::find_if(vms_, [](const auto& pair) { return pair.second->driven; });
    if (driven == vms_.end()) co_return;
    if (hurry.Passed() && !std::exchange(killed, true)) each(true, std::chrono::milliseconds(0));
    co_await driven->second->changed().Wait(killed ? Deadline::In(kUntilNotified) : hurry);
  }
}

}  // namespace berth::lifecycle
