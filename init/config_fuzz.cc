// SPDX-License-Identifier: Apache-2.0
//
// The sources of the configuration, parted by null bytes: the file, words of the command line by
// line, and what the host sends. Any bytes.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "init/config_decode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace berth::init;  // NOLINT(google-build-using-namespace)
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto take = [&rest](char separator) {
    const size_t end = std::min(rest.find(separator), rest.size());
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
  };
  const std::string_view file = take('\0');
  const std::string_view words = take('\0');
  const Options options = ParseCmdline(words);
  const ConfigSource sources[] = {
      {"file", file, {}}, {"words", {}, options.config_words}, {"host", rest, {}}};
  const DecodedConfig decoded = DecodeConfig(sources, EarlyKeys());
  const Config& config = decoded.config;
  if (config.services.size() > kMaxServices) std::abort();
  // What PID 1 relies on, whatever the texts.
  std::set<std::string> before;
  bool main = false;
  for (const ServiceConfig& service : config.services) {
    if (!service.mistake.empty()) {
      before.insert(service.name);
      continue;
    }
    if (service.exec.empty() || service.cwd.empty() || service.cwd[0] != '/') std::abort();
    if (service.main && std::exchange(main, true)) std::abort();
    for (const std::string& name : service.after) {
      if (!before.contains(name)) std::abort();
    }
    for (const std::string& name : service.requires_) {
      if (!before.contains(name)) std::abort();
    }
    before.insert(service.name);
  }
  for (const MountConfig& mount : config.mounts) {
    if (mount.target.size() < 2 || mount.target[0] != '/') std::abort();
  }
  for (const std::string& mistake : decoded.mistakes) {
    if (mistake.find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
