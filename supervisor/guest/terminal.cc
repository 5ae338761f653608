// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/terminal.h"

#include <sys/ioctl.h>

namespace berth::guest {

std::optional<TerminalSize> SizeOfTerminal(int fd) {
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    return std::nullopt;
  }
  return TerminalSize{size.ws_row, size.ws_col};
}

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  termios settings = {};
  if (tcgetattr(fd_, &settings) != 0) return;
  saved_ = settings;
  Apply();
}

void RawTerminal::Apply() {
  if (!saved_) return;
  termios raw = *saved_;
  cfmakeraw(&raw);
  tcsetattr(fd_, TCSADRAIN, &raw);
}

RawTerminal::~RawTerminal() {
  if (saved_) tcsetattr(fd_, TCSADRAIN, &*saved_);
}

}  // namespace berth::guest
