// SPDX-License-Identifier: Apache-2.0
#include "agent/freezer.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <utility>

#include "agent/child_run.h"
#include "agent/chores.h"
#include "agent/mountinfo.h"
#include "protocol/base/io.h"
#include "protocol/base/log.h"
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

// "0", "16": an errno for each path, a line each; missing ones are EIO.
std::vector<int> ReadErrnos(std::string_view text, size_t count) {
  std::vector<int> errnos;
  while (!text.empty() && errnos.size() < count) {
    const size_t end = std::min(text.find('\n'), text.size());
    int errnum = EIO;
    std::from_chars(text.data(), text.data() + end, errnum);
    errnos.push_back(errnum);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  errnos.resize(count, EIO);
  return errnos;
}

std::string WhyNot(int errnum) {
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
      timer_(executor) {}

awaitable<Result<std::string>> Freezer::RunChild(std::string_view chore,
                                                 const std::vector<std::string>& paths,
                                                 Deadline deadline) {
  ChildRun::Plan plan{.argv = {options_.program, kChoreFlag, std::string(chore)},
                      .cgroup = {},
                      .max_output_bytes = kMaxChildOutput};
  plan.argv.insert(plan.argv.end(), paths.begin(), paths.end());
  const auto run = ChildRun::Start(executor_, plan, options_.defaults);
  if (!run) co_return std::unexpected(run.error());
  if (!co_await (*run)->Await(deadline)) {
    (*run)->Kill();
    co_return Fail("freeze", ETIMEDOUT, "a file system did not come to rest in time");
  }
  co_return (*run)->output();
}

awaitable<uint32_t> Freezer::ThawPaths(const std::vector<std::string>& paths) {
  if (paths.empty()) co_return 0;
  const auto output = co_await RunChild("thaw", paths, Deadline::In(kThawChildTimeout));
  if (!output) {
    Log(LogLevel::kError, "berth-agent", "thaw: " + output.error().Message());
    co_return 0;
  }
  uint32_t thawed = 0;
  for (const int errnum : ReadErrnos(*output, paths.size())) {
    if (errnum == 0) ++thawed;
    // EINVAL: it was not frozen.
    if (errnum != 0 && errnum != EINVAL && errnum != EOPNOTSUPP) {
      Log(LogLevel::kError, "berth-agent", "thaw: " + ErrnoText(errnum));
    }
  }
  co_return thawed;
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
  const FreezePlan plan =
      PlanFreeze(ParseMountinfo(*text, static_cast<size_t>(wire::kMaxFreezeMounts)));
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
    output = co_await RunChild("freeze", paths, Deadline::In(kFreezeChildTimeout));
  }
  if (!output) {
    // Some may be frozen, and the child's next one still on its way: none stays so.
    co_await ThawPaths(paths);
    busy_ = false;
    reply.set_failed(output.error().Message());
    co_return reply;
  }
  const std::vector<int> errnos = ReadErrnos(*output, paths.size());
  for (size_t i = 0; i < paths.size(); ++i) {
    if (errnos[i] == 0) frozen_.push_back(paths[i]);
    add(plan.freeze[i], errnos[i] == 0, errnos[i] == 0 ? "" : WhyNot(errnos[i]));
  }
  for (const auto& skipped : plan.skipped) add(skipped.row, false, skipped.why);
  busy_ = false;
  if (frozen_.empty()) {
    reply.set_failed("there is no writable file system on a block device that can be frozen");
    co_return reply;
  }
  timer_.expires_after(milliseconds(static_cast<int64_t>(timeout_ms)));
  asio::co_spawn(executor_, ThawInTime(++epoch_), asio::detached);
  co_return reply;
}

awaitable<void> Freezer::ThawInTime(uint64_t epoch) {
  boost::system::error_code code;
  co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, code));
  if (code || epoch != epoch_ || busy_ || frozen_.empty()) co_return;
  const auto thawed = co_await Thaw();
  if (thawed) thawed_(*thawed);
}

awaitable<Result<uint32_t>> Freezer::Thaw() {
  if (busy_) co_return Fail("thaw", EBUSY, "a freeze or a thaw is on its way");
  ++epoch_;
  timer_.cancel();
  busy_ = true;
  // In the reverse order: what was frozen last may be what the others lie on.
  std::vector<std::string> paths(frozen_.rbegin(), frozen_.rend());
  frozen_.clear();
  const uint32_t thawed = co_await ThawPaths(paths);
  busy_ = false;
  co_return thawed;
}

awaitable<void> Freezer::ThawLeftovers() {
  const auto text = ReadFile(options_.mountinfo.c_str(), kMaxMountinfoBytes);
  if (!text) co_return;
  const FreezePlan plan =
      PlanFreeze(ParseMountinfo(*text, static_cast<size_t>(wire::kMaxFreezeMounts)));
  std::vector<std::string> paths;
  for (const MountRow& row : plan.freeze) paths.push_back(row.path);
  std::ranges::reverse(paths);
  busy_ = true;
  const uint32_t thawed = co_await ThawPaths(paths);
  busy_ = false;
  if (thawed > 0) {
    Log(LogLevel::kWarning, "berth-agent",
        "an agent before this one left " + std::to_string(thawed) +
            " file systems frozen; they are thawed");
    thawed_(thawed);
  }
}

}  // namespace berth::agent
