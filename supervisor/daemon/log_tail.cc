// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/log_tail.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "protocol/base/unique_fd.h"

namespace berth::daemon {

Result<LogTail> ReadLogTail(const std::string& path, size_t max_bytes) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return ErrnoError("log-tail", path);
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return ErrnoError("log-tail", path);
  const auto size = static_cast<size_t>(status.st_size);
  const size_t wanted = std::min(size, max_bytes);
  LogTail tail{std::string(wanted, '\0'), wanted < size};
  size_t done = 0;
  while (done < wanted) {
    const ssize_t n = pread(fd.get(), tail.text.data() + done, wanted - done,
                            static_cast<off_t>(size - wanted + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("log-tail", path);
    if (n == 0) break;  // truncated meanwhile
    done += static_cast<size_t>(n);
  }
  tail.text.resize(done);
  return tail;
}

}  // namespace berth::daemon
