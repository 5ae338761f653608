// SPDX-License-Identifier: Apache-2.0
//
// PanicScanner: finds the Linux kernel's panic line in a console stream that comes in pieces. What
// it finds is the guest's word: good for telling a person why the VM ended, for nothing else.
#ifndef BERTH_SUPERVISOR_SHIM_PANIC_SCANNER_H_
#define BERTH_SUPERVISOR_SHIM_PANIC_SCANNER_H_

#include <string>
#include <string_view>

namespace berth::shim {

class PanicScanner {
 public:
  static constexpr std::string_view kMarker = "Kernel panic - not syncing";

  void Feed(std::string_view bytes) {
    if (found_) return;
    // The marker may lie across the border between two pieces.
    const std::string border = tail_ + std::string(bytes.substr(0, kMarker.size() - 1));
    found_ = border.find(kMarker) != border.npos || bytes.find(kMarker) != bytes.npos;
    const std::string_view last = bytes.size() >= kMarker.size() - 1 ? bytes : border;
    tail_ = last.substr(last.size() - std::min(last.size(), kMarker.size() - 1));
  }

  bool found() const { return found_; }

 private:
  std::string tail_;
  bool found_ = false;
};

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_PANIC_SCANNER_H_
