// SPDX-License-Identifier: Apache-2.0
#include "agent/freezer.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "agent/child_run.h"
#include "agent/chores.h"
#include "agent/mountinfo.h"
#include "protocol/base/io.h"
#include "protocol/base/log.h"
#include "protocol/base/parse.h"
#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::milliseconds;

namespace {

// For what is being written to reach the disks.
constexpr auto kFreezeChildTimeout = std::chrono::seconds(8);
constexpr auto kThawChildTimeout = std::chrono::seconds(8);
constexpr size_t kMaxMountinfoBytes = 1024 * 1024;
constexpr size_t kMaxChildOutput = 16 * 1024;

constexpr auto kThawRetry = std::chrono::seconds(1);
// What was killed ends within this, unless the kernel holds it.
constexpr auto kStragglerLook = milliseconds(100);
constexpr int kNotSaid = -1;
// The chores of a child, each the step of its failures.
constexpr Step kFreezeChore = "freeze";
constexpr Step kThawChore = "thaw";

// "0", "16": an errno for each path, a line each.
std::vector<int> ReadErrnos(std::string_view text, size_t count) {
  std::vector<int> errnos;
  while (!text.empty() && errnos.size() < count) {
    errnos.push_back(WholeNumber<int>(Cut(text, '\n')).value_or(kNotSaid));
  }
  errnos.resize(count, kNotSaid);
  return errnos;
}

// A thaw that failed so may do better the next time.
bool MayStayFrozen(int errnum) {
  return errnum == kNotSaid || errnum == EBUSY || errnum == EINTR || errnum == ENOMEM ||
         errnum == EMFILE || errnum == ENFILE;
}

std::string WhyNot(int errnum) {
  if (errnum == kNotSaid) return "its child was killed";
  if (errnum == EBUSY) return "frozen already, by somebody else";
  if (errnum == EOPNOTSUPP) return "its file system cannot be frozen";
  return ErrnoText(errnum);
}

}  // namespace

Freezer::Freezer(asio::any_io_executor executor, Options options,
                 std::function<void(uint32_t)> thawed)
    : executor_(executor),
      options_(std::move(options)),
      thawed_(std::move(thawed)),
      timer_(executor),
      complaints_(5, std::chrono::minutes(1)) {}

awaitable<Result<std::string>> Freezer::RunChild(Step chore, const std::vector<std::string>& paths,
                                                 Deadline deadline) {
  ChildRun::Plan plan{.argv = {options_.program, kChoreFlag, std::string(chore.name())},
                      .cgroup = {},
                      .max_output_bytes = kMaxChildOutput};
  plan.argv.insert(plan.argv.end(), paths.begin(), paths.end());
  const auto run = ChildRun::Start(executor_, plan, options_.defaults);
  if (!run) co_return std::unexpected(run.error());
  if (!co_await (*run)->Await(deadline)) {
    (*run)->Kill();
    if (chore == kFreezeChore) straggler_ = *run;
    co_return Fail(chore, ETIMEDOUT, "a file system did not answer in time");
  }
  co_return (*run)->output();
}

