// SPDX-License-Identifier: Apache-2.0
#include "init/config_check.h"

#include <unistd.h>

#include <string>

#include "init/config_decode.h"
#include "init/config_keys.h"
#include "init/console.h"
#include "protocol/base/io.h"
#include "protocol/base/log.h"

namespace berth::init {
namespace {

constexpr auto kWriteTimeout = std::chrono::minutes(1);  // a pager may be what reads

void WriteOut(std::string_view text) {
  // Nobody reads on: the exit code still says it.
  [[maybe_unused]] const auto written = WriteFull(STDOUT_FILENO, text, Deadline::In(kWriteTimeout));
}

}  // namespace

int CheckConfig(const char* file) {
  const bool is_stdin = std::string_view(file) == "-";
  const std::string name = is_stdin ? "standard input" : file;
  auto text = ReadFile(is_stdin ? "/dev/stdin" : file, kMaxConfigBytes);
  if (!text) {
    Error error = std::move(text.error());
    if (error.errnum == EFBIG) {
      error.hint = "an init.toml has at most " + std::to_string(kMaxConfigBytes / 1024) + " KiB";
    } else if (error.errnum == EISDIR) {
      error.hint = "name the file in it";
    }
    Log(LogLevel::kError, kProgram, error.Message());
    return 2;
  }
  const DecodedConfig decoded = DecodeConfigText(name, *text);
  std::string out;
  for (const std::string& mistake : decoded.mistakes) out += mistake + "\n";
  if (decoded.mistakes.empty()) {
    const size_t services = decoded.config.services.size();
    out = name + ": no mistakes, " + std::to_string(services) +
          (services == 1 ? " service\n" : " services\n");
  }
  WriteOut(out);
  return decoded.mistakes.empty() ? 0 : 1;
}

int PrintConfigKeys() {
  WriteOut(ConfigKeysMarkdown());
  return 0;
}

}  // namespace berth::init
