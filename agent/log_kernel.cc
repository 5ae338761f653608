// SPDX-License-Identifier: Apache-2.0
#include "agent/log_kernel.h"

#include <unistd.h>

#include <cerrno>
#include <string>

#include "agent/kernel_message.h"

namespace berth::agent {
namespace {

constexpr int kRecordsATurn = 64;
// CONSOLE_EXT_LOG_MAX of kernel/printk: a smaller buffer is EINVAL for a record that is longer.
constexpr size_t kMaxKernelRecordBytes = 8192;
constexpr uint8_t kWarningLevel = 4;

}  // namespace

LogSource::Took LogKernel::Take(LogRing& ring) {
  char bytes[kMaxKernelRecordBytes];
  Took took = Took::kSome;
  for (int i = 0; i < kRecordsATurn; ++i) {
    const ssize_t n = read(fd(), bytes, sizeof(bytes));
    if (n > 0) {
      TakeRecord(ring, {bytes, static_cast<size_t>(n)});
    } else if (n == 0 || errno == EAGAIN) {
      took = Took::kNothing;
      break;
    } else if (errno != EINTR && errno != EPIPE) {  // EPIPE: it dropped some; their numbers tell
      took = Took::kFailed;
      break;
    }
  }
  ring.Commit();
  return took;
}

void LogKernel::TakeRecord(LogRing& ring, std::string_view record) const {
  const auto message = ParseKernelMessage(record);
  const uint64_t next = ring.StateOf(number()).position;
  if (!message || message->seq < next) return;
  const LogClock now = LogClock::Now();
  if (message->seq > next) {
    const std::string lost = std::to_string(message->seq - next) +
                             " messages of the kernel were lost: it wrote them faster than they "
                             "were read";
    ring.Append({.source = number(),
                 .level = kWarningLevel,
                 .flags = 0,
                 .position = message->seq,
                 .text = lost},
                now);
  }
  // What it was when the kernel said it, on both clocks.
  constexpr uint64_t kMaxUs = INT64_MAX / 1000;
  int64_t ago = 0;
  if (message->monotonic_us <= kMaxUs) {
    ago = now.monotonic_ns - static_cast<int64_t>(message->monotonic_us) * 1000;
  }
  if (ago < 0) ago = 0;
  ring.Append({.source = number(),
               .level = message->level,
               .flags = 0,
               .position = message->seq + 1,
               .text = message->text},
              {now.realtime_ns - ago, now.monotonic_ns - ago});
}

}  // namespace berth::agent