awaitable<Result<v1::FreezeReply>> Freezer::Freeze(uint64_t timeout_ms) {
  const auto most = static_cast<uint64_t>(milliseconds(wire::kMaxFreezeTimeout).count());
  if (timeout_ms > most) co_return Fail("freeze", EINVAL, "a timeout of more than 10 min");
  if (timeout_ms == 0) {
    timeout_ms = static_cast<uint64_t>(milliseconds(wire::kDefaultFreezeTimeout).count());
  }
  if (busy_ || !frozen_.empty()) {
    co_return Fail("freeze", EALREADY, "its file systems are frozen", "thaw them first");
  }
  const auto text = ReadFile(options_.mountinfo.c_str(), kMaxMountinfoBytes);
  if (!text) co_return std::unexpected(text.error());
  const FreezePlan plan = PlanFreeze(ParseMountinfo(*text));
  if (plan.freeze.size() > wire::kMaxFreezeMounts) {
    co_return Fail("freeze", E2BIG,
                   "there are more than " + std::to_string(wire::kMaxFreezeMounts) +
                       " file systems to freeze");
  }
  std::vector<std::string> paths;
  for (const MountRow& row : plan.freeze) paths.push_back(row.path);

  busy_ = true;
  v1::FreezeReply reply;
  const auto add = [&reply](const MountRow& row, bool frozen, std::string why) {
    auto& mount = *reply.add_mounts();
    mount.set_path(row.path);
    mount.set_type(Utf8(row.type, wire::kMaxNameBytes));
    mount.set_frozen(frozen);
    mount.set_why(std::move(why));
  };
  Result<std::string> output = std::string();
  if (!paths.empty()) {
    output = co_await RunChild(kFreezeChore, paths, Deadline::In(kFreezeChildTimeout));
  }
  const std::vector<int> errnos = ReadErrnos(output.value_or(""), paths.size());
  if (output && std::ranges::find(errnos, kNotSaid) != errnos.end()) {
    output = Fail(kFreezeChore, 0, WhyNot(kNotSaid));
  }
  if (!output) {
    // Some may be frozen, and the child's next one still on its way: none stays so.
    frozen_ = paths;
    busy_ = false;
    const auto thawed = co_await Thaw();
    reply.set_failed(output.error().Message() + "; " +
                     (thawed ? "nothing is frozen" : thawed.error().Message()));
    co_return reply;
  }
  for (size_t i = 0; i < paths.size(); ++i) {
    if (errnos[i] == 0) frozen_.push_back(paths[i]);
    add(plan.freeze[i], errnos[i] == 0, errnos[i] == 0 ? "" : WhyNot(errnos[i]));
  }
  for (const auto& skipped : plan.skipped) {
    if (reply.mounts_size() < wire::kMaxFreezeMounts) add(skipped.row, false, skipped.why);
  }
  busy_ = false;
  if (frozen_.empty()) {
    reply.set_failed("there is no writable file system on a block device that can be frozen");
    co_return reply;
  }
  ThawAfter(milliseconds(static_cast<int64_t>(timeout_ms)));
  co_return reply;
}

void Freezer::ThawAfter(milliseconds time) {
  timer_.expires_after(time);
  asio::co_spawn(executor_, ThawInTime(++epoch_), asio::detached);
}

awaitable<void> Freezer::ThawInTime(uint64_t epoch) {
  boost::system::error_code code;
  co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, code));
  if (code || epoch != epoch_ || busy_ || frozen_.empty()) co_return;
  const auto thawed = co_await Thaw();
  if (thawed && *thawed > 0) thawed_(*thawed);
}

awaitable<Result<uint32_t>> Freezer::Thaw() {
  if (busy_) co_return Fail("thaw", EBUSY, "a freeze or a thaw is on its way");
  ++epoch_;
  timer_.cancel();
  if (frozen_.empty()) co_return 0U;
  busy_ = true;
  std::string why;
  if (straggler_ && co_await straggler_->Await(Deadline::In(kStragglerLook))) straggler_.reset();
  if (straggler_) why = "a freeze that was given up is still on its way";
  // In the reverse order: what was frozen last may be what the others lie on.
  const std::vector<std::string> paths(frozen_.rbegin(), frozen_.rend());
  const auto output = co_await RunChild(kThawChore, paths, Deadline::In(kThawChildTimeout));
  uint32_t thawed = 0;
  std::vector<std::string> left;
  if (output) {
    const std::vector<int> errnos = ReadErrnos(*output, paths.size());
    for (size_t i = 0; i < paths.size(); ++i) {
      if (errnos[i] == 0) ++thawed;
      if (!MayStayFrozen(errnos[i])) continue;
      left.insert(left.begin(), paths[i]);
      why = paths[i] + ": " + WhyNot(errnos[i]);
    }
  } else {
    why = output.error().Message();
  }
  if (!output || straggler_) left = frozen_;
  frozen_ = std::move(left);
  busy_ = false;
  if (frozen_.empty()) co_return thawed;
  const Error error{"thaw", EAGAIN, "some may be frozen still: " + why,
                    "it is tried again every second"};
  if (complaints_.Allow()) Log(LogLevel::kError, "berth-agent", error.Message());
  ThawAfter(kThawRetry);
  co_return std::unexpected(error);
}

void Freezer::ThawLeftovers() {
  const auto text = ReadFile(options_.mountinfo.c_str(), kMaxMountinfoBytes);
  if (!text) return Log(LogLevel::kError, "berth-agent", text.error().Message());
  for (const MountRow& row : PlanFreeze(ParseMountinfo(*text)).freeze) frozen_.push_back(row.path);
  asio::co_spawn(executor_, ThawOfAnother(), asio::detached);
}

awaitable<void> Freezer::ThawOfAnother() {
  const auto thawed = co_await Thaw();
  if (!thawed || *thawed == 0) co_return;
  Log(LogLevel::kWarning, "berth-agent",
      "an agent before this one left " + std::to_string(*thawed) +
          " file systems frozen; they are thawed");
  thawed_(*thawed);
}

}  // namespace berth::agent
