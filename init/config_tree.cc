// SPDX-License-Identifier: Apache-2.0
#include "init/config_tree.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <ranges>
#include <utility>

// The smallest form of toml++. Its bound on nesting is the first of two: see kMaxDotsALine.
// Where the library cannot read a double from characters (libc++ before 20), toml++ takes a
// stringstream instead, which is all of iostream and its locales: 200 KiB in PID 1 for one key.
#define TOML_FLOAT_CHARCONV 1
#define TOML_INT_CHARCONV 1
#if defined(_LIBCPP_VERSION) && _LIBCPP_VERSION < 200000
namespace std {
inline from_chars_result from_chars(const char* first, const char* last, double& value,
                                    chars_format = chars_format::general) {
  // toml++ has checked each character; a text that is too long for one is none.
  char text[64] = {};
  const auto size = static_cast<size_t>(last - first);
  if (size == 0 || size >= sizeof(text)) return {first, errc::invalid_argument};
  copy_n(first, size, text);
  char* end = text;
  value = strtod(text, &end);
  return {first + (end - text), end == text ? errc::invalid_argument : errc()};
}
}  // namespace std
#endif
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_FLOAT16 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#define TOML_ENABLE_SIMD 0
#define TOML_MAX_NESTED_VALUES 16
#include <toml++/toml.h>

namespace berth::init {
namespace {

using Lines = std::vector<std::string_view>;

Lines LinesOf(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string_view Trimmed(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

bool IsHeader(std::string_view line) { return Trimmed(line).starts_with('['); }

// Whether a line looks like the beginning of a statement. A guess, for after a mistake only.
bool BeginsStatement(std::string_view line) {
  const std::string_view text = Trimmed(line);
  if (text.starts_with('[')) return true;
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  return std::ranges::all_of(text.substr(0, equals), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_. \t\"'/").contains(c);
  });
}

// Lines [first, last) of `text` become blanks: what stands elsewhere keeps its place.
std::string WithBlanked(const std::string& text, const Lines& lines, size_t first, size_t last) {
  std::string copy = text;
  for (size_t i = first; i < std::min(last, lines.size()); ++i) {
    const auto at = static_cast<size_t>(lines[i].data() - text.data());
    std::fill_n(copy.begin() + static_cast<ptrdiff_t>(at), lines[i].size(), ' ');
  }
  return copy;
}

class TextReader {
 public:
  TextReader(ConfigTree& tree, uint16_t source) : tree_(tree), source_(source) {}

  ConfigNode Read(std::string_view original) {
    if (!Acceptable(original)) return Broken(0);
    std::string text(original);
    std::vector<std::pair<uint32_t, int16_t>> broken;  // the header's line, the mistake
    for (size_t tries = 0;; ++tries) {
      toml::parse_result parsed = toml::parse(text);
      if (parsed) {
        ConfigNode root = Take(parsed.table(), 0);
        root.place.line = 0;  // no header's
        for (const auto& [line, mistake] : broken) {
          if (!MarkBroken(root, line, mistake)) root.syntax_mistake = mistake;
        }
        return root;
      }
      const auto number = static_cast<int16_t>(tree_.mistakes.size());
      AddSyntaxMistake(parsed.error());
      if (tries + 1 == kMaxSyntaxMistakes) return Broken(number);
      uint32_t header = 0;
      if (!BlankOut(text, StopOf(parsed), header)) return Broken(number);
      broken.emplace_back(header, number);
    }
  }

 private:
  ConfigPlace At(uint32_t line, uint32_t column) const { return {source_, line, column}; }

  static ConfigNode Broken(int16_t mistake) {
    ConfigNode root;
    root.syntax_mistake = mistake;
    return root;
  }

  bool Acceptable(std::string_view text) {
    uint32_t line = 1;
    uint32_t column = 1;
    size_t dots = 0;
    for (const char c : text) {
      if (c == '\0') {
        tree_.mistakes.push_back({At(line, column), "a NUL byte: this is not a text"});
        return false;
      }
      if (c == '.' && ++dots > kMaxDotsALine) {
        tree_.mistakes.push_back(
            {At(line, column), "more than " + std::to_string(kMaxDotsALine) + " dots in a line"});
        return false;
      }
      ++column;
      if (c == '\n') {
        ++line;
        column = 1;
        dots = 0;
      }
    }
    return true;
  }

  // Where the parser stopped; past every line where it did not.
  struct Stop {
    uint32_t line = UINT32_MAX;
    uint32_t column = UINT32_MAX;
    auto operator<=>(const Stop&) const = default;
  };

  static Stop StopOf(const toml::parse_result& parsed) {
    if (parsed) return {};
    const auto& at = parsed.error().source().begin;
    return {at.line, at.column};
  }

