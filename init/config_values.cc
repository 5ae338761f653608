// SPDX-License-Identifier: Apache-2.0
#include "init/config_values.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <vector>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256  // Linux 5.10; musl's header is older
#endif

namespace berth::init {
namespace {

template <typename T>
struct NamedNumber {
  std::string_view name;
  T value;
};

// Decimal digits and nothing else.
std::optional<uint64_t> WholeNumber(std::string_view text, int base = 10) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// "64M": the number and the factor of its unit; nullopt where either is wrong or the product is
// more than `max`.
std::optional<uint64_t> WithUnit(std::string_view text,
                                 std::span<const NamedNumber<uint64_t>> units, uint64_t max) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = WholeNumber(text.substr(0, digits));
  const auto unit = std::ranges::find(units, text.substr(digits), &NamedNumber<uint64_t>::name);
  if (!number || unit == units.end() || *number > max / unit->value) return {};
  return *number * unit->value;
}

constexpr NamedNumber<uint64_t> kDurationUnits[] = {
    {"ms", 1}, {"s", 1'000}, {"", 1'000}, {"m", 60'000}, {"h", 3'600'000}};
constexpr NamedNumber<uint64_t> kSizeUnits[] = {
    {"", 1}, {"K", 1U << 10}, {"M", 1U << 20}, {"G", 1U << 30}, {"T", uint64_t{1} << 40}};

constexpr NamedNumber<int> kSignalNumbers[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT},    {"ABRT", SIGABRT},
    {"KILL", SIGKILL}, {"USR1", SIGUSR1},   {"USR2", SIGUSR2},    {"PIPE", SIGPIPE},
    {"ALRM", SIGALRM}, {"TERM", SIGTERM},   {"CHLD", SIGCHLD},    {"CONT", SIGCONT},
    {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN},    {"TTOU", SIGTTOU},
    {"URG", SIGURG},   {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ},    {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},        {"PWR", SIGPWR},
    {"SYS", SIGSYS},   {"TRAP", SIGTRAP},   {"ILL", SIGILL},      {"BUS", SIGBUS},
    {"FPE", SIGFPE},   {"SEGV", SIGSEGV},   {"STKFLT", SIGSTKFLT}};

// In the order of their numbers, from 0.
constexpr std::string_view kCapabilities[] = {"CHOWN",
                                              "DAC_OVERRIDE",
                                              "DAC_READ_SEARCH",
                                              "FOWNER",
                                              "FSETID",
                                              "KILL",
                                              "SETGID",
                                              "SETUID",
                                              "SETPCAP",
                                              "LINUX_IMMUTABLE",
                                              "NET_BIND_SERVICE",
                                              "NET_BROADCAST",
                                              "NET_ADMIN",
                                              "NET_RAW",
                                              "IPC_LOCK",
                                              "IPC_OWNER",
                                              "SYS_MODULE",
                                              "SYS_RAWIO",
                                              "SYS_CHROOT",
                                              "SYS_PTRACE",
                                              "SYS_PACCT",
                                              "SYS_ADMIN",
                                              "SYS_BOOT",
                                              "SYS_NICE",
                                              "SYS_RESOURCE",
                                              "SYS_TIME",
                                              "SYS_TTY_CONFIG",
                                              "MKNOD",
                                              "LEASE",
                                              "AUDIT_WRITE",
                                              "AUDIT_CONTROL",
                                              "SETFCAP",
                                              "MAC_OVERRIDE",
                                              "MAC_ADMIN",
                                              "SYSLOG",
                                              "WAKE_ALARM",
                                              "BLOCK_SUSPEND",
                                              "AUDIT_READ",
                                              "PERFMON",
                                              "BPF",
                                              "CHECKPOINT_RESTORE"};
static_assert(std::size(kCapabilities) == CAP_CHECKPOINT_RESTORE + 1);
static_assert(kCapabilities[CAP_NET_BIND_SERVICE] == "NET_BIND_SERVICE");

constexpr NamedNumber<int> kRlimits[] = {
    {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK}};

constexpr unsigned long kAtimes = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;
constexpr MountFlag kMountFlags[] = {
    {"defaults", 0, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"noatime", MS_NOATIME, kAtimes},
    {"relatime", MS_RELATIME, kAtimes},
    {"strictatime", MS_STRICTATIME, kAtimes},
    {"nodiratime", MS_NODIRATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"lazytime", 1UL << 25, 0},  // MS_LAZYTIME, which musl's header lacks
    {"nosymfollow", MS_NOSYMFOLLOW, 0},
    {"bind", MS_BIND, 0},
    {"rbind", MS_BIND | MS_REC, 0},
    {"silent", MS_SILENT, 0}};

constexpr std::string_view kNodevTypes[] = {
    "tmpfs",     "ramfs",   "proc",   "sysfs",    "devtmpfs",    "devpts",   "cgroup2",
    "cgroup",    "overlay", "mqueue", "debugfs",  "tracefs",     "configfs", "securityfs",
    "hugetlbfs", "pstore",  "bpf",    "efivarfs", "binfmt_misc", "fusectl"};

bool EqualNoCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; };
    return upper(x) == upper(y);
  });
}

