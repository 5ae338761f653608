// SPDX-License-Identifier: Apache-2.0
#include "init/config_reader.h"

#include <algorithm>

namespace berth::init {
namespace {

std::string Describe(const ConfigNode& node) {
  switch (node.kind) {
    case kStringNode:
      return "the text " + Quoted(node.text);
    case kIntegerNode:
      return "the integer " + std::to_string(node.integer);
    case kFloatNode:
      return "a number with a fraction";
    case kBooleanNode:
      return node.boolean ? "true" : "false";
    case kArrayNode:
      return "an array";
    case kTableNode:
      return "a table";
    case kOtherNode:
      break;
  }
  return "a date or time";
}

std::string Listed(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

std::string DurationText(Milliseconds duration) {
  const auto ms = duration.count();
  if (ms % 3'600'000 == 0 && ms != 0) return std::to_string(ms / 3'600'000) + "h";
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + "s" : std::to_string(ms) + "ms";
}

// Each text of a list; a text alone is a list of one.
template <typename Take>
void ForEachText(ConfigReader& reader, const ConfigNode& node, const Take& take) {
  if (node.kind == kStringNode) {
    take(node);
    return;
  }
  for (const ConfigNode& item : node.items) {
    if (reader.Expect(item, kStringNode, "a text")) take(item);
  }
}

bool HasNul(ConfigReader& reader, const ConfigNode& node) {
  if (!node.text.contains('\0')) return false;
  reader.Mistake(node, "a text with a NUL in it");
  return true;
}

}  // namespace

void ConfigReader::Mistake(const ConfigPlace& place, std::string_view text) {
  std::string line = path_;
  if (!line.empty()) line += ": ";
  line += text;
  tree_.mistakes.push_back({place, std::move(line)});
}

std::string ConfigReader::Line(const ConfigMistake& mistake) const {
  const ConfigSource& source = sources_[mistake.place.source];
  std::string line = source.name + ":";
  if (source.words.empty()) {
    line += std::to_string(mistake.place.line) + ":" + std::to_string(mistake.place.column) + ":";
  } else {
    const std::string word = Quoted(source.words[mistake.place.line - 1]);
    line += " " + word.substr(1, word.size() - 2) + ":";
  }
  return line + " " + mistake.text;
}

void ConfigReader::Wrong(const ConfigNode& node, std::string_view text) {
  std::string line;
  switch (node.kind) {
    case kStringNode:
      line = Quoted(node.text);
      break;
    case kIntegerNode:
      line = std::to_string(node.integer);
      break;
    default:
      line = Describe(node);
      break;
  }
  Mistake(node, line + " is " + std::string(text));
}

ConfigReader::Path::Path(ConfigReader& reader, std::string_view name)
    : reader_(reader), size_(reader.path_.size()) {
  if (!reader.path_.empty()) reader.path_ += '.';
  const std::string shown = Quoted(name);
  // As it would have to be written.
  if (std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
      })) {
    reader.path_ += shown.substr(1, shown.size() - 2);
  } else {
    reader.path_ += shown;
  }
}

bool ConfigReader::Expect(const ConfigNode& node, ConfigKinds kinds, std::string_view type) {
  if ((node.kind & kinds) != 0) return true;
  Mistake(node, "expected " + std::string(type) + ", found " + Describe(node));
  return false;
}

void ConfigReader::ReadTable(const ConfigNode& table, std::span<const ConfigKey> keys, void* out,
                             std::span<const std::string_view> known_too) {
  for (const ConfigNode& node : table.items) {
    const Path path(*this, node.key);
    const auto key = std::ranges::find(keys, node.key, &ConfigKey::name);
    if (key == keys.end()) {
      std::vector<std::string_view> names(known_too.begin(), known_too.end());
      for (const ConfigKey& known : keys) names.push_back(known.name);
      Mistake(node.key_place, "no such key" + DidYouMean(node.key, names));
    } else if (Expect(node, key->kinds, key->type)) {
      key->decode(*this, *key, node, out);
    }
  }
  for (const ConfigKey& key : keys) {
    // A line that could not be read may have been it.
    if (key.required && table.syntax_mistake < 0 && table.Find(key.name) == nullptr) {
      Mistake(table, "no \"" + std::string(key.name) + "\", which it needs");
    }
  }
}

int SyntaxMistakeIn(const ConfigNode& node) {
  int found = node.syntax_mistake;
  for (const ConfigNode& item : node.items) {
    if (found < 0) found = SyntaxMistakeIn(item);
  }
  return found;
}

void ReadBool(ConfigReader&, const ConfigNode& node, bool& out) { out = node.boolean; }

void ReadText(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  if (!HasNul(reader, node)) out = node.text;
}

void ReadPath(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  auto path = ParsePath(node.text);
  if (!path) return reader.Wrong(node, path.error());
  out = std::move(*path);
}

void ReadTexts(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out) {
  ForEachText(reader, node, [&](const ConfigNode& item) {
    if (!HasNul(reader, item)) out.push_back(item.text);
  });
}

