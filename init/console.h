// SPDX-License-Identifier: Apache-2.0
//
// What PID 1 says on the console, and its last resort: end the machine, so that whoever waits for
// it sees it end and can read why.
#ifndef BERTH_INIT_CONSOLE_H_
#define BERTH_INIT_CONSOLE_H_

#include <string_view>

#include "protocol/base/control.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"

namespace berth::init {

inline constexpr const char* kProgram = "berth-init";

// Makes /dev/console stdout and stderr, and /dev/null stdin. The console does not block: a host
// that stops reading it loses lines, it does not stop PID 1.
void OpenConsole();

// Lines below `level` are left out from now on.
void SetConsoleLevel(LogLevel level);

void Say(LogLevel level, std::string_view text);
inline void Info(std::string_view text) { Say(LogLevel::kInfo, text); }
inline void Warn(std::string_view text) { Say(LogLevel::kWarning, text); }
inline void Warn(const Error& error) { Warn(error.Message()); }

// To stdout, as an ordinary program. Where that is gone there is nobody to tell.
void PrintOut(std::string_view text);

// Says "berth-init: fatal: ..." on the console and powers the machine off.
[[noreturn]] void Fatal(const Error& error);

// reboot(2), with no sync before it. Async-signal-safe. Never returns: where the kernel cannot end
// the machine, PID 1 waits for the host to do it.
[[noreturn]] void EndMachine(ShutdownMode mode);

}  // namespace berth::init

#endif  // BERTH_INIT_CONSOLE_H_
