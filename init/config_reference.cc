// SPDX-License-Identifier: Apache-2.0
//
// The tables of keys as a page for people.
#include "init/config_keys.h"

namespace berth::init {
namespace {

void AddRows(std::string& out, std::span<const ConfigKey> keys, const std::string& prefix) {
  for (const ConfigKey& key : keys) {
    std::string name = prefix + std::string(key.name);
    if (key.keys.empty() && !key.each.empty()) name += "." + std::string(key.each);
    out += "| `" + name + "` | ";
    out += key.each_kinds != 0 && key.name != "hosts" ? "a value" : key.type;
    out += " | ";
    if (key.required) {
      out += "needed";
    } else if (key.fallback.starts_with('(')) {
      out += key.fallback.substr(1, key.fallback.size() - 2);
    } else if (!key.fallback.empty() && key.keys.empty()) {
      out += "`" + std::string(key.fallback) + "`";
    }
    out += " | " + std::string(key.meaning) + " |\n";
    if (key.keys.empty()) continue;
    if (!key.each.empty()) name += "." + std::string(key.each);
    AddRows(out, key.keys, name + ((key.kinds & kArrayNode) != 0 ? "[]." : "."));
  }
}

void AddTable(std::string& out, const std::string& title, std::span<const ConfigKey> keys) {
  if (!out.empty()) out += "\n";
  out += "### " + title + "\n\n| key | value | default | meaning |\n|---|---|---|---|\n";
  AddRows(out, keys, "");
}

}  // namespace

std::string ConfigKeysMarkdown() {
  std::string out;
  std::vector<ConfigKey> values;
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.keys.empty() && key.each.empty()) values.push_back(key);
  }
  AddTable(out, "Before the first table", values);
  for (const ConfigKey& key : ConfigKeys()) {
    const std::string name(key.name);
    if (key.keys.empty() && key.each.empty()) continue;
    if (key.keys.empty()) {
      ConfigKey row = key;
      row.name = key.each;
      row.each = {};
      AddTable(out, "`[" + name + "]`", std::span(&row, 1));
    } else if ((key.kinds & kArrayNode) != 0) {
      AddTable(out, "`[[" + name + "]]`", key.keys);
    } else {
      AddTable(out, "`[" + name + (key.each.empty() ? "" : "." + std::string(key.each)) + "]`",
               key.keys);
    }
  }
  return out;
}

}  // namespace berth::init
