// SPDX-License-Identifier: Apache-2.0
//
// The tables of all keys of init.toml, and what else is made from them.
#ifndef BERTH_INIT_CONFIG_KEYS_H_
#define BERTH_INIT_CONFIG_KEYS_H_

#include <span>
#include <string>
#include <string_view>

#include "init/config_reader.h"

namespace berth::init {

std::span<const ConfigKey> ConfigKeys();

// The kinds of value that a path takes, for words of the command line; 0: no such key.
ConfigKinds ConfigKindsAt(std::span<const std::string_view> path);

// The reference of docs/init.md: what `berth-init --keys` prints (config_reference.cc).
std::string ConfigKeysMarkdown();

// Of [network] (config_network_keys.cc) and of [service.NAME] (config_service_keys.cc).
inline constexpr size_t kNetworkKeyCount = 4;
extern const ConfigKey kNetworkKeys[kNetworkKeyCount];
inline constexpr size_t kServiceKeyCount = 29;
extern const ConfigKey kServiceKeys[kServiceKeyCount];
void CheckService(ConfigReader& reader, const ConfigNode& node, ServiceConfig& service);
// Of [health.NAME] (config_health_keys.cc).
inline constexpr size_t kHealthCheckKeyCount = 12;
extern const ConfigKey kHealthCheckKeys[kHealthCheckKeyCount];
void ReadHealthChecks(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node,
                      void* out);

// Decodes one table and what its keys mean together. -1, or the number of the first mistake in it.
template <typename T>
int ReadUnit(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, T& value,
             void (*check)(ConfigReader&, const ConfigNode&, T&) = nullptr) {
  const size_t before = reader.mistakes();
  reader.ReadTable(node, key.keys, &value);
  if (check != nullptr) check(reader, node, value);
  if (reader.mistakes() != before) return static_cast<int>(before);
  return SyntaxMistakeIn(node);
}

// [[x]]: those without a mistake are kept.
template <auto kMember, auto kCheck>
void Tables(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  auto& list = MemberOf<kMember>(out);
  for (const ConfigNode& item : node.items) {
    if (!reader.Expect(item, kTableNode, "a table")) continue;
    typename std::remove_reference_t<decltype(list)>::value_type value;
    if (ReadUnit(reader, key, item, value, kCheck) < 0) list.push_back(std::move(value));
  }
}

// [x.NAME]: those without a mistake are kept.
template <auto kMember, auto kCheck>
void Named(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  auto& list = MemberOf<kMember>(out);
  for (const ConfigNode& item : node.items) {
    const ConfigReader::Path path(reader, item.key);
    if (!reader.Expect(item, kTableNode, "a table")) continue;
    typename std::remove_reference_t<decltype(list)>::value_type value;
    value.name = item.key;
    if (ReadUnit(reader, key, item, value, kCheck) < 0) list.push_back(std::move(value));
  }
}

}  // namespace berth::init

#endif  // BERTH_INIT_CONFIG_KEYS_H_
