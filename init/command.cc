// SPDX-License-Identifier: Apache-2.0
#include "init/command.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "init/config_check.h"
#include "init/console.h"
#include "init/service_command.h"
#include "protocol/base/log.h"
#include "protocol/base/service_control.h"

namespace berth::init {
namespace {

constexpr std::string_view kHelp =
    R"(berth-init: the first process of a microVM.

As PID 1 it takes no arguments: it reads the kernel command line (docs/init.md).
  --version            print the version
  --help               print this
  --check FILE         name every mistake in an init.toml; - is the standard input
  --keys               print the table of its keys, in Markdown
In a guest, about the services of /etc/berth/init.toml, as root:
  status [SERVICE]     what they do, as a table; --json: for programs
  start SERVICE        start it and what it requires; returns when it is ready
  stop SERVICE         returns when it has ended; it stays down
  restart SERVICE      stop, then start
  reload SERVICE       send its reload signal
    --timeout SECONDS  how long to wait for that, 1 to 600
    exit codes: 0 done, 1 failed, 2 wrong call, 3 no such service, 4 PID 1 does not answer
In a guest, about the machine:
  poweroff             end the machine, in stages
  reboot               the same, then start it anew
  halt                 the same, then stop the CPU
)";

struct Verb {
  std::string_view name;
  int signal;
};
constexpr Verb kVerbs[] = {{"poweroff", SIGUSR2}, {"reboot", SIGINT}, {"halt", SIGUSR1}};

int Usage(std::string_view text) {
  Log(LogLevel::kError, kProgram, text);
  return 2;
}

}  // namespace

int RunCommand(std::span<char* const> argv) {
  std::string_view word = argv.empty() ? "" : argv[0];
  word.remove_prefix(word.rfind('/') + 1);
  const bool by_name = std::ranges::find(kVerbs, word, &Verb::name) != std::end(kVerbs);
  if (!by_name) {
    if (argv.size() >= 2 && IsServiceVerb(argv[1])) {
      return RunServiceCommand(argv.subspan(1), kServiceSocketPath);
    }
    if (argv.size() == 3 && std::string_view(argv[1]) == "--check") return CheckConfig(argv[2]);
    if (argv.size() != 2) {
      return Usage("runs as PID 1 of a guest, and this is process " + std::to_string(getpid()) +
                   "; try --help");
    }
    word = argv[1];
  }
  if (word == "--version") {
    PrintOut("berth-init " BERTH_BUILD_ID "\n");
    return 0;
  }
  if (word == "--keys") return PrintConfigKeys();
  if (word == "--check") return Usage("--check needs one FILE; - is the standard input");
  if (word == "--help") {
    PrintOut(kHelp);
    return 0;
  }
  const auto* verb = std::ranges::find(kVerbs, word, &Verb::name);
  if (verb == std::end(kVerbs)) return Usage("unknown: " + std::string(word) + "; try --help");
  if (kill(1, verb->signal) != 0) {
    Log(LogLevel::kError, kProgram, Error{"signal", errno, "PID 1", ""}.Message());
    return 1;
  }
  return 0;
}

}  // namespace berth::init
