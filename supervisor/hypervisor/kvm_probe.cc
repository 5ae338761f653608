// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/kvm_probe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "protocol/base/io.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/hypervisor/kvm_guest.h"

namespace berth {
namespace {

constexpr std::array<std::string_view, 5> kStates = {"usable", "absent", "forbidden", "too-slow",
                                                     "broken"};

constexpr const char* kSlowHint =
    "this machine emulates KVM; use accel=tcg (accel=auto does), or enable nested virtualisation";

std::string Milliseconds(std::chrono::nanoseconds time) {
  const auto tenths = std::chrono::duration_cast<std::chrono::microseconds>(time).count() / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

KvmProbe OfFailedStep(const KvmGuestReport& report, const std::string& device) {
  KvmProbe probe;
  const std::string what = report.step + std::string(": ") + ErrnoName(report.errnum);
  if (std::strcmp(report.step, "open") != 0) {
    probe.state = KvmState::kBroken;
    probe.text = device + " opens, but does not run a guest: " + what;
    probe.hint = "see dmesg for kvm; use accel=tcg meanwhile";
  } else if (report.errnum == EACCES || report.errnum == EPERM) {
    probe.state = KvmState::kForbidden;
    probe.text = "this user may not open " + device + ": " + ErrnoName(report.errnum);
    probe.hint = "run as root or join the group that owns " + device + " (usually kvm)";
  } else {
    probe.state = KvmState::kAbsent;
    probe.text = "no KVM: " + device + ": " + ErrnoName(report.errnum);
    probe.hint =
        "load kvm_intel or kvm_amd and enable virtualisation in the firmware, or use accel=tcg";
  }
  return probe;
}

KvmProbe OfFinishedRun(const KvmGuestReport& report, const std::string& device) {
  KvmProbe probe;
  probe.instructions = report.instructions;
  probe.run_time = std::chrono::nanoseconds(report.best_run_ns);
  const std::string numbers =
      std::to_string(report.instructions) + " instructions in " + Milliseconds(probe.run_time);
  if (!report.result_right) {
    probe.state = KvmState::kBroken;
    probe.text = device + " computes wrongly: " + numbers + ", and the result is not what it is";
    probe.hint = "do not use KVM on this machine; use accel=tcg";
  } else if (probe.run_time > kKvmMaxPerInstruction * static_cast<int64_t>(report.instructions)) {
    probe.state = KvmState::kTooSlow;
    probe.text = device + " is emulated: " + numbers + ", over " +
                 std::to_string(kKvmMaxPerInstruction.count()) + " ns each";
    probe.hint = kSlowHint;
  } else {
    probe.state = KvmState::kUsable;
    probe.text = device + " works: " + numbers;
  }
  return probe;
}

KvmProbe OfTimeout(const std::string& device, std::chrono::milliseconds timeout) {
  KvmProbe probe;
  probe.state = KvmState::kTooSlow;
  probe.text = device + " is emulated or stuck: " + std::to_string(KvmGuestInstructions()) +
               " instructions did not end within " + std::to_string(timeout.count()) + " ms";
  probe.hint = kSlowHint;
  return probe;
}

}  // namespace

std::string_view Name(KvmState state) { return kStates[static_cast<size_t>(state)]; }

KvmProbe ProbeKvm(std::chrono::milliseconds timeout, const char* device) {
  const auto broken = [](const char* step) {
    KvmProbe probe;
    probe.state = KvmState::kBroken;
    probe.text = std::string("the probe could not run: ") + step + ": " + ErrnoName(errno);
    return probe;
  };
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return broken("pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  // A process of its own, since KVM_RUN returns early only for a signal, and SIGKILL needs no
  // handler in a program that has threads. RunKvmGuest is async-signal-safe.
  const pid_t pid = fork();
  if (pid < 0) return broken("fork");
  if (pid == 0) {
    const KvmGuestReport report = RunKvmGuest(device);
    [[maybe_unused]] const ssize_t n = write(write_end.get(), &report, sizeof(report));
    _exit(0);
  }
  write_end.Reset();
  KvmGuestReport report;
  const auto got = ReadFull(read_end.get(), std::as_writable_bytes(std::span(&report, 1)),
                            Deadline::In(timeout));
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (!got) {
    if (got.error().errnum == ETIMEDOUT) return OfTimeout(device, timeout);
    errno = got.error().errnum;
    return broken("the child that runs the guest died");
  }
  if (report.step[0] != '\0') return OfFailedStep(report, device);
  return OfFinishedRun(report, device);
}

Result<AccelChoice> ChooseAccel(Accel asked, const KvmProbe& probe) {
  const bool usable = probe.state == KvmState::kUsable;
  switch (asked) {
    case Accel::kTcg:
      return AccelChoice{Accel::kTcg, "asked for"};
    case Accel::kKvm:
      if (usable) return AccelChoice{Accel::kKvm, "asked for; " + probe.text};
      return Fail("accel", 0,
                  "accel=kvm was asked for, and KVM is " + std::string(Name(probe.state)) + ": " +
                      probe.text,
                  probe.hint);
    case Accel::kAuto:
      break;
  }
  return AccelChoice{usable ? Accel::kKvm : Accel::kTcg, probe.text};
}

}  // namespace berth
