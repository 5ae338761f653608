// SPDX-License-Identifier: Apache-2.0
#include "init/modules.h"

#include <algorithm>
#include <charconv>

namespace berth::init {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr int kMaxDepth = 64;  // the longest chain in a distribution's kernel is below 10

// Takes the next word off `text`; empty at its end.
std::string_view TakeWord(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  const size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

Result<ModuleRow> ParseRow(std::string_view line) {
  constexpr std::string_view kWhen = "when=";
  constexpr std::string_view kVirtio = "virtio:";
  ModuleRow row;
  row.name = ModuleName(TakeWord(line));
  const std::string_view condition = TakeWord(line);
  if (!TakeWord(line).empty()) return Fail("modules-load", EINVAL, "more than two words");
  if (condition.empty()) return row;
  if (!condition.starts_with(kWhen)) {
    return Fail("modules-load", EINVAL, "\"" + std::string(condition) + "\" is not when=...");
  }
  const std::string_view value = condition.substr(kWhen.size());
  if (value.starts_with('/')) {
    row.when = ModuleRow::When::kPathExists;
    row.path = value;
    return row;
  }
  if (value.starts_with(kVirtio)) {
    const std::string_view number = value.substr(kVirtio.size());
    const char* end = number.data() + number.size();
    const auto [at, error] = std::from_chars(number.data(), end, row.virtio);
    if (error == std::errc() && at == end) {
      row.when = ModuleRow::When::kVirtioDevice;
      return row;
    }
  }
  return Fail("modules-load", EINVAL,
              "when=" + std::string(value) + " is neither when=/path nor when=virtio:NUMBER");
}

}  // namespace

std::string ModuleName(std::string_view path) {
  path.remove_prefix(path.rfind('/') + 1);  // npos + 1 is 0
  std::string name(path.substr(0, path.find('.')));
  std::ranges::replace(name, '-', '_');
  return name;
}

Result<ModuleIndex> ModuleIndex::Parse(std::string dep_text, std::string_view builtin_text) {
  if (dep_text.size() > kMaxModulesDepBytes || builtin_text.size() > kMaxModulesDepBytes) {
    return Fail("modules-dep", EFBIG, "modules.dep or modules.builtin is over 4 MiB");
  }
  ModuleIndex index;
  index.text_.assign(dep_text.begin(), dep_text.end());
  std::string_view rest(index.text_.data(), index.text_.size());
  while (!rest.empty()) {
    std::string_view line = TakeLine(rest);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) continue;
    if (index.modules_.size() == kMaxModules) {
      return Fail("modules-dep", E2BIG, "modules.dep has over 20000 modules");
    }
    const std::string_view path = line.substr(0, colon);
    index.modules_.push_back({ModuleName(path), path, line.substr(colon + 1)});
  }
  std::ranges::sort(index.modules_, {}, &Module::name);
  while (!builtin_text.empty()) {
    std::string name = ModuleName(TakeLine(builtin_text));
    if (name.empty()) continue;
    if (index.builtin_.size() == kMaxModules) {
      return Fail("modules-dep", E2BIG, "modules.builtin has over 20000 modules");
    }
    index.builtin_.push_back(std::move(name));
  }
  std::ranges::sort(index.builtin_);
  return index;
}

const ModuleIndex::Module* ModuleIndex::Find(std::string_view name) const {
  const auto at = std::ranges::lower_bound(modules_, name, {}, &Module::name);
  return at != modules_.end() && at->name == name ? &*at : nullptr;
}

Result<> ModuleIndex::Visit(const Module& module, std::vector<Mark>& marks, int depth,
                            std::vector<std::string>& order) const {
  Mark& mark = marks[static_cast<size_t>(&module - modules_.data())];
  if (mark == Mark::kDone) return {};
  if (mark == Mark::kOpen || depth == kMaxDepth) {
    return Fail("modules-dep", ELOOP, "module " + module.name + " depends on itself",
                "run depmod for this kernel again");
  }
  mark = Mark::kOpen;
  std::string_view needs = module.needs;
  for (std::string_view path = TakeWord(needs); !path.empty(); path = TakeWord(needs)) {
    const Module* needed = Find(ModuleName(path));
    if (needed == nullptr) {
      return Fail("modules-dep", ENOENT,
                  "module " + module.name + " needs " + std::string(path) +
                      ", which modules.dep does not list");
    }
    BERTH_TRY(Visit(*needed, marks, depth + 1, order));
  }
  mark = Mark::kDone;
  order.emplace_back(module.path);
  return {};
}

Result<std::vector<std::string>> ModuleIndex::LoadOrder(std::string_view name) const {
  const std::string wanted = ModuleName(name);
  const Module* module = Find(wanted);
  std::vector<std::string> order;
  if (module == nullptr) {
    if (std::ranges::binary_search(builtin_, wanted)) return order;
    return Fail("modules-dep", ENOENT,
                "module " + wanted + " is neither in modules.dep nor built in");
  }
  std::vector<Mark> marks(modules_.size(), Mark::kNew);
  BERTH_TRY(Visit(*module, marks, 0, order));
  return order;
}

Result<std::vector<ModuleRow>> ParseModulesLoad(std::string_view text) {
  if (text.size() > kMaxModulesLoadBytes) {
    return Fail("modules-load", EFBIG, "the list is over 64 KiB");
  }
  std::vector<ModuleRow> rows;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = TakeLine(text);
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(kBlanks) == std::string_view::npos) continue;
    auto row = ParseRow(line);
    if (!row) {
      return Fail("modules-load", EINVAL,
                  "line " + std::to_string(number) + ": " + row.error().detail);
    }
    rows.push_back(std::move(*row));
  }
  return rows;
}

}  // namespace berth::init