  void AddSyntaxMistake(const toml::parse_error& error) {
    const auto& at = error.source().begin;
    std::string text(error.description());
    // "Error while parsing key: expected …": the second half is what a person needs.
    constexpr std::string_view kPrefix = "Error while parsing ";
    if (text.starts_with(kPrefix)) text.erase(0, kPrefix.size());
    if (!text.empty()) text[0] = static_cast<char>(text[0] | 0x20);  // all begin with a letter
    if (text.ends_with("could not determine value type") || text.starts_with("boolean: ")) {
      text = "not a value; a text stands in quotes";
    }
    tree_.mistakes.push_back({At(at.line, at.column), "not TOML: " + text});
  }

  // Takes what is wrong out of `text`, so that the parser gets further than `stop`; false where
  // nothing helps. `header` is the line of the section that has lost something; 0: none can be
  // named.
  bool BlankOut(std::string& text, const Stop& stop, uint32_t& header) {
    const Lines lines = LinesOf(text);
    const size_t at = std::min<size_t>(std::max(stop.line, 1U) - 1, lines.size() - 1);
    size_t end = at + 1;
    while (end < lines.size() && !IsHeader(lines[end])) ++end;
    size_t above = at;
    while (above > 0 && !IsHeader(lines[above - 1])) --above;
    header = static_cast<uint32_t>(above);  // the header's index + 1; 0 where there is none
    struct Range {
      size_t first;
      size_t last;
    };
    // The statement before this line, which may not have been closed.
    size_t before = at;
    while (before > 0 && !BeginsStatement(lines[before - 1])) --before;
    std::vector<Range> ranges;
    if (IsHeader(lines[at]) && !InsideValue(tree_.mistakes.back().text)) {
      // What follows a header that cannot be read must not land in the section above.
      ranges = {{at, end}};
      header = 0;
      tree_.lost_section = true;
    } else {
      // The line alone, or the statement before it, whichever lets the parser get further; where
      // neither does, the whole section. A header is never the one at fault here.
      if (!IsHeader(lines[at])) ranges.push_back({at, at + 1});
      if (before > 0 && !IsHeader(lines[before - 1])) ranges.push_back({before - 1, at});
      ranges.push_back({above, IsHeader(lines[at]) ? at : end});
    }
    size_t unfinished = 0;
    Stop furthest = stop;
    std::string best;
    for (const Range& range : ranges) {
      if (&range == &ranges.back() && !best.empty()) break;
      std::string copy = WithBlanked(text, lines, range.first, range.last);
      const Stop next = StopOf(toml::parse(copy));
      if (next <= furthest || (next.line == stop.line && range.first == at)) continue;
      furthest = next;
      best = std::move(copy);
      unfinished = range.last == at ? range.first + 1 : 0;
    }
    if (best.empty()) return false;
    if (unfinished != 0) {
      tree_.mistakes.back().text += "; line " + std::to_string(unfinished) + " is not finished";
    }
    text = std::move(best);
    return true;
  }

  // The parser was within a value: a line that looks like a header is none, or comes too early.
  static bool InsideValue(std::string_view text) {
    return text.contains("TOML: array") || text.contains("TOML: value") ||
           text.contains("TOML: inline table") || text.contains("TOML: not a value");
  }

  // The table whose header stands in `line` has lost a line.
  bool MarkBroken(ConfigNode& node, uint32_t line, int16_t mistake) {
    if (line == 0) return false;
    for (ConfigNode& item : node.items) {
      // The innermost: [service.web] makes "service" too, at the same place.
      if (MarkBroken(item, line, mistake)) return true;
      if (item.kind == kTableNode && item.place.line == line) {
        item.syntax_mistake = mistake;
        return true;
      }
    }
    return false;
  }

  ConfigNode Take(toml::node& node, int depth) {
    ConfigNode out;
    out.place = At(node.source().begin.line, node.source().begin.column);
    out.kind = kOtherNode;
    if (depth > kMaxConfigDepth) {
      tree_.mistakes.push_back(
          {out.place, "nested deeper than " + std::to_string(kMaxConfigDepth) + " levels"});
      return out;
    }
    if (auto* table = node.as_table()) {
      out.kind = kTableNode;
      out.items.reserve(table->size());
      for (auto&& [key, value] : *table) {
        ConfigNode item = Take(value, depth + 1);
        item.key = key.str();
        item.key_place = At(key.source().begin.line, key.source().begin.column);
        out.items.push_back(std::move(item));
      }
      // toml++ sorts by name; the file's order is that of the environment and of services.
      std::ranges::sort(out.items, {}, &ConfigNode::key_place);
    } else if (auto* array = node.as_array()) {
      out.kind = kArrayNode;
      out.items.reserve(array->size());
      for (toml::node& element : *array) out.items.push_back(Take(element, depth + 1));
    } else if (auto* text = node.as_string()) {
      out.kind = kStringNode;
      out.text = std::move(text->get());
    } else if (auto* integer = node.as_integer()) {
      out.kind = kIntegerNode;
      out.integer = integer->get();
    } else if (auto* floating = node.as_floating_point()) {
      out.kind = kFloatNode;
      out.floating = floating->get();
    } else if (auto* boolean = node.as_boolean()) {
      out.kind = kBooleanNode;
      out.boolean = boolean->get();
    }
    return out;
  }

