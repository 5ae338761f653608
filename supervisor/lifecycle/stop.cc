// SPDX-License-Identifier: Apache-2.0
//
// How a VM is taken down: its guest is asked, then its hypervisor, then nobody is. Each step is an
// event in the log, and has a deadline.
#include <fmt/format.h>

#include "supervisor/lifecycle/evidence.h"
#include "supervisor/lifecycle/fleet.h"
#include "supervisor/lifecycle/settle.h"

namespace berth::lifecycle {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

using std::chrono::milliseconds;

// Behind its services' last moment a guest still unmounts, syncs and powers off.
constexpr milliseconds kGuestUnmountTime{3'000};

// Until the instance has ended, a kill was asked for, or the deadline.
awaitable<void> AwaitEnd(VmPtr vm, InstancePtr instance, Deadline deadline) {
  while (!instance->view().Ended() && !vm->stop_request->kill && !deadline.Passed()) {
    co_await vm->changed().Wait(deadline);
  }
}

awaitable<void> AskGuest(VmPtr vm, InstancePtr instance) {
  const milliseconds allowed = vm->stop_request->grace;
  if (allowed.count() <= 0) co_return;
  if (instance->view().agent != AgentState::kUp) {
    vm->Note(EntryKind::kStep, "the guest's agent is " + std::string(Name(instance->view().agent)) +
                                   ": it cannot be asked to power off");
    co_return;
  }
  if (instance->view().paused) {
    vm->Note(EntryKind::kStep, "resuming it: a guest that stands still hears nothing");
    std::ignore = co_await instance->SetPaused(false, Deadline::In(kAskTimeout));
  }
  const Deadline deadline = Deadline::In(allowed);
  vm->Note(EntryKind::kStep, "asking the guest to power off within " + ShowDuration(allowed));
  const auto services = allowed - std::min(allowed / 2, kGuestUnmountTime);
  const auto asked = co_await instance->AskGuestToPowerOff(
      services, Deadline::In(std::min<milliseconds>(allowed, kAskTimeout)));
  // A guest that is gone before it has answered has done what it was asked.
  if (!asked && !instance->view().Ended()) {
    vm->Note(EntryKind::kStep, "the guest's agent did not take it: " + asked.error().Message());
    co_return;
  }
  co_await AwaitEnd(vm, instance, deadline);
}

awaitable<void> AskHypervisor(VmPtr vm, InstancePtr instance) {
  vm->Note(EntryKind::kStep, "telling the hypervisor to quit");
  const auto asked = co_await instance->AskHypervisorToQuit(Deadline::In(kAskTimeout));
  if (!asked && !instance->view().Ended()) {
    vm->Note(EntryKind::kStep, "the hypervisor did not take it: " + asked.error().Message());
    co_return;
  }
  co_await AwaitEnd(vm, instance, Deadline::In(vm->spec().timeouts.quit));
}

}  // namespace

awaitable<void> RunStop(VmPtr vm) {
  const InstancePtr instance = vm->instance();
  const auto up = [&] { return !instance->view().Ended(); };
  if (up() && !vm->stop_request->kill) co_await AskGuest(vm, instance);
  if (up() && !vm->stop_request->kill) co_await AskHypervisor(vm, instance);
  const bool killed = up();
  if (killed) vm->Note(EntryKind::kStep, "killing the hypervisor");

  const Ending ending = ExplainEnd(instance->view(), instance->CollectEvidence());
  const auto down = co_await instance->TearDown(Deadline::In(kTeardownTimeout));
  const auto exit = instance->view().exit;
  const auto guest_exit = instance->view().guest_exit;
  if (!down) {
    const Fault left = ToFault(Kind::kFailed, down.error());
    co_await Settle(vm, Event::kTeardownFailed, Failed{left, exit, instance, guest_exit},
                    left.Message());
  } else if (killed || ending.clean) {
    // Both: that a guest switched itself off is another matter where nobody had asked it to.
    const std::string how = vm->stop_request->why + ": " + (killed ? "killed" : ending.how.detail);
    co_await Settle(vm, Event::kEnded, Stopped{how, exit, guest_exit}, how);
  } else {
    co_await Settle(vm, Event::kCrashed, Failed{ending.how, exit, nullptr, guest_exit},
                    ending.how.Message());
  }
}

}  // namespace berth::lifecycle
