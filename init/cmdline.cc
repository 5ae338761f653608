// SPDX-License-Identifier: Apache-2.0
#include "init/cmdline.h"

#include <algorithm>
#include <charconv>

namespace berth::init {
namespace {

constexpr std::string_view kBerthPrefix = "berth.";

constexpr bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void Mistake(Options& options, std::string_view key, std::string_view value,
             std::string_view wanted) {
  std::string text = "kernel command line: ";
  text += key;
  text += "=";
  text += value;
  text += ": ";
  text += wanted;
  options.mistakes.push_back(std::move(text));
}

constexpr std::string_view kTmpfs = "tmpfs";

// "tmpfs:512M", "tmpfs:25%": a size as tmpfs(5) takes it.
bool IsSizedTmpfs(std::string_view value) {
  if (!value.starts_with(kTmpfs) || !value.substr(kTmpfs.size()).starts_with(':')) return false;
  value.remove_prefix(kTmpfs.size() + 1);
  const size_t digits = std::min(value.find_first_not_of("0123456789"), value.size());
  constexpr size_t kMaxDigits = 12;
  const std::string_view unit = value.substr(digits);
  constexpr std::string_view kUnits[] = {"", "k", "K", "m", "M", "g", "G", "%"};
  return digits > 0 && digits <= kMaxDigits && std::ranges::find(kUnits, unit) != std::end(kUnits);
}

void SetOverlay(Options& options, std::string_view key, std::string_view value) {
  options.overlay_device.clear();
  options.overlay_size.clear();
  if (value == "auto") {
    options.overlay = Overlay::kAuto;
  } else if (value == "none") {
    options.overlay = Overlay::kNone;
  } else if (value == kTmpfs || IsSizedTmpfs(value)) {
    options.overlay = Overlay::kTmpfs;
    if (value != kTmpfs) options.overlay_size = value.substr(kTmpfs.size() + 1);
  } else if (value.starts_with("/dev/")) {
    options.overlay = Overlay::kDevice;
    options.overlay_device = value;
  } else {
    Mistake(options, key, value,
            "not one of auto, none, tmpfs, tmpfs:SIZE, /dev/...; auto is used");
    options.overlay = Overlay::kAuto;
  }
}

void SetRootWait(Options& options, std::string_view key, std::string_view value) {
  constexpr int kMaxSeconds = 3600;
  int seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc() || end != value.data() + value.size() || seconds < 0 ||
      seconds > kMaxSeconds) {
    Mistake(options, key, value, "not a number of seconds from 0 to 3600; 10 is used");
    return;
  }
  options.root_wait = std::chrono::seconds(seconds);
}

void AddModules(Options& options, std::string_view, std::string_view value) {
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    if (comma != 0) options.modules.emplace_back(value.substr(0, comma));
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

// Paths that PID 1 execs: a relative one would depend on a directory nobody chose.
template <std::string Options::* member>
void SetPath(Options& options, std::string_view key, std::string_view value) {
  if (!value.starts_with('/')) {
    Mistake(options, key, value, "not an absolute path; the default is used");
    return;
  }
  options.*member = value;
}

template <std::string Options::* member>
void SetText(Options& options, std::string_view, std::string_view value) {
  options.*member = value;
}

struct Key {
  std::string_view name;
  void (*apply)(Options& options, std::string_view key, std::string_view value);
};

constexpr Key kKeys[] = {
    {"root", SetText<&Options::root>},
    {"rootfstype", SetText<&Options::root_fstype>},
    {"rootflags", SetText<&Options::root_flags>},
    {"ro", [](Options& o, std::string_view, std::string_view) { o.read_only = true; }},
    {"rw", [](Options& o, std::string_view, std::string_view) { o.read_only = false; }},
    {"berth.root", SetText<&Options::root>},
    {"berth.rootfstype", SetText<&Options::root_fstype>},
    {"berth.rootflags", SetText<&Options::root_flags>},
    {"berth.rootwait", SetRootWait},
    {"berth.overlay", SetOverlay},
    {"berth.modules", AddModules},
    {"berth.init", SetPath<&Options::init>},
    {"berth.agent", SetPath<&Options::agent>},
    {"berth.timeline", [](Options& o, std::string_view, std::string_view) { o.timeline = true; }},
};

void Apply(Options& options, std::string_view word, bool berth_only) {
  const size_t equals = std::min(word.find('='), word.size());
  const std::string_view name = word.substr(0, equals);
  const std::string_view value = word.substr(std::min(equals + 1, word.size()));
  const bool is_berth = name.starts_with(kBerthPrefix);
  if (is_berth != berth_only) return;
  const auto* key = std::ranges::find(kKeys, name, &Key::name);
  if (key != std::end(kKeys)) {
    key->apply(options, name, value);
  } else if (is_berth) {
    options.config_words.emplace_back(word);
  } else if (const size_t dot = name.find('.'); dot != std::string_view::npos && dot != 0) {
    ModuleParameter parameter{std::string(name.substr(0, dot)), std::string(word.substr(dot + 1))};
    std::ranges::replace(parameter.module, '-', '_');
    options.module_parameters.push_back(std::move(parameter));
  }
}

}  // namespace

std::vector<std::string_view> EarlyKeys() {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) {
    if (key.name.starts_with(kBerthPrefix)) names.push_back(key.name.substr(kBerthPrefix.size()));
  }
  return names;
}

std::vector<std::string> CmdlineWords(std::string_view text) {
  text = text.substr(0, std::min({text.size(), kMaxCmdlineBytes, text.find('\0')}));
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  bool in_word = false;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (IsBlank(text[i]) && !quoted)) {
      if (in_word) {
        if (word == "--" || words.size() == kMaxCmdlineWords) return words;
        words.push_back(std::move(word));
      }
      word.clear();
      in_word = false;
    } else {
      in_word = true;
      if (text[i] == '"') {
        quoted = !quoted;
      } else {
        word += text[i];
      }
    }
  }
  return words;
}

Options ParseCmdline(std::string_view text) {
  const std::vector<std::string> words = CmdlineWords(text);
  Options options;
  // Two rounds: berth.root= wins over root= wherever it stands, for a boot loader may add its own.
  for (const std::string& word : words) Apply(options, word, /*berth_only=*/false);
  for (const std::string& word : words) Apply(options, word, /*berth_only=*/true);
  return options;
}

}  // namespace berth::init
