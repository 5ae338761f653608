// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/evidence.h"

#include <fmt/format.h>

#include <csignal>
#include <cstring>
#include <vector>

#include "protocol/base/text.h"

namespace berth::lifecycle {
namespace {

constexpr size_t kMaxLineBytes = 512;
constexpr int kTailLines = 4;

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

// A line of the console without the "[    1.234567] " that a kernel prints in front of its own.
std::string_view WithoutTimeStamp(std::string_view line) {
  const size_t end = line.find("] ");
  if (!line.starts_with('[') || end == std::string_view::npos ||
      line.substr(1, end - 1).find_first_not_of(" .0123456789") != std::string_view::npos) {
    return line;
  }
  return line.substr(end + 2);
}

std::string HowItExited(const shim::ExitRecord& exit) {
  if (exit.signal) {
    const char* name = sigabbrev_np(*exit.signal);
    return fmt::format("the hypervisor was ended by SIG{}", name != nullptr ? name : "?");
  }
  return fmt::format("the hypervisor ended with code {}", exit.code.value_or(-1));
}

// What else is known, behind what is certain.
std::string WithTails(std::string text, const Evidence& evidence) {
  if (auto words = LastLines(evidence.hypervisor_tail, kTailLines); !words.empty()) {
    text += "; hypervisor: " + words;
  }
  if (auto words = LastLines(evidence.console_tail, kTailLines); !words.empty()) {
    text += "; console: " + words;
  } else {
    text += "; the console is empty";
  }
  return text;
}

Fault FromShim(Kind kind, const shim::Failure& failure) {
  const Error error{"launch", failure.errnum, failure.detail, failure.hint};
  Fault fault = ToFault(kind, error);
  fault.step = failure.step;
  return fault;
}

}  // namespace

std::string ShowDuration(std::chrono::milliseconds duration) {
  if (duration.count() != 0 && duration.count() % 1000 == 0) {
    return fmt::format("{} s", duration.count() / 1000);
  }
  return fmt::format("{} ms", duration.count());
}

std::string GuestCause(std::string_view console) {
  constexpr std::string_view kInit = "berth-init: fatal: ";
  constexpr std::string_view kPanic = "Kernel panic - not syncing";
  std::string_view panic;
  for (const std::string_view line : Lines(console)) {
    const std::string_view text = WithoutTimeStamp(line);
    if (text.starts_with(kInit)) return Printable(text, kMaxLineBytes);
    if (text.starts_with(kPanic) && panic.empty()) panic = text;
  }
  return Printable(panic, kMaxLineBytes);
}

std::string LastLines(std::string_view log, int lines) {
  const auto all = Lines(log);
  std::string out;
  const size_t wanted = static_cast<size_t>(lines);
  for (size_t i = all.size() > wanted ? all.size() - wanted : 0; i < all.size(); ++i) {
    if (!out.empty()) out += " | ";
    out += Printable(all[i], kMaxLineBytes);
  }
  return out;
}

Fault ExplainStartFailure(const Instance::View& view, const Evidence& evidence, StartPhase phase,
                          std::chrono::milliseconds allowed) {
  if (view.refused) return *view.refused;
  if (view.exit && view.exit->failure) return FromShim(Kind::kStartFailed, *view.exit->failure);
  // What the guest says of itself comes before what its end looked like from outside.
  const std::string cause = GuestCause(evidence.console_tail);
  if (view.exit) {
    if (!cause.empty()) {
      return {Kind::kStartFailed, "boot", 0, cause, "see berth console for what led to it"};
    }
    return {Kind::kStartFailed, phase == StartPhase::kLaunch ? "launch" : "boot", 0,
            WithTails(HowItExited(*view.exit) + " before the guest was ready", evidence),
            "see berth console, and hypervisor.log in the VM's directory"};
  }
  if (view.lost) return *view.lost;
  if (!view.vsock_lost.empty()) {
    return {Kind::kStartFailed, "vsock-device", 0, view.vsock_lost,
            "see vsock.log in the VM's directory"};
  }
  if (phase == StartPhase::kLaunch) {
    return {Kind::kStartFailed, "launch", ETIMEDOUT,
            WithTails("the hypervisor was not up within " + ShowDuration(allowed), evidence),
            "raise timeouts_ms.launch if the host is busy"};
  }
  if (!cause.empty()) {
    return {Kind::kStartFailed, "boot", ETIMEDOUT, cause, "see berth console for what led to it"};
  }
  return {
      Kind::kStartFailed, "boot", ETIMEDOUT,
      WithTails("the guest's agent did not say Ready within " + ShowDuration(allowed), evidence),
      "see berth console; does the guest run berth-init, and has its kernel virtio-vsock? if it is "
      "only slow, raise timeouts_ms.boot (--ready-timeout)"};
}

Ending ExplainEnd(const Instance::View& view, const Evidence& evidence) {
  using enum shim::ExitReason;
  if (!view.exit) {
    return {false, view.lost.value_or(Fault{Kind::kFailed, "watch", 0, "no exit record", {}})};
  }
  const shim::ExitRecord& exit = *view.exit;
  // Any service may print what a kernel prints that panics. One that told its end before has none.
  const std::string cause = view.guest_exit ? "" : GuestCause(evidence.console_tail);
  const auto crashed = [&](std::string step, std::string detail) {
    return Ending{false, Fault{Kind::kFailed, std::move(step), 0, std::move(detail), {}}};
  };
  const auto clean = [&](std::string detail) {
    // That the host asked is the host's to say.
    if (view.guest_exit && view.guest_exit->cause != GuestExit::Cause::kHost) {
      detail += ": " + Explain(*view.guest_exit);
    }
    return Ending{true, Fault{Kind::kFailed, {}, 0, std::move(detail), {}}};
  };
  switch (exit.reason) {
    case kGuestPanic:
      return crashed("guest", cause.empty() ? "the guest's kernel panicked" : cause);
    case kGuestReset:
      // With panic=N on its command line a kernel that panicked reboots.
      if (!cause.empty()) return crashed("guest", cause);
      return clean("the guest rebooted, which ends a VM here");
    case kGuestShutdown:
      if (!cause.empty()) return crashed("guest", cause);
      return clean("the guest switched itself off");
    case kHostQmpQuit:
      return Ending{true, Fault{Kind::kFailed, {}, 0, "the hypervisor was told to quit", {}}};
    case kKilled:
      if (exit.kill_requested) return Ending{true, Fault{Kind::kFailed, {}, 0, "killed", {}}};
      return crashed("hypervisor", HowItExited(exit) + ", which nobody here sent");
    case kLaunchFailed:
      if (exit.failure) return {false, FromShim(Kind::kStartFailed, *exit.failure)};
      return crashed("launch", HowItExited(exit));
    case kCrashed:
    case kUnknown:
      break;
  }
  return crashed("hypervisor", WithTails(HowItExited(exit), evidence));
}

}  // namespace berth::lifecycle
