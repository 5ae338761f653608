// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/bounded_json.h"

#include <algorithm>
#include <optional>

namespace berth {
namespace {

using nlohmann::json;

// One pass over the text, counting what a parser would have to build. It need not understand JSON
// wholly: it never counts less than there is, and the parser judges the rest.
std::optional<std::string> Exceeds(std::string_view text, const JsonBounds& bounds) {
  if (text.size() > bounds.max_bytes) {
    return "longer than " + std::to_string(bounds.max_bytes) + " bytes";
  }
  int depth = 0;
  size_t values = 1;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++values;
      if (++depth > bounds.max_depth) {
        return "nested deeper than " + std::to_string(bounds.max_depth);
      }
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' || c == ':') {
      ++values;
    }
    if (values > bounds.max_values) {
      return "more than " + std::to_string(bounds.max_values) + " values";
    }
  }
  return std::nullopt;
}

}  // namespace

Result<json> ParseBounded(std::string_view text, const JsonBounds& bounds) {
  if (const auto what = Exceeds(text, bounds)) return Fail("json", E2BIG, *what);
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return Fail("json", EINVAL, "not JSON");
  return parsed;
}

std::string DumpLine(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

FieldReader::FieldReader(const json& object, std::string prefix, FieldMistakes& mistakes)
    : object_(object), prefix_(std::move(prefix)), mistakes_(mistakes) {}

void FieldReader::Add(std::string_view name, std::string what) {
  mistakes_.push_back({prefix_ + std::string(name), std::move(what)});
}

const json* FieldReader::Find(std::string_view name) {
  known_.emplace_back(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void FieldReader::Text(std::string_view name, size_t max_bytes, std::string& out) {
  const json* field = Find(name);
  if (field == nullptr) return;
  if (!field->is_string()) return Add(name, "must be a string");
  const auto& text = field->get_ref<const std::string&>();
  if (text.size() > max_bytes) {
    return Add(name, "must not be longer than " + std::to_string(max_bytes) + " bytes");
  }
  if (text.find('\0') != std::string::npos) return Add(name, "must not hold a null character");
  out = text;
}

void FieldReader::Flag(std::string_view name, bool& out) {
  const json* field = Find(name);
  if (field == nullptr) return;
  if (!field->is_boolean()) return Add(name, "must be true or false");
  out = field->get<bool>();
}

void FieldReader::Number(std::string_view name, int64_t min, int64_t max, int64_t& out) {
  const json* field = Find(name);
  if (field == nullptr) return;
  const bool fits = field->is_number_unsigned()
                        ? field->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX)
                        : field->is_number_integer();
  const int64_t value = fits ? field->get<int64_t>() : 0;
  if (!fits || value < min || value > max) {
    return Add(name,
               "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  out = value;
}

void FieldReader::OneOf(std::string_view name, std::span<const std::string_view> names,
                        size_t& out) {
  const json* field = Find(name);
  if (field == nullptr) return;
  std::string choices;
  for (size_t i = 0; i < names.size(); ++i) {
    if (field->is_string() && field->get_ref<const std::string&>() == names[i]) {
      out = i;
      return;
    }
    choices += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ");
    choices += names[i];
  }
  Add(name, "must be " + choices);
}

const json* FieldReader::Array(std::string_view name, size_t max_elements) {
  const json* field = Find(name);
  if (field == nullptr) return nullptr;
  if (!field->is_array()) {
    Add(name, "must be an array");
    return nullptr;
  }
  if (field->size() > max_elements) {
    Add(name, "must not have more than " + std::to_string(max_elements) + " elements");
    return nullptr;
  }
  return field;
}

const json* FieldReader::Object(std::string_view name) {
  const json* field = Find(name);
  if (field == nullptr) return nullptr;
  if (field->is_object()) return field;
  Add(name, "must be an object");
  return nullptr;
}

void FieldReader::Require(std::string_view name) {
  if (Find(name) == nullptr) Add(name, "is missing");
}

void FieldReader::RefuseUnknown() {
  constexpr size_t kMaxShownBytes = 64;
  for (const auto& [name, value] : object_.items()) {
    if (std::ranges::find(known_, name) == known_.end()) {
      Add(std::string_view(name).substr(0, kMaxShownBytes), "is not a known field");
    }
  }
}

std::string Join(const FieldMistakes& mistakes) {
  std::string text;
  for (const FieldMistake& mistake : mistakes) {
    if (!text.empty()) text += "; ";
    if (!mistake.field.empty()) text += mistake.field + ": ";
    text += mistake.what;
  }
  return text;
}

}  // namespace berth
