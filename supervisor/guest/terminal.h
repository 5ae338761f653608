// SPDX-License-Identifier: Apache-2.0
//
// The caller's terminal during an interactive session.
#ifndef BERTH_SUPERVISOR_GUEST_TERMINAL_H_
#define BERTH_SUPERVISOR_GUEST_TERMINAL_H_

#include <termios.h>

#include <cstdint>
#include <optional>

#include "protocol/base/result.h"

namespace berth::guest {

struct TerminalSize {
  uint32_t rows = 0;
  uint32_t columns = 0;
};

// Nullopt where `fd` is no terminal, or one without a size.
std::optional<TerminalSize> SizeOfTerminal(int fd);

// While it lives the terminal passes every key on, Ctrl-C included, and echoes nothing: the guest's
// own terminal does both. On a descriptor that is no terminal it does nothing.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  bool active() const { return saved_.has_value(); }
  // Again, after somebody else had the terminal (SIGCONT).
  void Apply();

 private:
  int fd_;
  std::optional<termios> saved_;
};

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_TERMINAL_H_
