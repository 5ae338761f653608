// SPDX-License-Identifier: Apache-2.0
//
// Runs in a signal handler of a process that has just shown to be broken: no malloc, no stdio, no
// trust in any pointer.
#include "init/crash.h"

#include <elf.h>
#include <link.h>
#include <signal.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "init/console.h"

// The linker's: where the executable was loaded.
extern "C" const ElfW(Ehdr) __ehdr_start;  // NOLINT(bugprone-reserved-identifier)

namespace berth::init {
namespace {

constexpr size_t kCrashStackBytes = 32 * 1024;
constexpr size_t kStackWords = 1024;  // from the stack pointer up
constexpr int kMaxPlaces = 32;

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
  void Bytes(const unsigned char* bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const char digits[3] = {"0123456789abcdef"[bytes[i] >> 4], "0123456789abcdef"[bytes[i] & 15],
                              '\0'};
      Text(digits);
    }
  }
  void Write() const { [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, bytes_, used_); }

 private:
  char bytes_[768];
  size_t used_ = 0;
};

struct Place {
  uint64_t instruction;
  uint64_t stack;
};

Place WhereItWas([[maybe_unused]] const void* context) {
#if defined(__x86_64__)
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  return {static_cast<uint64_t>(registers[16 /* REG_RIP */]),
          static_cast<uint64_t>(registers[15 /* REG_RSP */])};
#elif defined(__aarch64__)
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  return {machine.pc, machine.sp};
#else
  return {0, 0};
#endif
}

// By way of the kernel: an address that leads nowhere is EFAULT there and would be a second crash
// here. Returns how much could be read.
size_t ReadMemory(uint64_t at, void* out, size_t bytes) {
  const iovec local{out, bytes};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): it is a number until the kernel has looked at it
  const iovec remote{reinterpret_cast<void*>(at), bytes};
  const ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  return n > 0 ? static_cast<size_t>(n) : 0;
}

// The program's instructions, as addresses of this process.
struct Text {
  uint64_t begin;
  uint64_t end;
};

Text FindText() {
  const auto* base = reinterpret_cast<const unsigned char*>(&__ehdr_start);
  const auto* header = reinterpret_cast<const ElfW(Phdr)*>(base + __ehdr_start.e_phoff);
  for (int i = 0; i < __ehdr_start.e_phnum; ++i, ++header) {
    if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0) continue;
    const uint64_t begin = reinterpret_cast<uint64_t>(base) + header->p_vaddr;
    return {begin, begin + header->p_memsz};
  }
  return {0, 0};
}

// Whether the instruction before `address` can be a call.
bool FollowsACall([[maybe_unused]] uint64_t address) {
#if defined(__x86_64__)
  unsigned char before[7];
  if (ReadMemory(address - sizeof(before), before, sizeof(before)) != sizeof(before)) return false;
  if (before[2] == 0xe8) return true;  // call rel32
  // call r/m64: ff /2, of two to seven bytes.
  for (const int length : {2, 3, 4, 6, 7}) {
    const unsigned char* at = before + sizeof(before) - length;
    if (at[0] == 0xff && (at[1] >> 3 & 7) == 2) return true;
  }
  return false;
#else
  return true;
#endif
}

void AddBuildId(SignalSafeLine& line) {
  const auto* base = reinterpret_cast<const unsigned char*>(&__ehdr_start);
  const auto* header = reinterpret_cast<const ElfW(Phdr)*>(base + __ehdr_start.e_phoff);
  for (int i = 0; i < __ehdr_start.e_phnum; ++i, ++header) {
    if (header->p_type != PT_NOTE) continue;
    for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= header->p_memsz;) {
      const unsigned char* start = base + header->p_vaddr + at;
      ElfW(Nhdr) note;
      std::memcpy(&note, start, sizeof(note));
      const size_t name_bytes = (note.n_namesz + 3U) & ~3U;
      if (note.n_type == NT_GNU_BUILD_ID) {
        line.Text(", build ");
        line.Bytes(start + sizeof(note) + name_bytes, note.n_descsz);
        return;
      }
      at += sizeof(note) + name_bytes + ((note.n_descsz + 3U) & ~3U);
    }
  }
}

// Addresses as berth-init.debug has them, a blank before each: the instruction, and what lies on
// the stack and can be a return address. musl has neither frame pointers nor unwind tables to do
// better by; one or the other may be left from a call that has returned.
void AddPlaces(SignalSafeLine& line, Place place) {
  const auto base = reinterpret_cast<uint64_t>(&__ehdr_start);
  line.Text(" ");
  line.Hex(place.instruction - base);
  const Text text = FindText();
  uint64_t words[kStackWords];
  const size_t count = ReadMemory(place.stack, words, sizeof(words)) / sizeof(words[0]);
  int shown = 0;
  for (size_t i = 0; i < count && shown < kMaxPlaces; ++i) {
    if (words[i] <= text.begin || words[i] >= text.end || !FollowsACall(words[i])) continue;
    line.Text(" ");
    line.Hex(words[i] - base);
    ++shown;
  }
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
  SignalSafeLine what;
  what.Text("berth-init: fatal: crash: ");
  what.Text(SignalName(number));
  if (info->si_code > 0) {
    what.Text(" at address ");
    what.Hex(reinterpret_cast<uintptr_t>(info->si_addr));
  } else {
    what.Text(" sent by a process");
  }
  AddBuildId(what);
  what.Text("; powering off\n");
  what.Write();
  SignalSafeLine where;
  where.Text("berth-init: fatal: it was at: addr2line -Cfie berth-init.debug");
  AddPlaces(where, WhereItWas(context));
  where.Text("\n");
  where.Write();
  EndMachine(ShutdownMode::kPowerOff);
}

}  // namespace

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
