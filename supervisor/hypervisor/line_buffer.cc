// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/line_buffer.h"

namespace berth {

void LineBuffer::Append(std::string_view bytes) {
  if (discarding_) {
    const size_t newline = bytes.find('\n');
    if (newline == bytes.npos) return;
    bytes.remove_prefix(newline + 1);
    discarding_ = false;
  }
  bytes_.erase(0, start_);
  scanned_ -= start_;
  start_ = 0;
  bytes_ += bytes;
}

std::optional<std::string> LineBuffer::Next() {
  for (;;) {
    const size_t newline = bytes_.find('\n', scanned_);
    if (newline == bytes_.npos) {
      scanned_ = bytes_.size();
      if (bytes_.size() - start_ > max_line_bytes_) {
        ++dropped_;
        discarding_ = true;
        start_ = bytes_.size();
      }
      if (start_ == bytes_.size()) {
        bytes_.clear();
        start_ = scanned_ = 0;
      }
      return std::nullopt;
    }
    const size_t begin = start_;
    size_t length = newline - begin;
    start_ = scanned_ = newline + 1;
    if (length > max_line_bytes_) {
      ++dropped_;
      continue;
    }
    if (length > 0 && bytes_[newline - 1] == '\r') --length;
    return bytes_.substr(begin, length);
  }
}

}  // namespace berth
