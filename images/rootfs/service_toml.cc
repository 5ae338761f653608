// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/service_toml.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <charconv>
#include <sstream>

namespace berth::image {
namespace {

// RFC 3629, as strictly as toml++ reads it: no overlong forms, no surrogates.
bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t more = lead < 0x80                   ? 0
                        : lead >= 0xc2 && lead < 0xe0 ? 1
                        : lead >= 0xe0 && lead < 0xf0 ? 2
                        : lead >= 0xf0 && lead < 0xf5 ? 3
                                                      : 4;
    if (more == 4 || i + more >= text.size()) return false;
    char32_t point = more == 0 ? lead : lead & (0x3f >> more);
    for (size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3f);
    }
    constexpr char32_t kLowest[] = {0, 0x80, 0x800, 0x10000};
    if (point < kLowest[more] || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff) {
      return false;
    }
    i += more + 1;
  }
  return true;
}

Result<> AddKey(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return {};
  BERTH_ASSIGN(const std::string quoted, TomlString(value));
  out += fmt::format("{} = {}\n", key, quoted);
  return {};
}

// "SIGRTMIN+3" as a number, for berth-init knows real-time signals by no other name. Container
// runtimes count them as glibc does.
std::string StopSignalOf(std::string_view signal) {
  std::string_view left = signal;
  if (left.starts_with("SIG")) left.remove_prefix(3);
  constexpr int kRtMin = 34;
  constexpr int kRtMax = 64;
  const bool from_min = left.starts_with("RTMIN");
  if (!from_min && !left.starts_with("RTMAX")) return std::string(signal);
  left.remove_prefix(5);
  int offset = 0;
  if (!left.empty()) {
    const char* const end = left.data() + left.size();
    const bool number = left.size() > 1 && left[1] >= '0' && left[1] <= '9' &&
                        std::from_chars(left.data() + 1, end, offset).ptr == end;
    if (left[0] != (from_min ? '+' : '-') || !number) return std::string(signal);
  }
  // Beyond them it is a mistake, which --check names.
  if (offset > kRtMax - kRtMin) return std::string(signal);
  return std::to_string(from_min ? kRtMin + offset : kRtMax - offset);
}

Result<toml::table> ParseToml(std::string_view text, const char* what) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return Fail("config", EINVAL,
                fmt::format("{}:{}:{}: {}", what, error.source().begin.line,
                            error.source().begin.column, error.description()));
  }
}

bool IsMain(const toml::node& service) {
  const toml::table* const table = service.as_table();
  return table != nullptr && (*table)["main"].value_or(false);
}

}  // namespace

Result<std::string> TomlString(std::string_view text) {
  if (!IsUtf8(text)) {
    return Fail("config", EILSEQ, "'" + Quoted(text) + "' is not UTF-8",
                "give --config a [service.main] that says it otherwise");
  }
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

Result<std::string> MainService(const OciConfig& config) {
  std::vector<std::string> argv = config.entrypoint;
  argv.insert(argv.end(), config.cmd.begin(), config.cmd.end());
  if (argv.empty()) return std::string();
  std::string out = "[service.main]\n";
  BERTH_TRY(AddKey(out, "exec", argv.front()));
  if (argv.size() > 1) {
    out += "args = [";
    for (size_t i = 1; i < argv.size(); ++i) {
      BERTH_ASSIGN(const std::string quoted, TomlString(argv[i]));
      out += (i == 1 ? "" : ", ") + quoted;
    }
    out += "]\n";
  }
  const size_t colon = config.user.find(':');
  BERTH_TRY(AddKey(out, "user", config.user.substr(0, colon)));
  if (colon != std::string::npos) BERTH_TRY(AddKey(out, "group", config.user.substr(colon + 1)));
  BERTH_TRY(AddKey(out, "cwd", config.working_dir));
  BERTH_TRY(AddKey(out, "stop_signal", StopSignalOf(config.stop_signal)));
  // Its end is the machine's, as the end of a container's program is the container's.
  out += "main = true\nrestart = \"never\"\n";
  if (!config.env.empty()) {
    out += "\n[service.main.env]\n";
    std::map<std::string, std::string> last;  // of equal names the last one counts
    for (const auto& [name, value] : config.env) last[name] = value;
    for (const auto& [name, value] : last) {
      BERTH_ASSIGN(const std::string key, TomlString(name));
      BERTH_ASSIGN(const std::string quoted, TomlString(value));
      out += fmt::format("{} = {}\n", key, quoted);
    }
  }
  return out;
}

Result<std::string> MergeConfig(std::string_view text, const OciConfig& config,
                                Warnings& warnings) {
  BERTH_ASSIGN(const std::string generated, MainService(config));
  BERTH_ASSIGN(toml::table own, ParseToml(text, "init.toml"));
  toml::node* const service_node = own.get("service");
  toml::table* const services = service_node != nullptr ? service_node->as_table() : nullptr;
  toml::table* const main = services != nullptr && services->get("main") != nullptr
                                ? services->get("main")->as_table()
                                : nullptr;
  if (generated.empty()) {
    if (main == nullptr) {
      warnings.Add("the OCI image names no ENTRYPOINT or CMD: there is no main service");
    }
    return std::string(text);
  }
  if (services != nullptr && main == nullptr) {
    for (auto&& [name, service] : *services) {
      if (!IsMain(service)) continue;
      warnings.Add(
          fmt::format("service {} of the configuration is main: ENTRYPOINT and CMD of the "
                      "OCI image are left out",
                      Quoted(name.str())));
      return std::string(text);
    }
  }
  if (service_node == nullptr ||
      (services != nullptr && main == nullptr && !services->is_inline())) {
    std::string merged(text);
    if (!merged.empty() && !merged.ends_with('\n')) merged += '\n';
    if (!merged.empty()) merged += '\n';
    merged += "# From ENTRYPOINT, CMD, ENV, USER, WORKDIR and STOPSIGNAL of the OCI image.\n";
    return merged + generated;
  }
  if (services == nullptr) return std::string(text);  // a mistake that --check names
  BERTH_ASSIGN(toml::table made, ParseToml(generated, "the generated service"));
  toml::table& made_main = *made["service"]["main"].as_table();
  if (main == nullptr) {
    services->insert_or_assign("main", made_main);
  } else {
    // Whoever changes the program does not want the old one's arguments; ENV is name by name.
    if (main->contains("exec") && !main->contains("args")) made_main.erase("args");
    for (auto&& [key, value] : made_main) {
      toml::table* const own_table =
          main->get(key) != nullptr ? main->get(key)->as_table() : nullptr;
      if (!main->contains(key)) {
        main->insert(key, value);
      } else if (key.str() == "env" && own_table != nullptr) {
        for (auto&& [name, each] : *value.as_table()) own_table->insert(name, each);
      }
    }
  }
  std::ostringstream out;
  out << own << "\n";
  return out.str();
}

}  // namespace berth::image
