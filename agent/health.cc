// SPDX-License-Identifier: Apache-2.0
#include "agent/health.h"

#include <dirent.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/health_probe.h"
#include "agent/health_state.h"
#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using Clock = Deadline::Clock;

namespace {

constexpr const char* kCheckCgroups = "/berth.checks";
// A check that forks without end must not leave the guest without processes until it is killed.
constexpr const char* kCheckMaxPids = "64";
// What was killed may hang in the kernel for as long as it likes.
constexpr auto kGoneLook = std::chrono::hours(1);

uint64_t ToUs(Clock::time_point at) {
  return ToMicroseconds(std::chrono::nanoseconds(at.time_since_epoch()).count());
}

HealthPolicy PolicyOf(const HealthCheck& check) {
  return {check.healthy_after, check.unhealthy_after, milliseconds(check.start_period_ms)};
}

// Where an agent ended in the middle of a check, its children went on.
std::string OpenCgroups(const std::string& root) {
  struct statfs info = {};
  if (root.empty() || statfs(root.c_str(), &info) != 0 ||
      static_cast<unsigned long>(info.f_type) != CGROUP2_SUPER_MAGIC) {
    return {};
  }
  std::string parent = root + kCheckCgroups;
  if (mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return {};
  for (const std::string& each : {root, parent}) {
    [[maybe_unused]] const auto enabled =
        WriteKnob((each + "/cgroup.subtree_control").c_str(), "+pids");
  }
  if (DIR* const dir = opendir(parent.c_str()); dir != nullptr) {
    while (const dirent* entry = readdir(dir)) {
      if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
      [[maybe_unused]] const auto killed =
          WriteKnob((parent + "/" + entry->d_name + "/cgroup.kill").c_str(), "1");
    }
    closedir(dir);
  }
  return parent;
}

}  // namespace

struct Health::Watch {
  Watch(const asio::any_io_executor& executor, HealthCheck its_check,
        v1::HealthReply::Check::Source its_source)
      : check(std::move(its_check)),
        source(its_source),
        state(PolicyOf(check), Clock::now()),
        timer(executor) {}

