// SPDX-License-Identifier: Apache-2.0
//
// The end of a log that a shim writes. The file rotated out of its way is left alone: it may be of
// an earlier run, whose last words must not pass for this one's. Blocks for reads of a local file;
// any thread.
#ifndef BERTH_SUPERVISOR_DAEMON_LOG_TAIL_H_
#define BERTH_SUPERVISOR_DAEMON_LOG_TAIL_H_

#include <string>

#include "protocol/base/result.h"

namespace berth::daemon {

struct LogTail {
  std::string text;
  bool truncated = false;  // there was more before it
};

// Step "log-tail"; ENOENT where there is no such log.
Result<LogTail> ReadLogTail(const std::string& path, size_t max_bytes);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_LOG_TAIL_H_
