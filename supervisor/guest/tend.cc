// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/tend.h"

#include <sys/random.h>

#include <algorithm>

#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/dial.h"

namespace berth::guest {

namespace asio = boost::asio;

namespace {

constexpr size_t kSeedBytes = 64;
static_assert(kSeedBytes >= wire::kMinReseedBytes && kSeedBytes <= wire::kMaxReseedBytes);
// By so much the two clocks of the host may differ over one question, and it was not set.
constexpr int64_t kOwnStepNs = 1'000'000;

}  // namespace

v1::HealthConfigure ToHealthConfigure(const std::vector<HealthCheck>& checks) {
  v1::HealthConfigure configure;
  for (const HealthCheck& each : checks) {
    auto& check = *configure.add_checks();
    check.set_name(each.name);
    check.set_kind(static_cast<v1::HealthConfigure::Check::Kind>(each.kind));
    for (const std::string& arg : each.exec) check.add_exec(arg);
    check.set_target(each.target);
    check.set_socket(each.socket);
    check.set_status_min(static_cast<uint32_t>(each.status_min));
    check.set_status_max(static_cast<uint32_t>(each.status_max));
    check.set_body(each.body);
    check.set_interval_ms(static_cast<uint64_t>(each.interval_ms));
    check.set_timeout_ms(static_cast<uint64_t>(each.timeout_ms));
    check.set_start_period_ms(static_cast<uint64_t>(each.start_period_ms));
    check.set_healthy_after(static_cast<uint32_t>(each.healthy_after));
    check.set_unhealthy_after(static_cast<uint32_t>(each.unhealthy_after));
  }
  return configure;
}

Result<> CheckHealthReply(const v1::HealthReply& reply) {
  const auto fits = [](const v1::HealthReply::Check& check) {
    return check.name().size() <= wire::kMaxHealthNameBytes && !check.name().empty() &&
           check.result().size() <= wire::kMaxHealthTextBytes &&
           check.output().size() <= wire::kMaxHealthOutputBytes &&
           wire::FitsClock(check.since_us()) && wire::FitsClock(check.last_us()) &&
           wire::FitsClock(check.took_us()) && wire::FitsClock(check.next_us());
  };
  if (reply.checks_size() > wire::kMaxHealthRows ||
      reply.services_why().size() > wire::kMaxHealthTextBytes ||
      !wire::FitsClock(reply.monotonic_us()) || !std::ranges::all_of(reply.checks(), fits)) {
    return Fail("health", EMSGSIZE, "the guest's answer does not keep its bounds");
  }
  return {};
}

Result<> CheckFreezeReply(const v1::FreezeReply& reply) {
  const auto fits = [](const v1::FreezeReply::Mount& mount) {
    return mount.path().size() <= wire::kMaxPathBytes &&
           mount.type().size() <= wire::kMaxNameBytes &&
           mount.why().size() <= wire::kMaxHealthTextBytes;
  };
  if (reply.mounts_size() > wire::kMaxFreezeMounts ||
      reply.failed().size() > wire::kMaxFailureBytes ||
      !std::ranges::all_of(reply.mounts(), fits)) {
    return Fail("freeze", EMSGSIZE, "the guest's answer does not keep its bounds");
  }
  return {};
}

Result<v1::Reseed> MakeReseed() {
  v1::Reseed reseed;
  std::string& seed = *reseed.mutable_seed();
  seed.resize(kSeedBytes);
  if (getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) {
    return ErrnoError("getrandom");
  }
  return reseed;
}

std::optional<ClockOffset> BestOffset(std::span<const ClockSample> samples) {
  std::optional<ClockOffset> best;
  for (const ClockSample& each : samples) {
    const int64_t passed = each.after_ns - each.before_ns;
    if (std::abs(passed - each.round_trip_ns) > kOwnStepNs || each.round_trip_ns < 0) continue;
    const int64_t middle = each.before_ns + passed / 2;
    int64_t offset = 0;
    // A guest may claim any time at all.
    if (__builtin_sub_overflow(each.guest_ns, middle, &offset) || offset == INT64_MIN) continue;
    const int64_t error = each.round_trip_ns / 2;
    if (!best || error < best->error_ns) best = ClockOffset{offset, error};
  }
  return best;
}

asio::awaitable<Result<ClockLook>> LookAtClock(asio::any_io_executor executor, std::string path,
                                               Deadline deadline) {
  auto socket = co_await Dial(executor, std::move(path), wire::kAgentPort, deadline);
  if (!socket) co_return std::unexpected(socket.error());
  wire::Channel channel(std::move(*socket));
  v1::Envelope request;
  request.mutable_clock_call();
  if (auto opened = co_await Open(channel, request, deadline); !opened) {
    co_return std::unexpected(opened.error());
  }
  const auto hello = co_await ReadHello(channel, deadline);
  if (!hello) co_return std::unexpected(hello.error());
  if (hello->generation < wire::kOperatorGeneration) {
    co_return Fail("guest", EPROTONOSUPPORT, "its agent is too old to tell its time",
                   "rebuild its image with this release");
  }
  ClockLook look;
  std::vector<ClockSample> samples;
  // The first answer came with the Hello, behind the dialling: it only opens the way.
  for (int i = 0; i <= wire::kClockSamples; ++i) {
    ClockSample sample{.before_ns = RealtimeNs()};
    const int64_t asked = MonotonicNs();
    if (i > 0) {
      if (auto sent = co_await channel.Write(request, deadline); !sent) {
        co_return std::unexpected(sent.error());
      }
    }
    const auto answer = co_await ReadAnswer(channel, deadline);
    sample.round_trip_ns = MonotonicNs() - asked;
    sample.after_ns = RealtimeNs();
    if (!answer) co_return std::unexpected(answer.error());
    if (!answer->has_clock_reply()) {
      co_return Fail("clock", EPROTO, "the guest answered something else than our call");
    }
    sample.guest_ns = answer->clock_reply().realtime_ns();
    look.own_time = answer->clock_reply().own_time();
    if (i > 0) samples.push_back(sample);
  }
  const auto best = BestOffset(samples);
  if (!best) co_return Fail("clock", EAGAIN, "the host's own clock was set meanwhile");
  look.offset = *best;
  co_return look;
}

}  // namespace berth::guest
