// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/guest_exit.h"

#include <fmt/format.h>

#include <array>
#include <csignal>
#include <cstring>

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::lifecycle {
namespace {

using enum GuestExit::Cause;
using v1::GuestEvent;

constexpr std::array<std::string_view, 3> kModes = {"power-off", "reboot", "halt"};
constexpr std::array<std::string_view, 4> kCauses = {"host", "main", "signal", "crash-loop"};
constexpr uint32_t kMaxExitCode = 255;

std::string SignalName(uint32_t signal) {
  const char* name = sigabbrev_np(static_cast<int>(signal));
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

}  // namespace

std::string_view Name(GuestExit::Mode mode) { return kModes[static_cast<size_t>(mode)]; }
std::string_view Name(GuestExit::Cause cause) { return kCauses[static_cast<size_t>(cause)]; }

std::optional<GuestExit> FromClaim(const GuestEvent::GoingDown& down) {
  static_assert(v1::Shutdown::HALT + 1 == kModes.size());
  static_assert(GuestEvent::GoingDown::CRASH_LOOP == kCauses.size());
  if (!v1::Shutdown::Mode_IsValid(down.mode()) ||
      !GuestEvent::GoingDown::Cause_IsValid(down.cause()) ||
      down.cause() == GuestEvent::GoingDown::CAUSE_NONE ||
      down.name().size() > wire::kMaxServiceNameBytes) {
    return std::nullopt;
  }
  GuestExit exit;
  exit.mode = static_cast<GuestExit::Mode>(down.mode());
  exit.cause = static_cast<GuestExit::Cause>(down.cause() - 1);
  exit.name = Printable(down.name(), wire::kMaxServiceNameBytes);
  if (exit.cause == kMain && down.has_code()) {
    if (down.code() > kMaxExitCode) return std::nullopt;
    exit.code = down.code();
  }
  if (exit.cause == kMain && down.has_signal()) {
    if (down.signal() == 0 || down.signal() > wire::kMaxSignal) return std::nullopt;
    exit.signal = down.signal();
  }
  return exit;
}

std::string Explain(const GuestExit& exit) {
  switch (exit.cause) {
    case kHost:
      return "it was asked to by the host";
    case kMain:
      if (exit.signal) {
        return fmt::format("its main service {} was ended by {}", exit.name,
                           SignalName(*exit.signal));
      }
      if (exit.code) {
        return fmt::format("its main service {} ended with exit code {}", exit.name, *exit.code);
      }
      return fmt::format("its main service {} ended", exit.name);
    case kSignal:
      return fmt::format("it was asked to by {} inside", exit.name);
    case kCrashLoop:
      return fmt::format("its service {} crashed again and again", exit.name);
  }
  return {};
}

}  // namespace berth::lifecycle