bool StartsWithNoCase(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && EqualNoCase(text.substr(0, start.size()), start);
}

// Edits between two words: insert, delete, replace, swap of two neighbours.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> now(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t differs = a[i - 1] == b[j - 1] ? 0 : 1;
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + differs});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        now[j] = std::min(now[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

std::optional<uint64_t> Port(std::string_view text) {
  const auto port = WholeNumber(text);
  return port && *port >= 1 && *port <= 65535 ? port : std::nullopt;
}

}  // namespace

Parsed<Milliseconds> ParseDuration(std::string_view text) {
  const auto value = WithUnit(text, kDurationUnits, std::numeric_limits<uint32_t>::max());
  if (!value) return std::unexpected(R"(not a duration such as "500ms", "10s", "2m" or "1h")");
  return Milliseconds(*value);
}

Parsed<uint64_t> ParseSize(std::string_view text) {
  if (text.ends_with('B')) {  // "64MB", "64MiB"
    text.remove_suffix(1);
    if (text.ends_with('i')) text.remove_suffix(1);
  }
  const auto value = WithUnit(text, kSizeUnits, std::numeric_limits<int64_t>::max());
  if (!value) return std::unexpected(R"(not a size such as 4096, "64K", "64M" or "1G")");
  return *value;
}

Parsed<int> ParseSignal(std::string_view text) {
  constexpr uint64_t kLastSignal = 64;
  if (const auto number = WholeNumber(text)) {
    if (*number >= 1 && *number <= kLastSignal) return static_cast<int>(*number);
    return std::unexpected("not a signal: 1 to 64");
  }
  std::string_view name = text;
  if (StartsWithNoCase(name, "SIG")) name.remove_prefix(3);
  std::vector<std::string_view> names;
  for (const auto& signal : kSignalNumbers) {
    if (EqualNoCase(signal.name, name)) return signal.value;
    names.push_back(signal.name);
  }
  std::string upper(name);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  const std::string_view nearest = Nearest(upper, names);
  return std::unexpected(
      "not a signal such as \"SIGTERM\"" +
      (nearest.empty() ? "" : "; did you mean \"SIG" + std::string(nearest) + "\"?"));
}

std::string SignalName(int number) {
  const auto* row = std::ranges::find(kSignalNumbers, number, &NamedNumber<int>::value);
  return row != std::end(kSignalNumbers) ? "SIG" + std::string(row->name)
                                         : "signal " + std::to_string(number);
}

Parsed<mode_t> ParseMode(std::string_view text) {
  const auto mode = WholeNumber(text, 8);
  if (!mode || *mode > 07777) {
    return std::unexpected("not a mode: octal digits such as \"0644\", up to \"7777\"");
  }
  return static_cast<mode_t>(*mode);
}

Parsed<int> ParseCapability(std::string_view text) {
  std::string_view name = text;
  if (StartsWithNoCase(name, "CAP_")) name.remove_prefix(4);
  for (size_t i = 0; i < std::size(kCapabilities); ++i) {
    if (EqualNoCase(kCapabilities[i], name)) return static_cast<int>(i);
  }
  std::string upper(name);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  const std::string_view nearest = Nearest(upper, kCapabilities);
  return std::unexpected(
      "not a capability such as \"CAP_NET_ADMIN\"" +
      (nearest.empty() ? "" : "; did you mean \"CAP_" + std::string(nearest) + "\"?"));
}

Parsed<int> ParseRlimitName(std::string_view text) {
  std::vector<std::string_view> names;
  for (const auto& limit : kRlimits) {
    if (limit.name == text) return limit.value;
    names.push_back(limit.name);
  }
  return std::unexpected("not a resource limit such as nofile" + DidYouMean(text, names));
}

Parsed<rlimit> ParseRlimit(std::string_view text) {
  const auto one = [](std::string_view word) -> std::optional<rlim_t> {
    if (word == "unlimited") return RLIM_INFINITY;
    const auto value = ParseSize(word);
    if (!value) return {};
    return *value;
  };
  const size_t colon = text.find(':');
  const auto soft = one(text.substr(0, colon));
  const auto hard = colon == std::string_view::npos ? soft : one(text.substr(colon + 1));
  if (!soft || !hard) {
    return std::unexpected(R"(not a limit such as 1024, "1024:4096" (soft:hard) or "unlimited")");
  }
  if (*soft > *hard) return std::unexpected("a soft limit above the hard one");
  return rlimit{*soft, *hard};
}

Parsed<Family> ParseAddress(std::string_view text) {
  const std::string copy(text);
  in6_addr address;
  if (!text.contains('\0')) {
    if (inet_pton(AF_INET, copy.c_str(), &address) == 1) return Family::kInet;
    if (inet_pton(AF_INET6, copy.c_str(), &address) == 1) return Family::kInet6;
  }
  return std::unexpected(R"(not an address such as "10.0.0.1" or "fd00::1")");
}

Parsed<Family> ParseCidr(std::string_view text) {
  const size_t slash = text.find('/');
  const auto family = ParseAddress(text.substr(0, slash));
  if (family && slash == std::string_view::npos) {
    return std::unexpected("without a prefix length: say \"" + std::string(text) +
                           (*family == Family::kInet ? "/24\"" : "/64\""));
  }
  const auto bits =
      slash == std::string_view::npos ? std::nullopt : WholeNumber(text.substr(slash + 1));
  if (!family || !bits || *bits > (*family == Family::kInet ? 32U : 128U)) {
    return std::unexpected(R"(not an address with a prefix such as "10.0.0.2/24" or "fd00::2/64")");
  }
  return *family;
}

Parsed<bool> ParseListen(std::string_view text) {
  constexpr size_t kMaxUnixPath = 107;  // sockaddr_un
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view scheme = text.substr(0, colon);
  std::string_view rest = text.substr(std::min(colon + 1, text.size()));
  const auto wrong = std::unexpected(std::string(
      R"(not a socket such as "tcp:0.0.0.0:80", "tcp:[::]:80", "udp:…", "unix:/run/x.sock" or )"
      R"("vsock:5000")"));
  if (scheme == "unix") {
    if (!ParsePath(rest)) return wrong;
    if (rest.size() > kMaxUnixPath) return std::unexpected("a path of more than 107 bytes");
    return true;
  }
  if (scheme == "vsock") {
    const auto port = WholeNumber(rest);
    if (!port || *port >= std::numeric_limits<uint32_t>::max()) return wrong;
    constexpr uint64_t kAgentPort = 1023;
    if (*port == kAgentPort) return std::unexpected("the agent's own port");
    return false;
  }
  if (scheme != "tcp" && scheme != "udp") return wrong;
  const size_t last = rest.rfind(':');
  if (last == std::string_view::npos || !Port(rest.substr(last + 1))) return wrong;
  std::string_view address = rest.substr(0, last);
  Family wanted = Family::kInet;
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
    wanted = Family::kInet6;
  }
  const auto family = ParseAddress(address);
  if (!family || *family != wanted) return wrong;
  return false;
}