void ReadNames(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out) {
  ForEachText(reader, node, [&](const ConfigNode& item) {
    if (!IsName(item.text)) return reader.Wrong(item, "not a name");
    if (std::ranges::count(out, item.text) != 0) return reader.Wrong(item, "named twice");
    out.push_back(item.text);
  });
}

void ReadArgv(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out) {
  const size_t before = reader.mistakes();
  ReadTexts(reader, node, out);
  if (reader.mistakes() != before) return;
  if (out.empty() || out[0].empty()) return reader.Mistake(node, "names no program");
  if (out[0].contains('/') && !out[0].starts_with('/')) {
    reader.Mistake(node, Quoted(out[0]) + " is neither an absolute path nor a bare name");
  }
}

void ReadOwner(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  if (node.kind == kIntegerNode) {
    uint32_t number = 0;
    constexpr int64_t kMaxId = UINT32_MAX - 1;  // (uid_t)-1 means "no change" to the kernel
    ReadInteger<0, kMaxId>(reader, node, number);
    out = std::to_string(number);
  } else if (!IsName(node.text)) {
    reader.Wrong(node, "not a name or number");
  } else {
    out = node.text;
  }
}

void ReadOwners(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out) {
  for (const ConfigNode& item : node.items) {
    std::string owner;
    if (!reader.Expect(item, kStringNode | kIntegerNode, "a name or number")) continue;
    ReadOwner(reader, item, owner);
    if (!owner.empty()) out.push_back(std::move(owner));
  }
}

void ReadMode(ConfigReader& reader, const ConfigNode& node, mode_t& out) {
  const auto mode = ParseMode(node.text);
  if (!mode) return reader.Wrong(node, mode.error());
  out = *mode;
}

void ReadSignal(ConfigReader& reader, const ConfigNode& node, int& out) {
  const auto signal =
      ParseSignal(node.kind == kIntegerNode ? std::to_string(node.integer) : node.text);
  if (!signal) return reader.Wrong(node, signal.error());
  out = *signal;
}

void ReadSize(ConfigReader& reader, const ConfigNode& node, uint64_t& out) {
  const auto size = ParseSize(node.kind == kIntegerNode ? std::to_string(node.integer) : node.text);
  if (!size) return reader.Wrong(node, size.error());
  out = *size;
}

bool ReadScalar(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  if (!reader.Expect(node, kScalarNodes, "a text, an integer, true or false")) return false;
  if (HasNul(reader, node)) return false;
  out = node.kind == kStringNode    ? node.text
        : node.kind == kIntegerNode ? std::to_string(node.integer)
        : node.boolean              ? "true"
                                    : "false";
  return true;
}

void ReadEnvironment(ConfigReader& reader, const ConfigNode& node, Environment& out) {
  for (const ConfigNode& item : node.items) {
    const ConfigReader::Path path(reader, item.key);
    std::string value;
    if (item.key.empty() || item.key.contains('=') || item.key.contains('\0')) {
      reader.Mistake(item.key_place, "not a name of a variable");
    } else if (ReadScalar(reader, item, value)) {
      out.emplace_back(item.key, std::move(value));
    }
  }
}

bool ReadIntegerIn(ConfigReader& reader, const ConfigNode& node, int64_t min, int64_t max,
                   int64_t& out) {
  if (node.integer < min || node.integer > max) {
    reader.Wrong(node, "not within " + std::to_string(min) + " to " + std::to_string(max));
    return false;
  }
  out = node.integer;
  return true;
}

void ReadDurationFrom(ConfigReader& reader, const ConfigNode& node, Milliseconds min,
                      Milliseconds& out) {
  const auto duration =
      ParseDuration(node.kind == kIntegerNode ? std::to_string(node.integer) : node.text);
  if (!duration) return reader.Wrong(node, duration.error());
  if (*duration < min || *duration > kMaxDuration) {
    return reader.Wrong(node,
                        "not within " + DurationText(min) + " to " + DurationText(kMaxDuration));
  }
  out = *duration;
}

void ReadDoubleIn(ConfigReader& reader, const ConfigNode& node, double min, double max,
                  double& out) {
  const double value =
      node.kind == kIntegerNode ? static_cast<double>(node.integer) : node.floating;
  if (!(value >= min && value <= max)) {  // so that a NaN is refused
    return reader.Mistake(node, "not within " + std::to_string(static_cast<int>(min)) + " to " +
                                    std::to_string(static_cast<int>(max)));
  }
  out = value;
}

int ReadChoice(ConfigReader& reader, const ConfigNode& node,
               std::span<const std::string_view> words) {
  const auto found = std::ranges::find(words, node.text);
  if (found != words.end()) return static_cast<int>(found - words.begin());
  reader.Wrong(node, "not one of " + Listed(words));
  return -1;
}

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameChars || name[0] == '-' || name[0] == '.') {
    return false;
  }
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-.@").contains(c);
  });
}

}  // namespace berth::init
