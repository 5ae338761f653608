// SPDX-License-Identifier: Apache-2.0
//
// The pages about init.toml and the tables of keys say the same, and the pages' examples are right.
// BERTH_UPDATE_DOCS=1 in the environment writes the reference into the pages anew.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "init/config_decode.h"
#include "init/config_keys.h"

namespace berth::init {
namespace {

using testing::IsEmpty;

std::string PathOf(std::string_view name) { return BERTH_SOURCE_DIR "/" + std::string(name); }

std::string ReadPage(std::string_view name) {
  std::ifstream file(PathOf(name));
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

void ExpectBetween(std::string_view name, std::string_view begin, std::string_view end,
                   const std::string& wanted) {
  std::string page = ReadPage(name);
  const size_t first = page.find(begin);
  ASSERT_NE(first, std::string::npos) << begin;
  const size_t from = first + begin.size();
  const size_t to = page.find(end, from);
  ASSERT_NE(to, std::string::npos) << end;
  if (getenv("BERTH_UPDATE_DOCS") != nullptr) {
    page.replace(from, to - from, wanted);
    std::ofstream(PathOf(name)) << page;
    return;
  }
  EXPECT_EQ(page.substr(from, to - from), wanted)
      << name << " is not what the table of keys says: BERTH_UPDATE_DOCS=1 writes it anew";
}

// `code` becomes *code*, and what scdoc would take for markup is none.
std::string Scdoc(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '`') {
      out += '*';
    } else {
      if (std::string_view("_*\\#[]<>").contains(c)) out += '\\';
      out += c;
    }
  }
  return out;
}

// The same rows as the Markdown's, as a list of definitions.
std::string KeysScdoc() {
  std::istringstream lines(ConfigKeysMarkdown());
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("### ")) {
      std::string title = line.substr(4);  // scdoc knows no markup in a heading
      std::erase(title, '`');
      out += "\n## " + title + "\n";
    } else if (line.starts_with("| `")) {
      std::vector<std::string> cells;
      for (size_t at = 2; at < line.size();) {
        const size_t end = line.find(" | ", at);
        const size_t stop = end == std::string::npos ? line.size() - 2 : end;
        cells.push_back(line.substr(at, stop - at));
        at = stop + 3;
      }
      EXPECT_EQ(cells.size(), 4U) << line;
      out += "\n" + Scdoc(cells[0]) + " (" + Scdoc(cells[1]);
      if (cells[2] == "needed") {
        out += ", needed";
      } else if (!cells[2].empty()) {
        out += "; default: " + Scdoc(cells[2]);
      }
      out += ")\n\t" + Scdoc(cells[3]) + "\n";
    }
  }
  return out + "\n";
}

TEST(ConfigDocs, TheReferenceIsTheTable) {
  ExpectBetween("docs/init.md", "<!-- berth-init --keys -->\n", "\n<!-- end of the keys -->",
                ConfigKeysMarkdown());
}

TEST(ConfigDocs, TheManualPageIsTheTable) {
  ExpectBetween("docs/man/berth-init.toml.5.scd", "# KEYS\n", "# EXAMPLE\n", KeysScdoc());
}

TEST(ConfigDocs, EveryExampleDecodesWithoutAMistake) {
  int examples = 0;
  for (const char* name : {"docs/init.md", "docs/man/berth-init.toml.5.scd"}) {
    const std::string page = ReadPage(name);
    const bool is_man = std::string_view(name).ends_with(".scd");
    const std::string fence = is_man ? "\n```\n" : "\n```toml\n";
    for (size_t at = 0; (at = page.find(fence, at)) != std::string::npos;) {
      at += fence.size();
      const size_t end = page.find("\n```", at);
      ASSERT_NE(end, std::string::npos);
      EXPECT_THAT(DecodeConfigText(name, page.substr(at, end - at)).mistakes, IsEmpty());
      ++examples;
      at = end + 4;
    }
  }
  EXPECT_GE(examples, 2);
}

// Each key's documented default, written out, changes nothing.
void ExpectDefaults(std::span<const ConfigKey> keys, const std::string& base) {
  const DecodedConfig without = DecodeConfigText("base", base);
  ASSERT_THAT(without.mistakes, IsEmpty()) << base;
  for (const ConfigKey& key : keys) {
    if (key.fallback.empty() || key.fallback.starts_with('(')) continue;
    const std::string text = base + std::string(key.name) + " = " + std::string(key.fallback);
    const DecodedConfig with = DecodeConfigText("with", text);
    EXPECT_THAT(with.mistakes, IsEmpty()) << text;
    EXPECT_TRUE(with.config == without.config) << text;
  }
}

std::span<const ConfigKey> KeysOf(std::span<const ConfigKey> keys, std::string_view name) {
  const auto found = std::ranges::find(keys, name, &ConfigKey::name);
  EXPECT_NE(found, keys.end()) << name;
  return found->keys;
}

TEST(ConfigDocs, EveryDefaultIsTheOneOfTheCode) {
  const auto keys = ConfigKeys();
  const auto service = KeysOf(keys, "service");
  const auto interface = KeysOf(KeysOf(keys, "network"), "interface");
  ExpectDefaults(keys, "");
  ExpectDefaults(KeysOf(keys, "mount"), "[[mount]]\ntarget='/a'\nsource='/dev/vdb'\n");
  ExpectDefaults(KeysOf(keys, "network"), "[network]\n");
  ExpectDefaults(interface, "[network.interface.eth0]\n");
  ExpectDefaults(KeysOf(interface, "routes"),
                 "[[network.interface.eth0.routes]]\nto='10.0.0.0/8'\n");
  ExpectDefaults(KeysOf(keys, "file"), "[[file]]\npath='/a'\n");
  ExpectDefaults(KeysOf(keys, "user"), "[user.u]\nuid=1\n");
  ExpectDefaults(KeysOf(keys, "health"), "[health.h]\nhttp='http://127.0.0.1/'\n");
  ExpectDefaults(KeysOf(keys, "time"), "[time]\n");
  ExpectDefaults(KeysOf(keys, "shutdown"), "[shutdown]\n");
  ExpectDefaults(KeysOf(keys, "log"), "[log]\n");
  const std::string s = "[service.s]\nexec='x'\n";
  ExpectDefaults(service, s);
  ExpectDefaults(KeysOf(service, "ready"), s + "[service.s.ready]\nport=1\n");
  ExpectDefaults(KeysOf(service, "health"), s + "[service.s.health]\nport=1\n");
  ExpectDefaults(KeysOf(service, "backoff"), s + "[service.s.backoff]\n");
  ExpectDefaults(KeysOf(service, "limits"), s + "[service.s.limits]\n");
  ExpectDefaults(KeysOf(service, "sockets"), s + "[[service.s.sockets]]\nlisten='unix:/a'\n");
}

}  // namespace
}  // namespace berth::init
