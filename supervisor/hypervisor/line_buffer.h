// SPDX-License-Identifier: Apache-2.0
//
// LineBuffer: lines out of a byte stream whose sender may never send a newline. Memory is bounded
// by the longest line allowed and what was appended since the last Next; longer lines are dropped
// whole and counted. A value; one thread.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_LINE_BUFFER_H_
#define BERTH_SUPERVISOR_HYPERVISOR_LINE_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace berth {

class LineBuffer {
 public:
  explicit LineBuffer(size_t max_line_bytes) : max_line_bytes_(max_line_bytes) {}

  // Take all lines with Next before appending more.
  void Append(std::string_view bytes);

  // The next whole line, without "\n" or "\r\n"; nullopt: more bytes are needed.
  std::optional<std::string> Next();

  uint64_t dropped_lines() const { return dropped_; }

 private:
  const size_t max_line_bytes_;
  std::string bytes_;
  size_t start_ = 0;    // of the first line not yet taken
  size_t scanned_ = 0;  // no newline between start_ and here
  bool discarding_ = false;
  uint64_t dropped_ = 0;
};

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_LINE_BUFFER_H_
