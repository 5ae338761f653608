// SPDX-License-Identifier: Apache-2.0
//
// The sources of the configuration as one tree, before anything is known about what a key means:
// TOML texts and words of the kernel command line, each node with the place that it came from.
//
// Only config_tree.cc knows the TOML parser. What it makes is small and plain, so that the decoder
// compiles quickly and the memory is given back as soon as the values have been taken out.
#ifndef BERTH_INIT_CONFIG_TREE_H_
#define BERTH_INIT_CONFIG_TREE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::init {

// Deeper than any key, and shallow enough for the stack of PID 1.
inline constexpr int kMaxConfigDepth = 16;
// A dotted key nests as deep as it has dots, whatever the parser's own bound on nesting.
inline constexpr size_t kMaxDotsALine = 512;
inline constexpr size_t kMaxSyntaxMistakes = 20;  // of one source; the parser goes on that often

struct ConfigPlace {
  uint16_t source = 0;  // its number in ConfigTree::sources
  uint32_t line = 0;    // from 1; of the command line: the word's number, from 1
  uint32_t column = 0;
  auto operator<=>(const ConfigPlace&) const = default;
};

// Bits, so that a key can say which of them it takes.
enum ConfigKind : uint8_t {
  kStringNode = 1,
  kIntegerNode = 2,
  kFloatNode = 4,
  kBooleanNode = 8,
  kArrayNode = 16,
  kTableNode = 32,
  kOtherNode = 64,  // a date or a time, which no key takes
};
using ConfigKinds = uint8_t;

struct ConfigNode {
  std::string key;  // in a table
  ConfigPlace key_place;
  ConfigPlace place;  // of the value; of a table its header
  ConfigKind kind = kTableNode;
  bool boolean = false;
  int16_t syntax_mistake = -1;  // a table with a line that cannot be read: which of them
  int64_t integer = 0;
  double floating = 0;
  std::string text;
  std::vector<ConfigNode> items;  // of a table, in the order of the file, and of an array

  const ConfigNode* Find(std::string_view name) const;
};

struct ConfigMistake {
  ConfigPlace place;
  std::string text;
};

struct ConfigSource {
  std::string name;  // "/etc/berth/init.toml", "kernel command line"
  std::string_view text;
  std::vector<std::string> words;  // of a command line, in place of text: "berth.KEY=VALUE"
};

// The kinds of value that a path takes; 0 where there is no such key. A word of the command line
// has no quotes to tell "5" from 5.
using KindsAt = ConfigKinds (*)(std::span<const std::string_view> path);

struct ConfigTree {
  ConfigNode root;
  std::vector<ConfigMistake> mistakes;
  bool lost_section = false;  // a header that cannot be read: names may be missing for no fault
};

// Tables merge key by key; any other value, an array too, is replaced whole by the later source's.
ConfigTree ReadConfigTree(std::span<const ConfigSource> sources, KindsAt kinds_at);

}  // namespace berth::init

#endif  // BERTH_INIT_CONFIG_TREE_H_
