// SPDX-License-Identifier: Apache-2.0
//
// BoundedLog: a file that takes any number of bytes and keeps the last of them: at most max_bytes
// in `path` and as many in `path`.1. Never fails its caller: bytes that the disk does not take are
// counted, and a line in the log says how many once it takes bytes again. One thread.
#ifndef BERTH_SUPERVISOR_SHIM_BOUNDED_LOG_H_
#define BERTH_SUPERVISOR_SHIM_BOUNDED_LOG_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/unique_fd.h"

namespace berth::shim {

class BoundedLog {
 public:
  // What stood at `path` becomes `path`.1: the log of the run before.
  BoundedLog(std::string path, size_t max_bytes);

  void Write(std::string_view bytes);

  uint64_t total_bytes() const { return total_bytes_; }
  uint64_t lost_bytes() const { return lost_bytes_; }

 private:
  void Rotate();
  // How many of the bytes the disk took.
  size_t Put(std::string_view bytes);
  void SayWhatWasLost();

  const std::string path_;
  const size_t max_bytes_;
  UniqueFd fd_;
  size_t file_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  uint64_t lost_bytes_ = 0;
  uint64_t unsaid_bytes_ = 0;  // of those lost, not yet said in the log
  int last_errno_ = 0;
};

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_BOUNDED_LOG_H_
