// SPDX-License-Identifier: Apache-2.0
#include "agent/pty.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

namespace berth::agent {
namespace {

constexpr uint32_t kDefaultRows = 24;
constexpr uint32_t kDefaultColumns = 80;

}  // namespace

Result<Pty> OpenPty(uint32_t rows, uint32_t columns, uid_t owner) {
  Pty pty;
  pty.master.Reset(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.master) {
    return ErrnoError("pty", "/dev/ptmx", "the guest needs devpts mounted on /dev/pts");
  }
  int unlocked = 0;
  if (ioctl(pty.master.get(), TIOCSPTLCK, &unlocked) != 0) return ErrnoError("pty", "unlock");
  // By descriptor, not by /dev/pts/N: right also where /dev/pts is another instance.
  pty.slave.Reset(ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave) return ErrnoError("pty", "the terminal's other end");
  if (owner != geteuid() && fchown(pty.slave.get(), owner, static_cast<gid_t>(-1)) != 0) {
    return ErrnoError("pty", "owner of the terminal");
  }
  // The group, tty by devpts' mount option, may write messages and not read.
  if (fchmod(pty.slave.get(), 0620) != 0) return ErrnoError("pty", "mode of the terminal");
  // Erasing a character must take away all of its bytes.
  termios settings = {};
  if (tcgetattr(pty.slave.get(), &settings) == 0) {
    settings.c_iflag |= IUTF8;
    tcsetattr(pty.slave.get(), TCSANOW, &settings);
  }
  BERTH_TRY(ResizePty(pty.master.get(), rows != 0 ? rows : kDefaultRows,
                      columns != 0 ? columns : kDefaultColumns));
  return pty;
}

Result<> ResizePty(int master, uint32_t rows, uint32_t columns) {
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  if (ioctl(master, TIOCSWINSZ, &size) != 0) return ErrnoError("pty", "size of the terminal");
  return {};
}

pid_t ForegroundGroup(int master) {
  pid_t group = -1;
  if (ioctl(master, TIOCGPGRP, &group) != 0 || group <= 0) return -1;
  return group;
}

char EndOfFileCharacter(int master) {
  termios settings = {};
  if (tcgetattr(master, &settings) != 0 || (settings.c_lflag & ICANON) == 0) return '\0';
  return static_cast<char>(settings.c_cc[VEOF]);
}

}  // namespace berth::agent
