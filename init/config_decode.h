// SPDX-License-Identifier: Apache-2.0
//
// From texts to a Config, with every mistake at once.
//
// Three sources, of which the later one wins: /etc/berth/init.toml, the kernel command line
// (`berth.KEY=VALUE`), the host's Configure. They are merged as trees before anything is decoded:
// tables key by key, any other value (an array too) whole. So no key is a special case.
//
// What a mistake does at boot. `berth-init --check` refuses the whole file, and so does the tool
// that builds an image; a guest that boots all the same keeps going as far as it is safe, for a
// machine that is up can be looked at:
//   - every mistake is said on the console, and the agent starts;
//   - a service with a mistake in it is not started: ServiceConfig::mistake is the reason to show;
//   - a mount, file, user or interface with a mistake in it is left out, and any other value with
//     one keeps its default;
//   - no service starts where nobody knows what it would run on: a mount that is fatal was left
//     out, or a text was not TOML outside of the sections of services.
#ifndef BERTH_INIT_CONFIG_DECODE_H_
#define BERTH_INIT_CONFIG_DECODE_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "init/cmdline.h"
#include "init/config.h"
#include "init/config_tree.h"
#include "protocol/base/result.h"

namespace berth::init {

struct DecodedConfig {
  Config config;
  std::vector<std::string> mistakes;  // in the order of the sources, each by line and column
};

// `known_too`: top-level names of other keys, to suggest for an unknown one.
DecodedConfig DecodeConfig(std::span<const ConfigSource> sources,
                           std::span<const std::string_view> known_too = {});

// One text, as `--check` sees it.
DecodedConfig DecodeConfigText(std::string_view name, std::string_view text);

// The image's init.toml. One that is missing is an empty one; one that cannot be read is a mistake
// that lets no service start.
struct ConfigFile {
  std::string name;
  std::string text;
  std::string unread;  // why it could not be read
};
ConfigFile ReadConfigFile(const char* path = kConfigPath);

// What PID 1 boots with, and what becomes of it once the host's text has come (`configure`).
DecodedConfig LoadConfig(const Options& options, const ConfigFile& file,
                         std::string_view configure);

}  // namespace berth::init

#endif  // BERTH_INIT_CONFIG_DECODE_H_