Parsed<std::string> ParsePath(std::string_view text) {
  if (!text.starts_with('/') || text.contains('\0')) {
    return std::unexpected("not an absolute path");
  }
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('/', at), text.size());
    if (text.substr(at, end - at) == "..") return std::unexpected("a path with \"..\" in it");
    at = end + 1;
  }
  return std::string(text);
}

const MountFlag* FindMountFlag(std::string_view option) {
  const auto* flag = std::ranges::find(kMountFlags, option, &MountFlag::name);
  return flag == std::end(kMountFlags) ? nullptr : flag;
}

bool IsNodevType(std::string_view type) { return std::ranges::count(kNodevTypes, type) != 0; }

std::string_view Nearest(std::string_view word, std::span<const std::string_view> candidates) {
  // Half of a short word may be wrong, a third of a long one; comparing texts without bound would
  // be a way to keep PID 1 busy.
  constexpr size_t kMaxWord = 64;
  constexpr size_t kMinBeginning = 4;
  if (word.empty() || word.size() > kMaxWord) return {};
  std::string_view best;
  size_t least = word.size() <= 4 ? 3 : word.size() / 3 + 2;
  for (const std::string_view candidate : candidates) {
    // The beginning of a longer one is near, however much is missing.
    const bool begins = word.size() >= kMinBeginning && candidate.starts_with(word);
    const size_t distance = begins ? 2 : EditDistance(word, candidate);
    if (distance < least && distance < candidate.size()) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::string DidYouMean(std::string_view word, std::span<const std::string_view> candidates) {
  const std::string_view nearest = Nearest(word, candidates);
  if (nearest.empty()) return {};
  return "; did you mean \"" + std::string(nearest) + "\"?";
}

std::string Quoted(std::string_view text) {
  constexpr size_t kMaxShown = 60;
  size_t shown = std::min(text.size(), kMaxShown);
  // Not in the middle of a character.
  while (shown < text.size() && shown > 0 && (static_cast<uint8_t>(text[shown]) & 0xC0) == 0x80) {
    --shown;
  }
  std::string out = "\"";
  for (const char c : text.substr(0, shown)) {
    out += static_cast<uint8_t>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return out + (shown < text.size() ? "…\"" : "\"");
}

}  // namespace berth::init
