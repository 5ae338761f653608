// SPDX-License-Identifier: Apache-2.0
//
// Plain log lines for the programs that have no log library: init, agent, shim, vsock device. One
// line is one write(2) to stderr, so that lines of several processes do not mix.
#ifndef BERTH_PROTOCOL_BASE_LOG_H_
#define BERTH_PROTOCOL_BASE_LOG_H_

#include <string_view>

#include "protocol/base/clock.h"

namespace berth {

enum class LogLevel { kInfo, kWarning, kError, kFatal };

// "berth-init: warning: text". `program` is a literal that names the program. Control characters in
// the text are replaced, since it may come from a peer.
void Log(LogLevel level, std::string_view program, std::string_view text);

// Each line goes there besides, from now on, as services write theirs: "<4>text". A pipe that does
// not block, or -1: no more. What it has no room for is lost to it.
void TeeLog(int fd);

// At most `burst` lines a `period`, per instance; how many were swallowed is said by the next line
// let through.
class LogLimiter {
 public:
  constexpr LogLimiter(int burst, std::chrono::nanoseconds period)
      : burst_(burst), period_(period) {}

  // True where a line may be written now.
  bool Allow();
  // The number of lines refused since the last time one was allowed; resets it.
  long TakeSuppressed() {
    const long n = suppressed_;
    suppressed_ = 0;
    return n;
  }

 private:
  int burst_;
  std::chrono::nanoseconds period_;
  Deadline::Clock::time_point window_start_{};
  int used_ = 0;
  long suppressed_ = 0;
};

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_LOG_H_