 public:
  // "berth.service.web.restart=never" as a tree with one leaf.
  ConfigNode ReadWord(std::string_view word, uint32_t number, KindsAt kinds_at) {
    word.remove_prefix(std::min<size_t>(word.find('.') + 1, word.size()));
    const size_t equals = std::min(word.find('='), word.size());
    std::string_view path = word.substr(0, equals);
    std::vector<std::string_view> parts;
    while (true) {
      // 'eth0.100' is one part.
      const bool quoted = path.starts_with('\'') && path.find('\'', 1) != std::string_view::npos;
      size_t end = quoted ? path.find('\'', 1) + 1 : path.find('.');
      end = std::min(end, path.size());
      parts.push_back(quoted ? path.substr(1, end - 2) : path.substr(0, end));
      if (end >= path.size()) break;
      path.remove_prefix(end + (path[end] == '.' ? 1 : 0));
    }
    ConfigNode root;
    if (parts.size() > static_cast<size_t>(kMaxConfigDepth)) {
      tree_.mistakes.push_back(
          {At(number, 1), "nested deeper than " + std::to_string(kMaxConfigDepth) + " levels"});
      return root;
    }
    ConfigNode node = WordValue(word, equals, kinds_at(parts));
    Place(node, number);
    for (const std::string_view part : parts | std::views::reverse) {
      node.key = part;
      node.key_place = node.place = At(number, 1);
      ConfigNode parent;
      parent.place = At(number, 1);
      parent.items.push_back(std::move(node));
      node = std::move(parent);
    }
    return node;
  }

 private:
  // A TOML value where the key takes one of that kind, else the text as it stands.
  ConfigNode WordValue(std::string_view word, size_t equals, ConfigKinds kinds) {
    ConfigNode node;
    if (equals == word.size()) {  // no value, as "berth.service.web.main"
      node.kind = kBooleanNode;
      node.boolean = true;
      return node;
    }
    const std::string_view value = word.substr(equals + 1);
    node.kind = kStringNode;
    if (std::ranges::count(value, '.') < static_cast<ptrdiff_t>(kMaxDotsALine) &&
        !value.contains('\n')) {
      toml::parse_result parsed = toml::parse("v=" + std::string(value));
      if (parsed && parsed.table().size() == 1) {
        ConfigTree scratch;  // its mistakes would have places of their own
        ConfigNode taken = TextReader(scratch, source_).Take((*parsed.table().begin()).second, 1);
        if ((taken.kind & kinds) != 0 && scratch.mistakes.empty()) return taken;
      }
    }
    node.text = value;
    return node;
  }

  void Place(ConfigNode& node, uint32_t number) {
    node.place = node.key_place = At(number, 1);
    for (ConfigNode& item : node.items) Place(item, number);
  }

  ConfigTree& tree_;
  uint16_t source_;
};

void Merge(ConfigNode& into, ConfigNode&& from) {
  if (from.syntax_mistake >= 0) into.syntax_mistake = from.syntax_mistake;
  for (ConfigNode& item : from.items) {
    const auto same = std::ranges::find(into.items, item.key, &ConfigNode::key);
    if (same == into.items.end()) {
      into.items.push_back(std::move(item));
    } else if (same->kind == kTableNode && item.kind == kTableNode) {
      Merge(*same, std::move(item));
    } else {
      *same = std::move(item);
    }
  }
}

}  // namespace

const ConfigNode* ConfigNode::Find(std::string_view name) const {
  const auto found = std::ranges::find(items, name, &ConfigNode::key);
  return found == items.end() ? nullptr : &*found;
}

ConfigTree ReadConfigTree(std::span<const ConfigSource> sources, KindsAt kinds_at) {
  ConfigTree tree;
  for (size_t i = 0; i < sources.size(); ++i) {
    TextReader reader(tree, static_cast<uint16_t>(i));
    if (!sources[i].text.empty()) Merge(tree.root, reader.Read(sources[i].text));
    for (size_t w = 0; w < sources[i].words.size(); ++w) {
      Merge(tree.root,
            reader.ReadWord(sources[i].words[w], static_cast<uint32_t>(w + 1), kinds_at));
    }
  }
  return tree;
}

}  // namespace berth::init