  const HealthCheck check;
  const v1::HealthReply::Check::Source source;
  HealthState state;
  asio::steady_timer timer;
  std::function<void()> abort;  // of the run that is on its way
  bool stopped = false;
  std::string result;
  std::string output;
  uint64_t last_us = 0;
  uint64_t took_us = 0;
  uint64_t next_us = 0;
};

Health::Health(asio::any_io_executor executor, Options options, std::function<void()> ring)
    : executor_(std::move(executor)), options_(std::move(options)), ring_(std::move(ring)) {
  cgroups_ = OpenCgroups(options_.cgroup_root);
}

std::string Health::CgroupOf(const std::string& name) const {
  if (cgroups_.empty()) return {};
  std::string cgroup = cgroups_ + "/" + name;
  if (mkdir(cgroup.c_str(), 0755) != 0 && errno != EEXIST) return {};
  [[maybe_unused]] const auto limited = WriteKnob((cgroup + "/pids.max").c_str(), kCheckMaxPids);
  return cgroup;
}

void Health::SetGuestChecks(std::vector<HealthCheck> checks) {
  guest_checks_ = std::move(checks);
  Apply();
}

void Health::SetHostChecks(std::vector<HealthCheck> checks) {
  host_checks_ = std::move(checks);
  Apply();
}

void Health::Apply() {
  struct Wanted {
    const HealthCheck* check;
    v1::HealthReply::Check::Source source;
  };
  std::map<std::string, Wanted> wanted;
  for (const HealthCheck& each : host_checks_) {
    wanted.insert({each.name, {&each, v1::HealthReply::Check::HOST}});
  }
  for (const HealthCheck& each : guest_checks_) {
    if (wanted.size() >= kMaxHealthChecks) break;
    wanted.insert({each.name, {&each, v1::HealthReply::Check::GUEST}});
  }
  bool changed = false;
  std::erase_if(watches_, [&](const auto& pair) {
    const auto& [name, watch] = pair;
    const auto found = wanted.find(name);
    if (found != wanted.end() && *found->second.check == watch->check &&
        found->second.source == watch->source) {
      wanted.erase(found);
      return false;
    }
    watch->stopped = true;
    watch->timer.cancel();
    if (watch->abort) watch->abort();
    changed = true;
    return true;
  });
  for (const auto& [name, each] : wanted) {
    const auto watch = std::make_shared<Watch>(executor_, *each.check, each.source);
    watches_[name] = watch;
    asio::co_spawn(executor_, Run(watch), asio::detached);
    changed = true;
  }
  if (changed) Ring();
}

asio::awaitable<void> Health::Run(std::shared_ptr<Watch> watch) {
  const HealthCheck& check = watch->check;
  boost::system::error_code ignored;
  while (!watch->stopped) {
    const auto begin = Clock::now();
    const ProbePlace place{options_.defaults, options_.program,
                           check.kind == HealthKind::kExec ? CgroupOf(check.name) : std::string()};
    ProbeResult result = co_await RunProbe(
        executor_, check, place, Deadline::In(milliseconds(check.timeout_ms)), watch->abort);
    if (watch->stopped) co_return;
    const auto end = Clock::now();
    watch->last_us = ToUs(end);
    watch->took_us = ToUs(end) - ToUs(begin);
    watch->result = Printable(result.text, wire::kMaxHealthTextBytes);
    watch->output = std::move(result.output);
    // From begin to begin, so that a slow check is not a rare one; but never without a pause.
    auto next = begin + milliseconds(check.interval_ms);
    next = std::max(next, end + milliseconds(kMinHealthMs));
    watch->next_us = ToUs(next);
    if (watch->state.Take(result.success, end)) Ring();
    if (result.left) {
      while (!co_await result.left->Await(Deadline::In(kGoneLook))) continue;
      result.left.reset();
    }
    if (watch->stopped) co_return;
    watch->timer.expires_at(next);
    co_await watch->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

void Health::Ring() {
  if (std::exchange(armed_, false)) ring_();
}

void Health::AddTo(v1::HealthReply& reply) const {
  static_assert(static_cast<int>(HealthState::Verdict::kUnhealthy) ==
                v1::HealthReply::Check::UNHEALTHY);
  for (const auto& [name, watch] : watches_) {
    auto& check = *reply.add_checks();
    check.set_name(name);
    check.set_state(static_cast<v1::HealthReply::Check::State>(watch->state.verdict()));
    check.set_source(watch->source);
    check.set_since_us(ToUs(watch->state.since()));
    check.set_result(watch->result);
    check.set_output(watch->output);
    check.set_runs(watch->state.runs());
    check.set_failures(watch->state.failures());
    check.set_changes(watch->state.changes());
    check.set_last_us(watch->last_us);
    check.set_took_us(watch->took_us);
    check.set_next_us(watch->next_us);
  }
}

Result<std::vector<HealthCheck>> ToChecks(const v1::HealthConfigure& configure) {
  if (configure.checks_size() > wire::kMaxHealthChecks) {
    return Fail("health", E2BIG, "more checks than " + std::to_string(wire::kMaxHealthChecks));
  }
  std::vector<HealthCheck> checks;
  for (const auto& each : configure.checks()) {
    HealthCheck check;
    check.name = each.name();
    check.kind = static_cast<HealthKind>(static_cast<uint8_t>(each.kind()));
    if (each.kind() < 0 || each.kind() > v1::HealthConfigure::Check::FILE) {
      return Fail("health", EINVAL, "an unknown kind of check");
    }
    check.exec.assign(each.exec().begin(), each.exec().end());
    check.target = each.target();
    check.socket = each.socket();
    check.status_min = static_cast<int>(std::min<uint32_t>(each.status_min(), INT16_MAX));
    check.status_max = static_cast<int>(std::min<uint32_t>(each.status_max(), INT16_MAX));
    check.body = each.body();
    const auto ms = [](uint64_t value) {
      return static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX));
    };
    check.interval_ms = ms(each.interval_ms());
    check.timeout_ms = ms(each.timeout_ms());
    check.start_period_ms = ms(each.start_period_ms());
    check.healthy_after = static_cast<int>(std::min<uint32_t>(each.healthy_after(), INT16_MAX));
    check.unhealthy_after = static_cast<int>(std::min<uint32_t>(each.unhealthy_after(), INT16_MAX));
    if (auto good = Validate(check); !good) return std::unexpected(good.error());
    if (std::ranges::count(checks, check.name, &HealthCheck::name) != 0) {
      return Fail("health", EINVAL, "two checks have one name");
    }
    checks.push_back(std::move(check));
  }
  return checks;
}

}  // namespace berth::agent
