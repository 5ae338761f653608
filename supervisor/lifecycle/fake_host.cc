// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/fake_host.h"

#include <sys/socket.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth::lifecycle {

using boost::asio::awaitable;

awaitable<Result<>> FakeInstance::AskGuestToPowerOff(std::chrono::milliseconds grace,
                                                     Deadline /*deadline*/) {
  asked.push_back("guest");
  guest_grace = grace;
  if (guest_error) co_return std::unexpected(*guest_error);
  if (guest_obeys) Exit(shim::ExitReason::kGuestShutdown);
  co_return Result<>{};
}

awaitable<Result<>> FakeInstance::AskHypervisorToQuit(Deadline /*deadline*/) {
  asked.push_back("hypervisor");
  if (hypervisor_obeys) Exit(shim::ExitReason::kHostQmpQuit);
  co_return Result<>{};
}

awaitable<Result<>> FakeInstance::SetPaused(bool paused, Deadline /*deadline*/) {
  asked.push_back(paused ? "pause" : "resume");
  Change([&](struct View& view) { view.paused = paused; });
  co_return Result<>{};
}

awaitable<Result<>> FakeInstance::TearDown(Deadline /*deadline*/) {
  asked.push_back("teardown");
  if (teardown_error) co_return std::unexpected(*teardown_error);
  if (!view_.Ended()) Exit(shim::ExitReason::kKilled, true);
  torn_down = true;
  co_return Result<>{};
}

awaitable<Outcome<UniqueFd>> FakeInstance::OpenStream(v1::Envelope request, Deadline /*deadline*/) {
  streams.push_back(std::move(request));
  if (!stream_outcome) co_return std::unexpected(stream_outcome.error());
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    co_return Refuse(Kind::kFailed, "socketpair", errno, "");
  }
  stream_peer.Reset(pair[1]);
  co_return UniqueFd(pair[0]);
}

awaitable<Outcome<v1::Envelope>> FakeInstance::Call(v1::Envelope request, uint32_t /*since*/,
                                                    v1::Envelope::BodyCase /*answer*/,
                                                    Deadline /*deadline*/) {
  calls.push_back(std::move(request));
  if (calls_hang) {
    ++hanging;
    boost::asio::steady_timer never(co_await boost::asio::this_coro::executor,
                                    boost::asio::steady_timer::time_point::max());
    boost::system::error_code ignored;
    co_await never.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    --hanging;
  }
  co_return call_outcome;
}

awaitable<Outcome<ClockReport>> FakeInstance::LookAtClock(ClockAction action,
                                                          Deadline /*deadline*/) {
  constexpr const char* kActions[] = {"clock look", "clock set where off", "clock set"};
  asked.push_back(kActions[static_cast<size_t>(action)]);
  co_return clock_outcome;
}

void FakeInstance::Change(const std::function<void(struct View&)>& how) {
  how(view_);
  changed_();
}

void FakeInstance::Launch() {
  Change([](struct View& view) { view.launched = Launched{100, 101, 102, 1'000'000'000}; });
}

void FakeInstance::SayReady(std::string instance_id) {
  Change([&](struct View& view) {
    GuestReady ready;
    ready.generation = 1;
    ready.build_id = "fake";
    ready.instance_id = std::move(instance_id);
    ready.kernel_release = "6.1.0-fake";
    ready.agent_starts = 1;
    ready.phases = {{"init", 200'000}, {"agent", 300'000}};
    ready.sent_guest_us = 400'000;
    ready.received_monotonic_ns = 1'500'000'000;
    view.ready = std::move(ready);
    view.agent = AgentState::kUp;
  });
}

void FakeInstance::Exit(shim::ExitReason reason, bool kill_requested) {
  Change([&](struct View& view) {
    shim::ExitRecord exit;
    exit.code = 0;
    exit.reason = reason;
    exit.kill_requested = kill_requested;
    view.exit = exit;
    view.agent = AgentState::kLost;
  });
}

Outcome<> FakeHost::Check(const VmSpec& /*spec*/) { return check_outcome; }

awaitable<Outcome<>> FakeHost::Provision(VmSpec spec) {
  provisioned.push_back(spec.name);
  co_return provision_outcome;
}

Outcome<> FakeHost::Deprovision(const std::string& name) {
  deprovisioned.push_back(name);
  return deprovision_outcome;
}

awaitable<Outcome<std::shared_ptr<Instance>>> FakeHost::Launch(VmSpec spec,
                                                               std::function<void()> changed,
                                                               Deadline /*deadline*/) {
  const size_t nth = static_cast<size_t>(launches++);
  if (!launch_outcome) co_return std::unexpected(launch_outcome.error());
  auto instance = std::make_shared<FakeInstance>(std::move(changed));
  ++FakeInstance::alive;
  instances[spec.name] = instance;
  if (scripts.empty()) {
    instance->Launch();
    instance->SayReady();
  } else {
    scripts[std::min(nth, scripts.size() - 1)](*instance);
  }
  co_return instance;
}

}  // namespace berth::lifecycle
