// SPDX-License-Identifier: Apache-2.0
#include "init/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "protocol/base/io.h"
#include "protocol/base/log.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

LogLevel console_level = LogLevel::kInfo;

// Lines already written must have left the UART before the machine goes.
void DrainConsole() {
  // Bounded: a host that stopped reading would hold tcdrain(3) for ever.
  constexpr int kTries = 200;
  for (int i = 0; i < kTries; ++i) {
    int queued = 0;
    if (ioctl(STDERR_FILENO, TIOCOUTQ, &queued) != 0 || queued == 0) return;
    usleep(1000);
  }
}

}  // namespace

void OpenConsole() {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  UniqueFd console(open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  const int out = console ? console.get() : null.get();
  if (null) dup2(null.get(), STDIN_FILENO);
  if (out < 0) return;  // no /dev: the fatal line of the mount goes where the kernel pointed us
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  // Opened into a free standard number: that is its place now.
  if (console.get() >= 0 && console.get() <= STDERR_FILENO) {
    [[maybe_unused]] const int kept = console.Release();
  }
}

void SetConsoleLevel(LogLevel level) { console_level = level; }

void Say(LogLevel level, std::string_view text) {
  if (level >= console_level) Log(level, kProgram, text);
}

void PrintOut(std::string_view text) {
  constexpr std::chrono::minutes kPagerWait{1};
  [[maybe_unused]] const auto written = WriteFull(STDOUT_FILENO, text, Deadline::In(kPagerWait));
}

void Fatal(const Error& error) {
  Log(LogLevel::kFatal, kProgram, error.Message());
  EndMachine(ShutdownMode::kPowerOff);
}

void EndMachine(ShutdownMode mode) {
  DrainConsole();
  switch (mode) {
    case ShutdownMode::kPowerOff:
      reboot(RB_POWER_OFF);
      break;
    case ShutdownMode::kReboot:
      reboot(RB_AUTOBOOT);
      break;
    case ShutdownMode::kHalt:
      reboot(static_cast<int>(RB_HALT_SYSTEM));
      break;
  }
  // A kernel that cannot power off halts in there. Left are a sandbox that refuses reboot(2) and
  // kernels without it: to return would be a panic.
  for (;;) pause();
}

}  // namespace berth::init
