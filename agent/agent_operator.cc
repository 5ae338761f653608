// SPDX-License-Identifier: Apache-2.0
//
// The part of Agent that answers the short calls of generation 3: health, time, entropy,
// file systems, processors and memory.
#include <utility>

#include "agent/agent.h"
#include "agent/child_run.h"
#include "agent/chores.h"
#include "agent/service_link.h"
#include "protocol/base/io.h"
#include "protocol/base/parse.h"
#include "protocol/base/text.h"

namespace berth::agent {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

// PID 1 answers a look at once; where it does not, the checks are told without its services.
constexpr auto kServicesLook = std::chrono::seconds(3);

// A processor comes up within this, or not at all; the call has wire::kCallTimeout.
constexpr auto kOnlineTimeout = std::chrono::seconds(8);

// The lines of the chore.
v1::OnlineReply ToOnlineReply(std::string_view text) {
  v1::OnlineReply reply;
  const auto number = [&text] { return WholeNumber<uint32_t>(Cut(text, '\n')).value_or(0); };
  reply.set_cpus_before(number());
  reply.set_cpus_after(number());
  reply.set_cpus_present(number());
  reply.set_memory_before(number());
  reply.set_memory_after(number());
  reply.set_memory_present(number());
  reply.set_failed(Printable(Cut(text, '\n'), wire::kMaxHealthTextBytes));
  return reply;
}

void AddService(const ServiceRow& row, v1::HealthReply& reply) {
  // Without a verdict it has no check, or has none yet.
  if (row.health == ServiceHealth::kUnknown) return;
  auto& check = *reply.add_checks();
  check.set_name("service:" +
                 Utf8(std::string_view(row.name, strnlen(row.name, sizeof(row.name)))));
  check.set_state(static_cast<v1::HealthReply::Check::State>(row.health));
  check.set_source(v1::HealthReply::Check::SERVICE);
  if (row.health == ServiceHealth::kUnhealthy) {
    check.set_result(Utf8(std::string_view(row.detail, strnlen(row.detail, sizeof(row.detail))),
                          wire::kMaxHealthTextBytes));
  }
}

}  // namespace

void Agent::ReadSettings() {
  const auto bytes = ReadFile(settings_path_.c_str(), kMaxAgentSettingsBytes);
  // Another PID 1 than berth-init writes none.
  if (!bytes && bytes.error().errnum == ENOENT) return;
  auto settings = bytes ? DecodeAgentSettings(*bytes) : std::unexpected(bytes.error());
  if (!settings) return Complain(settings.error());
  own_time_ = !settings->host_sets_clock;
  health_.SetGuestChecks(std::move(settings->checks));
}

awaitable<Result<v1::Envelope>> Agent::AnswerHealthConfigure(wire::Channel& /*channel*/,
                                                             const v1::Envelope& request) {
  auto checks = ToChecks(request.health_configure());
  if (!checks) co_return std::unexpected(checks.error());
  health_.SetHostChecks(std::move(*checks));
  v1::Envelope answer;
  answer.mutable_health_configured();
  co_return answer;
}

awaitable<Result<v1::Envelope>> Agent::AnswerHealth(wire::Channel& /*channel*/,
                                                    const v1::Envelope& /*request*/) {
  health_.Arm();
  v1::Envelope answer;
  v1::HealthReply& reply = *answer.mutable_health_reply();
  const auto link = std::make_shared<ServiceLink>(context_.get_executor());
  Result<ServiceOutcome> services = Fail("service", EAGAIN, "");
  if (auto asked = link->Ask(service_socket_, {.verb = ServiceVerb::kList}, {}); !asked) {
    services = std::unexpected(asked.error());
  } else {
    services = co_await link->ReadAnswer(Deadline::In(kServicesLook));
  }
  health_.AddTo(reply);
  if (!services) {
    reply.set_services_why(Printable(services.error().Message(), wire::kMaxHealthTextBytes));
  } else {
    for (const ServiceRow& row : services->rows) AddService(row, reply);
  }
  reply.set_monotonic_us(ToMicroseconds(MonotonicNs()));
  co_return answer;
}

awaitable<Result<v1::Envelope>> Agent::AnswerClock(wire::Channel& /*channel*/,
                                                   const v1::Envelope& /*request*/) {
  v1::Envelope answer;
  answer.mutable_clock_reply()->set_own_time(own_time_);
  answer.mutable_clock_reply()->set_realtime_ns(clock_->NowNs());
  co_return answer;
}

awaitable<Result<v1::Envelope>> Agent::AnswerClockStep(wire::Channel& /*channel*/,
                                                       const v1::Envelope& request) {
  v1::Envelope answer;
  *answer.mutable_clock_stepped() = StepClock(*clock_, request.clock_step(), own_time_);
  co_return answer;
}

awaitable<Result<v1::Envelope>> Agent::AnswerReseed(wire::Channel& /*channel*/,
                                                    const v1::Envelope& request) {
  if (auto added = AddEntropy(random_device_, request.reseed().seed()); !added) {
    co_return std::unexpected(added.error());
  }
  v1::Envelope answer;
  answer.mutable_reseeded();
  co_return answer;
}

awaitable<Result<v1::Envelope>> Agent::AnswerFreeze(wire::Channel& /*channel*/,
                                                    const v1::Envelope& request) {
  if (writers_ > 0) {
    // The agent's only thread would wait in a write of theirs, and nobody could thaw any more.
    co_return Fail("freeze", EBUSY, "a copy into this guest is on its way",
                   "wait until it is done, or end it");
  }
  auto reply = co_await freezer_.Freeze(request.freeze().timeout_ms());
  if (!reply) co_return std::unexpected(reply.error());
  v1::Envelope answer;
  *answer.mutable_freeze_reply() = std::move(*reply);
  co_return answer;
}

awaitable<Result<v1::Envelope>> Agent::AnswerThaw(wire::Channel& /*channel*/,
                                                  const v1::Envelope& /*request*/) {
  const auto mounts = co_await freezer_.Thaw();
  if (!mounts) co_return std::unexpected(mounts.error());
  v1::Envelope answer;
  answer.mutable_thaw_reply()->set_mounts(*mounts);
  co_return answer;
}

awaitable<Result<v1::Envelope>> Agent::AnswerOnline(wire::Channel& /*channel*/,
                                                    const v1::Envelope& /*request*/) {
  const ChildRun::Plan plan{.argv = {program_, kChoreFlag, "online", devices_}, .cgroup = {}};
  const auto run = ChildRun::Start(context_.get_executor(), plan, defaults_);
  if (!run) co_return std::unexpected(run.error());
  if (!co_await (*run)->Await(Deadline::In(kOnlineTimeout))) {
    (*run)->Kill();
    co_return Fail("online", ETIMEDOUT, "a processor or memory did not come up in time");
  }
  v1::Envelope answer;
  *answer.mutable_online_reply() = ToOnlineReply((*run)->output());
  co_return answer;
}

}  // namespace berth::agent
