// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "protocol/base/text.h"

namespace berth {
namespace {

constexpr size_t kMaxLineBytes = 4096;

constexpr std::string_view Name(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kFatal:
      return "fatal";
  }
  return "unknown";
}

}  // namespace

void Log(LogLevel level, std::string_view program, std::string_view text) {
  std::string line;
  line.reserve(program.size() + text.size() + 16);
  line += program;
  line += ": ";
  line += Name(level);
  line += ": ";
  line += text.substr(0, kMaxLineBytes);
  line = Printable(line);
  line += '\n';
  // Nowhere to report a failed write of a log line.
  [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, line.data(), line.size());
}

bool LogLimiter::Allow() {
  const auto now = Deadline::Clock::now();
  if (now - window_start_ >= period_) {
    window_start_ = now;
    used_ = 0;
  }
  if (used_ >= burst_) {
    ++suppressed_;
    return false;
  }
  ++used_;
  return true;
}

}  // namespace berth
