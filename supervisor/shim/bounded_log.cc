// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/bounded_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "protocol/base/result.h"

namespace berth::shim {

BoundedLog::BoundedLog(std::string path, size_t max_bytes)
    : path_(std::move(path)), max_bytes_(max_bytes) {
  Rotate();
}

void BoundedLog::Rotate() {
  fd_.Reset();
  rename(path_.c_str(), (path_ + ".1").c_str());
  fd_.Reset(
      open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd_) last_errno_ = errno;
  file_bytes_ = 0;
}

size_t BoundedLog::Put(std::string_view bytes) {
  if (!fd_) Rotate();
  size_t put = 0;
  while (fd_ && put < bytes.size()) {
    const ssize_t n = write(fd_.get(), bytes.data() + put, bytes.size() - put);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      last_errno_ = errno;
      break;
    }
    put += static_cast<size_t>(n);
  }
  file_bytes_ += put;
  return put;
}

void BoundedLog::SayWhatWasLost() {
  const std::string line = "\n[berth-shim: " + std::to_string(unsaid_bytes_) +
                           " bytes lost here: " + ErrnoName(last_errno_) + "]\n";
  // Half a notice is worse than none: it would be taken for the guest's own words.
  if (Put(line) == line.size()) unsaid_bytes_ = 0;
}

void BoundedLog::Write(std::string_view bytes) {
  total_bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (file_bytes_ >= max_bytes_) Rotate();
    if (unsaid_bytes_ != 0) SayWhatWasLost();
    const size_t wanted = std::min(bytes.size(), max_bytes_ - std::min(file_bytes_, max_bytes_));
    const size_t put = unsaid_bytes_ == 0 ? Put(bytes.substr(0, wanted)) : 0;
    if (put < wanted) {
      lost_bytes_ += bytes.size() - put;
      unsaid_bytes_ += bytes.size() - put;
      return;
    }
    bytes.remove_prefix(put);
  }
}

}  // namespace berth::shim
