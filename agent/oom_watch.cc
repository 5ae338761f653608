// SPDX-License-Identifier: Apache-2.0
#include "agent/oom_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/kernel_message.h"
#include "protocol/base/parse.h"
#include "protocol/base/text.h"
#include "protocol/base/unique_fd.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;

namespace {

// A read gives one record; Linux has at most so many bytes of one (CONSOLE_EXT_LOG_MAX).
constexpr size_t kMaxRecordBytes = 8192;
// Records that are read before others have their turn.
constexpr int kRecordsPerTurn = 32;
// What stands behind the last `key`, which is cut off with it.
std::optional<std::string_view> TakeLast(std::string_view& text, std::string_view key) {
  const size_t at = text.rfind(key);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view value = text.substr(at + key.size());
  text = text.substr(0, at);
  return value;
}

v1::OomKill::Constraint ConstraintNamed(std::string_view name) {
  if (name == "CONSTRAINT_NONE") return v1::OomKill::CONSTRAINT_NONE;
  if (name == "CONSTRAINT_MEMCG") return v1::OomKill::CONSTRAINT_MEMCG;
  return v1::OomKill::CONSTRAINT_OTHER;
}

}  // namespace

std::optional<v1::OomKill> ParseOomRecord(std::string_view record) {
  const auto message = ParseKernelMessage(record);
  if (!message || !message->from_kernel) return std::nullopt;
  std::string_view text = message->text;
  constexpr std::string_view kBegin = "oom-kill:constraint=";
  if (!text.starts_with(kBegin)) return std::nullopt;
  text.remove_prefix(kBegin.size());
  // From the end: a process's name may hold anything, numbers do not.
  const auto uid = TakeLast(text, ",uid=");
  const auto pid = TakeLast(text, ",pid=");
  if (!uid || !pid) return std::nullopt;
  const auto uid_number = WholeNumber<uint32_t>(*uid);
  const auto pid_number = WholeNumber<uint32_t>(*pid);
  if (!uid_number || !pid_number) return std::nullopt;
  const size_t group = text.find(",task_memcg=");
  const size_t task = text.find(",task=", group == std::string_view::npos ? 0 : group);
  if (task == std::string_view::npos) return std::nullopt;
  v1::OomKill kill;
  kill.set_process(Utf8(text.substr(task + 6), wire::kMaxStatsTextBytes));
  kill.set_pid(*pid_number);
  kill.set_uid(*uid_number);
  if (group != std::string_view::npos) {
    kill.set_cgroup(Utf8(text.substr(group + 12, task - group - 12), wire::kMaxStatsTextBytes));
  }
  kill.set_constraint(ConstraintNamed(text.substr(0, text.find(','))));
  return kill;
}

Result<> OomWatch::Open(const std::string& path) {
  UniqueFd log(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!log) return ErrnoError("kmsg", path, "no event will tell of processes killed for memory");
  // Where it cannot seek it has no past either.
  lseek(log.get(), 0, SEEK_END);
  boost::system::error_code code;
  log_.assign(log.get(), code);
  if (code) return Fail("kmsg", code.value(), path);
  [[maybe_unused]] const int owned = log.Release();
  return {};
}

asio::awaitable<void> OomWatch::Run() {
  for (;;) {
    switch (TakeTurn()) {
      case Turn::kMore:
        co_await asio::post(log_.get_executor(), asio::use_awaitable);
        break;
      case Turn::kEnd:
        co_return;
      case Turn::kEmpty: {
        boost::system::error_code code;
        co_await log_.async_wait(asio::posix::stream_descriptor::wait_read,
                                 asio::redirect_error(asio::use_awaitable, code));
        if (code) co_return;
      }
    }
  }
}

OomWatch::Turn OomWatch::TakeTurn() {
  for (int records = 0; records < kRecordsPerTurn; ++records) {
    char record[kMaxRecordBytes];
    const ssize_t n = read(log_.native_handle(), record, sizeof(record));
    if (n > 0) {
      auto kill = ParseOomRecord({record, static_cast<size_t>(n)});
      if (!kill) continue;
      ++kills_;
      last_ = *kill;
      on_kill_(std::move(*kill));
      continue;
    }
    // EPIPE: records were overwritten before they were read; the next read goes on behind them.
    if (n < 0 && (errno == EINTR || errno == EPIPE)) continue;
    return n < 0 && errno == EAGAIN ? Turn::kEmpty : Turn::kEnd;
  }
  return Turn::kMore;
}

}  // namespace berth::agent
