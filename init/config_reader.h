// SPDX-License-Identifier: Apache-2.0
//
// How a table of keys turns a tree (config_tree.h) into values: the walk that every part of the
// configuration shares, and a reader for each type of value. A reader that finds a mistake says so
// and leaves the default; nothing stops at the first.
#ifndef BERTH_INIT_CONFIG_READER_H_
#define BERTH_INIT_CONFIG_READER_H_

#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "init/config.h"
#include "init/config_tree.h"
#include "init/config_values.h"

namespace berth::init {

class ConfigReader;

// One key: what it takes, what it is for people, and how it is decoded. docs/init.md, the
// suggestions for unknown keys and the types of command line words all come from these rows.
struct ConfigKey {
  std::string_view name;
  ConfigKinds kinds;
  std::string_view type;      // for people, with its article: "a duration"
  std::string_view fallback;  // a TOML value, or in parentheses what happens without; "": nothing
  std::string_view meaning;
  void (*decode)(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out);
  std::span<const ConfigKey> keys{};  // of the table, or of each table
  std::string_view each{};            // a table of names: what the documentation calls one, "NAME"
  ConfigKinds each_kinds = 0;         // of a table of names that hold values
  bool required = false;
};

class ConfigReader {
 public:
  ConfigReader(ConfigTree& tree, std::span<const ConfigSource> sources)
      : tree_(tree), sources_(sources) {}

  void Mistake(const ConfigPlace& place, std::string_view text);
  void Mistake(const ConfigNode& node, std::string_view text) { Mistake(node.place, text); }
  // `"value" is TEXT`.
  void Wrong(const ConfigNode& node, std::string_view text);

  // Names what is being read: "service.web.restart".
  class Path {
   public:
    Path(ConfigReader& reader, std::string_view name);
    ~Path() { reader_.path_.resize(size_); }
    Path(const Path&) = delete;
    Path& operator=(const Path&) = delete;

   private:
    ConfigReader& reader_;
    size_t size_;
  };

  // Decodes each entry of `table` by its row; unknown, mistyped and missing ones are mistakes.
  void ReadTable(const ConfigNode& table, std::span<const ConfigKey> keys, void* out,
                 std::span<const std::string_view> known_too = {});

  // Whether `node` is of one of these kinds; says what it is otherwise.
  bool Expect(const ConfigNode& node, ConfigKinds kinds, std::string_view type);

  size_t mistakes() const { return tree_.mistakes.size(); }
  // "/etc/berth/init.toml:12:7: service.web.restart: …".
  std::string Line(const ConfigMistake& mistake) const;
  std::string Line(size_t mistake) const { return Line(tree_.mistakes[mistake]); }
  const ConfigTree& tree() const { return tree_; }

  // A mistake after which nobody knows what services would run on: none of them is started.
  void BlockServices(size_t mistake) {
    if (block_ < 0) block_ = static_cast<int>(mistake);
  }
  int block() const { return block_; }

 private:
  ConfigTree& tree_;
  std::span<const ConfigSource> sources_;
  std::string path_;
  int block_ = -1;
};

// The first mistake of a syntax kind anywhere in `node`; -1: none.
int SyntaxMistakeIn(const ConfigNode& node);

// --- Readers of values. ---

void ReadBool(ConfigReader& reader, const ConfigNode& node, bool& out);
void ReadText(ConfigReader& reader, const ConfigNode& node, std::string& out);
void ReadPath(ConfigReader& reader, const ConfigNode& node, std::string& out);
void ReadTexts(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out);
void ReadNames(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out);
// A program and its arguments.
void ReadArgv(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out);
// A user's or group's name or number.
void ReadOwner(ConfigReader& reader, const ConfigNode& node, std::string& out);
void ReadOwners(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out);
void ReadMode(ConfigReader& reader, const ConfigNode& node, mode_t& out);
void ReadSignal(ConfigReader& reader, const ConfigNode& node, int& out);
void ReadSize(ConfigReader& reader, const ConfigNode& node, uint64_t& out);
void ReadEnvironment(ConfigReader& reader, const ConfigNode& node, Environment& out);
bool ReadScalar(ConfigReader& reader, const ConfigNode& node, std::string& out);

bool ReadIntegerIn(ConfigReader& reader, const ConfigNode& node, int64_t min, int64_t max,
                   int64_t& out);
template <int64_t kMin, int64_t kMax, std::integral T>
void ReadInteger(ConfigReader& reader, const ConfigNode& node, T& out) {
  static_assert(std::in_range<T>(kMin) && std::in_range<T>(kMax));
  int64_t value = 0;
  if (ReadIntegerIn(reader, node, kMin, kMax, value)) out = static_cast<T>(value);
}

void ReadDurationFrom(ConfigReader& reader, const ConfigNode& node, Milliseconds min,
                      Milliseconds& out);
template <int64_t kMinMs>
void ReadDuration(ConfigReader& reader, const ConfigNode& node, Milliseconds& out) {
  ReadDurationFrom(reader, node, Milliseconds(kMinMs), out);
}

void ReadDoubleIn(ConfigReader& reader, const ConfigNode& node, double min, double max,
                  double& out);

// One of these words, whose number in the list becomes the value.
int ReadChoice(ConfigReader& reader, const ConfigNode& node,
               std::span<const std::string_view> words);

inline constexpr ConfigKinds kScalarNodes = kStringNode | kIntegerNode | kBooleanNode;
inline constexpr ConfigKinds kDurationNodes = kStringNode | kIntegerNode;
inline constexpr ConfigKinds kListNodes = kStringNode | kArrayNode;

// A name of a service, user, interface: what can stand in a path and a line of a log.
bool IsName(std::string_view name);

// --- What rows of a table are made of. ---

template <typename>
struct MemberOwner;
template <typename Owner, typename Member>
struct MemberOwner<Member Owner::*> {
  using Type = Owner;
};
template <auto kMember>
auto& MemberOf(void* out) {
  return static_cast<typename MemberOwner<decltype(kMember)>::Type*>(out)->*kMember;
}

// A value: `kRead` puts it into the member.
template <auto kMember, auto kRead>
void Field(ConfigReader& reader, const ConfigKey&, const ConfigNode& node, void* out) {
  kRead(reader, node, MemberOf<kMember>(out));
}

// A value that takes the whole struct: one key that sets several members, or looks at others.
template <typename T, void (*kRead)(ConfigReader&, const ConfigNode&, T&)>
void Whole(ConfigReader& reader, const ConfigKey&, const ConfigNode& node, void* out) {
  kRead(reader, node, *static_cast<T*>(out));
}

// A table that is a member.
template <auto kMember>
void Part(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  reader.ReadTable(node, key.keys, &MemberOf<kMember>(out));
}

}  // namespace berth::init

#endif  // BERTH_INIT_CONFIG_READER_H_
