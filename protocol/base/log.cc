// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "protocol/base/text.h"

namespace berth {
namespace {

constexpr size_t kMaxLineBytes = 4096;
// A pipe takes so much whole or not at all (PIPE_BUF).
constexpr size_t kMaxTeeBytes = 4096;

int tee = -1;

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

// As sd-daemon(3) has them.
constexpr std::string_view Priority(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "<6>";
    case LogLevel::kWarning:
      return "<4>";
    case LogLevel::kError:
      return "<3>";
    case LogLevel::kFatal:
      return "<2>";
  }
  return "<6>";
}

}  // namespace

void TeeLog(int fd) { tee = fd; }

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
  [[maybe_unused]] ssize_t n = write(STDERR_FILENO, line.data(), line.size());
  if (tee < 0) return;
  line = Printable(text.substr(0, kMaxLineBytes));
  line.insert(0, Priority(level));
  if (line.size() >= kMaxTeeBytes) line.resize(kMaxTeeBytes - 1);
  line += '\n';
  n = write(tee, line.data(), line.size());
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
