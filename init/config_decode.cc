// SPDX-License-Identifier: Apache-2.0
#include "init/config_decode.h"

#include <algorithm>
#include <tuple>

#include "init/config_keys.h"
#include "init/config_reader.h"
#include "init/config_services.h"
#include "protocol/base/io.h"

namespace berth::init {
namespace {

// A text that was not TOML outside of a service: what services run on may be missing.
int SyntaxMistakeOutsideServices(const ConfigNode& root) {
  int found = root.syntax_mistake;
  for (const ConfigNode& item : root.items) {
    if (found >= 0) break;
    found = item.key == "service" ? item.syntax_mistake : SyntaxMistakeIn(item);
  }
  return found;
}

void BlockServices(Config& config, const std::string& reason) {
  for (ServiceConfig& service : config.services) {
    if (service.mistake.empty()) service.mistake = reason;
  }
}

// Before the names in `after` and `requires` are looked up: a service may wait for its address.
void AddDhcpClients(Config& config) {
  for (const InterfaceConfig& interface : config.network.interfaces) {
    const std::string name = "dhcp-" + interface.name;
    if (interface.dhcp.empty() ||
        std::ranges::count(config.services, name, &ServiceConfig::name) != 0) {
      continue;
    }
    ServiceConfig service;
    service.name = name;
    service.exec = interface.dhcp.front();
    service.args.assign(interface.dhcp.begin() + 1, interface.dhcp.end());
    service.restart.when = RestartWhen::kAlways;
    config.services.push_back(std::move(service));
  }
}

}  // namespace

DecodedConfig DecodeConfig(std::span<const ConfigSource> sources,
                           std::span<const std::string_view> known_too) {
  DecodedConfig decoded;
  ConfigTree tree = ReadConfigTree(sources, ConfigKindsAt);
  ConfigReader reader(tree, sources);
  if (const int lost = SyntaxMistakeOutsideServices(tree.root); lost >= 0) {
    reader.BlockServices(static_cast<size_t>(lost));
  }
  reader.ReadTable(tree.root, ConfigKeys(), &decoded.config, known_too);
  AddDhcpClients(decoded.config);
  CheckServices(reader, tree.root.Find("service"), decoded.config.services);
  if (reader.block() >= 0) {
    BlockServices(decoded.config, reader.Line(static_cast<size_t>(reader.block())));
  }
  std::ranges::sort(tree.mistakes, [](const ConfigMistake& a, const ConfigMistake& b) {
    return std::tie(a.place, a.text) < std::tie(b.place, b.text);
  });
  for (const ConfigMistake& mistake : tree.mistakes) {
    decoded.mistakes.push_back(reader.Line(mistake));
  }
  return decoded;
}

DecodedConfig DecodeConfigText(std::string_view name, std::string_view text) {
  const ConfigSource source{std::string(name), text, {}};
  return DecodeConfig(std::span(&source, 1));
}

ConfigFile ReadConfigFile(const char* path) {
  ConfigFile file{.name = path, .text = {}, .unread = {}};
  if (auto read = ReadFile(path, kMaxConfigBytes)) {
    file.text = std::move(*read);
  } else if (read.error().errnum != ENOENT) {
    file.unread = read.error().Message();
  }
  return file;
}

DecodedConfig LoadConfig(const Options& options, const ConfigFile& file,
                         std::string_view configure) {
  const ConfigSource sources[] = {{file.name, file.text, {}},
                                  {"kernel command line", {}, options.config_words},
                                  {"the host's Configure", configure, {}}};
  DecodedConfig decoded = DecodeConfig(sources, EarlyKeys());
  if (!file.unread.empty()) {
    BlockServices(decoded.config, file.unread);
    decoded.mistakes.insert(decoded.mistakes.begin(), file.unread);
  }
  return decoded;
}

}  // namespace berth::init
