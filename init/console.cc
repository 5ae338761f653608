// SPDX-License-Identifier: Apache-2.0
#include "init/console.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <termios.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "protocol/base/log.h"
#include "protocol/base/unique_fd.h"

// The linker's: where the executable was loaded.
extern "C" const char __ehdr_start;  // NOLINT(bugprone-reserved-identifier)

namespace berth::init {
namespace {

constexpr size_t kCrashStackBytes = 16 * 1024;

// A line put together without malloc or stdio.
class SignalSafeLine {
 public:
  void Text(const char* text) {
    while (*text != '\0' && used_ < sizeof(bytes_)) bytes_[used_++] = *text++;
  }
  void Hex(uint64_t value) {
    char digits[17] = {};
    char* at = digits + 16;
    do {
      *--at = "0123456789abcdef"[value & 15];
      value >>= 4;
    } while (value != 0);
    Text("0x");
    Text(at);
  }
  void Write() const { [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, bytes_, used_); }

 private:
  char bytes_[256];
  size_t used_ = 0;
};

uint64_t ProgramCounter([[maybe_unused]] const void* context) {
#if defined(__x86_64__)
  return static_cast<uint64_t>(
      static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[16 /* REG_RIP */]);
#elif defined(__aarch64__)
  return static_cast<const ucontext_t*>(context)->uc_mcontext.pc;
#else
  return 0;
#endif
}

// strsignal(3) may allocate.
const char* SignalName(int number) {
  switch (number) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGILL:
      return "SIGILL";
    case SIGFPE:
      return "SIGFPE";
    case SIGTRAP:
      return "SIGTRAP";
    case SIGABRT:
      return "SIGABRT";
    case SIGSYS:
      return "SIGSYS";
    default:
      return "signal";
  }
}

void OnCrash(int number, siginfo_t* info, void* context) {
  SignalSafeLine line;
  line.Text("berth-init: fatal: crash: ");
  line.Text(SignalName(number));
  line.Text(" at instruction ");
  line.Hex(ProgramCounter(context) - reinterpret_cast<uintptr_t>(&__ehdr_start));
  line.Text(" of berth-init, address ");
  line.Hex(reinterpret_cast<uintptr_t>(info->si_addr));
  line.Text("; look it up in berth-init.debug with addr2line\n");
  line.Write();
  EndMachine(ShutdownMode::kPowerOff);
}

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

void Info(std::string_view text) { Log(LogLevel::kInfo, kProgram, text); }
void Warn(std::string_view text) { Log(LogLevel::kWarning, kProgram, text); }

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

void InstallCrashHandler() {
  // SIGSEGV is often a stack that ran out.
  alignas(16) static char stack[kCrashStackBytes];
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof(stack);
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = OnCrash;
  // One shot: a crash in the handler is then the kernel's to report.
  action.sa_flags = static_cast<int>(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND);
  sigfillset(&action.sa_mask);
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS}) {
    sigaction(number, &action, nullptr);
  }
}

}  // namespace berth::init
