// SPDX-License-Identifier: Apache-2.0
//
// JSON from peers and files that may hold anything: bounded before it is parsed, and read field by
// field so that every mistake is found in one pass. Pure functions on values; any thread.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_BOUNDED_JSON_H_
#define BERTH_SUPERVISOR_HYPERVISOR_BOUNDED_JSON_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace berth {

struct JsonBounds {
  size_t max_bytes;
  int max_depth = 16;
  // Each value costs a tree node some ten times its shortest text.
  size_t max_values = 4096;
};

// Parses `text` as one JSON value within the bounds, which are checked before anything is
// allocated. Step "json".
Result<nlohmann::json> ParseBounded(std::string_view text, const JsonBounds& bounds);

// Text for a peer or a file: what is not UTF-8 in it is replaced, never thrown about.
std::string DumpLine(const nlohmann::json& json);

struct FieldMistake {
  std::string field;  // "disks[1].path"; empty: the document itself
  std::string what;   // "must be an absolute path"

  friend bool operator==(const FieldMistake&, const FieldMistake&) = default;
};
using FieldMistakes = std::vector<FieldMistake>;

// Reads the fields of one object. Each call leaves `out` alone where the field is absent, and adds
// a mistake where it has the wrong type or is out of range.
class FieldReader {
 public:
  // `prefix` is put before names in mistakes: "disks[1]." or "".
  FieldReader(const nlohmann::json& object, std::string prefix, FieldMistakes& mistakes);

  void Text(std::string_view name, size_t max_bytes, std::string& out);
  void Flag(std::string_view name, bool& out);
  void Number(std::string_view name, int64_t min, int64_t max, int64_t& out);
  template <typename T>
  void Number(std::string_view name, int64_t min, int64_t max, T& out) {
    auto wide = static_cast<int64_t>(out);
    Number(name, min, max, wide);
    out = static_cast<T>(wide);
  }
  // One of `names`, as its index.
  void OneOf(std::string_view name, std::span<const std::string_view> names, size_t& out);
  // The field where it is there, not null and of that type; else nullptr.
  const nlohmann::json* Array(std::string_view name, size_t max_elements);
  const nlohmann::json* Object(std::string_view name);

  void Require(std::string_view name);
  // Adds a mistake for each field of the object that no call above has asked for.
  void RefuseUnknown();
  void Add(std::string_view name, std::string what);

 private:
  const nlohmann::json* Find(std::string_view name);

  const nlohmann::json& object_;
  const std::string prefix_;
  FieldMistakes& mistakes_;
  std::vector<std::string> known_;
};

// "vcpus: must be ...; disks[0].path: must be ..."
std::string Join(const FieldMistakes& mistakes);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_BOUNDED_JSON_H_
