// SPDX-License-Identifier: Apache-2.0
#include "init/service_command.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "init/console.h"
#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "protocol/base/log.h"
#include "protocol/base/text.h"
#include "protocol/base/unique_fd.h"
#include "protocol/base/unix_address.h"

namespace berth::init {
namespace {

struct ServiceWord {
  std::string_view word;
  ServiceVerb verb;
  bool name_optional;
};
constexpr ServiceWord kServiceWords[] = {
    {"status", ServiceVerb::kStatus, true},  {"start", ServiceVerb::kStart, false},
    {"stop", ServiceVerb::kStop, false},     {"restart", ServiceVerb::kRestart, false},
    {"reload", ServiceVerb::kReload, false},
};

constexpr std::string_view kStateNames[] = {"inactive", "waiting", "starting", "ready",
                                            "stopping", "backoff", "done",     "failed"};
constexpr std::string_view kHealthNames[] = {"", "healthy", "unhealthy"};

// Beyond the request's own time, for PID 1 to answer.
constexpr std::chrono::seconds kAnswerWait{10};
// PID 1's own bound of an order without a timeout.
constexpr std::chrono::seconds kLongestAnswer{610};
constexpr int64_t kMaxTimeoutSeconds = 600;
constexpr size_t kMaxRows = 100'000;  // far more than there are services

std::string_view NameOf(std::span<const std::string_view> names, uint32_t value) {
  return value < names.size() ? names[value] : "?";
}

int ServiceUsage(const std::string& text) {
  Log(LogLevel::kError, kProgram, text + "; try --help");
  return kServiceUsage;
}

std::string Age(int64_t ns) {
  const int64_t seconds = std::max<int64_t>(ns, 0) / 1'000'000'000;
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 7200) return std::to_string(seconds / 60) + "m";
  if (seconds < 172'800) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86'400) + "d";
}

std::string LastEnd(const ServiceRow& row) {
  if (row.exit_signal != 0) return "signal " + std::to_string(row.exit_signal);
  if (row.exit_code >= 0) return "exit " + std::to_string(row.exit_code);
  return "-";
}

void AppendJsonString(std::string& to, std::string_view text) {
  to += '"';
  // What was cut to fit its field may end within a character.
  for (const char c : Utf8(text)) {
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      to += "\\u00";
      to += kHex[c >> 4 & 15];
      to += kHex[c & 15];
    } else {
      to += c;
    }
  }
  to += '"';
}

// Fixed arrays that came from a socket end where they end.
template <size_t N>
std::string_view Text(const char (&array)[N]) {
  return {array, strnlen(array, N)};
}

}  // namespace

bool IsServiceVerb(std::string_view word) {
  return std::ranges::find(kServiceWords, word, &ServiceWord::word) != std::end(kServiceWords);
}

std::string ServiceTable(std::span<const ServiceRow> rows, int64_t now_ns) {
  std::vector<std::vector<std::string>> table = {
      {"SERVICE", "STATE", "HEALTH", "PID", "AGE", "RESTARTS", "LAST END", "DETAIL"}};
  for (const ServiceRow& row : rows) {
    std::string state(NameOf(kStateNames, static_cast<uint32_t>(row.state)));
    if (row.state == ServiceState::kBackoff && row.restart_ns > now_ns) {
      state += " " + std::to_string((row.restart_ns - now_ns) / 1'000'000) + "ms";
    }
    const std::string_view health = NameOf(kHealthNames, static_cast<uint32_t>(row.health));
    table.push_back({std::string(Text(row.name)) + (row.main != 0 ? " (main)" : ""), state,
                     health.empty() ? "-" : std::string(health),
                     row.pid > 0 ? std::to_string(row.pid) : "-",
                     row.pid > 0 ? Age(now_ns - row.start_ns) : "-", std::to_string(row.restarts),
                     LastEnd(row), std::string(Text(row.detail))});
  }
  std::vector<size_t> widths(table[0].size(), 0);
  for (const auto& line : table) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (const auto& line : table) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      text += line[i];
      if (i + 1 < line.size()) text.append(widths[i] - line[i].size() + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    // What a service says of itself must not move the cursor of whoever looks.
    out += Printable(text) + "\n";
  }
  return out;
}

std::string ServiceJson(std::span<const ServiceRow> rows) {
  std::string out = "[";
  for (const ServiceRow& row : rows) {
    if (out.size() > 1) out += ",";
    out += "\n  {";
    auto key = [&out, first = true](std::string_view name) mutable {
      if (!first) out += ", ";
      first = false;
      AppendJsonString(out, name);
      out += ": ";
    };
    const auto text = [&](std::string_view name, std::string_view value) {
      key(name);
      AppendJsonString(out, value);
    };
    const auto number = [&](std::string_view name, int64_t value) {
      key(name);
      out += std::to_string(value);
    };
    text("name", Text(row.name));
    text("state", NameOf(kStateNames, static_cast<uint32_t>(row.state)));
    const std::string_view health = NameOf(kHealthNames, static_cast<uint32_t>(row.health));
    text("health", health.empty() ? "unknown" : health);
    number("pid", row.pid);
    number("restarts", row.restarts);
    number("exit_code", row.exit_code);
    number("exit_signal", row.exit_signal);
    key("main");
    out += row.main != 0 ? "true" : "false";
    key("oneshot");
    out += row.oneshot != 0 ? "true" : "false";
    number("wanted_ns", row.wanted_ns);
    number("start_ns", row.start_ns);
    number("ready_ns", row.ready_ns);
    number("restart_ns", row.restart_ns);
    number("first_ready_ns", row.first_ready_ns);
    text("waits_for", Text(row.waits_for));
    text("detail", Text(row.detail));
    out += "}";
  }
  out += rows.empty() ? "]\n" : "\n]\n";
  return out;
}

Result<ServiceReply> AskServices(const char* path, const ServiceRequest& request,
                                 std::string_view text, Deadline deadline) {
  BERTH_ASSIGN(const sockaddr_un address, UnixAddress("control", path));
  const UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("control", "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoError("control", path, "run it as root, in a guest whose PID 1 is berth-init");
  }
  std::string packet(reinterpret_cast<const char*>(&request), sizeof(request));
  packet += text;
  // EPIPE: PID 1 has refused us at the door, and its reason waits to be read.
  if (send(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE) {
    return ErrnoError("control", "send");
  }
  ServiceReply reply;
  for (bool reset = false;;) {
    BERTH_TRY(PollFor(fd.get(), POLLIN, deadline));
    char bytes[std::max(sizeof(ServiceRow), sizeof(ServiceAnswer))];
    const ssize_t n = recv(fd.get(), bytes, sizeof(bytes), MSG_TRUNC);
    if (n < 0 && errno == EINTR) continue;
    // Refused behind our request: the kernel tells of that first, then hands the reason out.
    if (n < 0 && errno == ECONNRESET && !std::exchange(reset, true)) continue;
    if (n < 0) return ErrnoError("control", "receive");
    if (n == 0) return Fail("control", ECONNRESET, "PID 1 has hung up without an answer");
    if (n == sizeof(ServiceRow) && reply.rows.size() < kMaxRows) {
      memcpy(&reply.rows.emplace_back(), bytes, sizeof(ServiceRow));
    } else if (n == sizeof(ServiceAnswer)) {
      memcpy(&reply.answer, bytes, sizeof(ServiceAnswer));
      return reply;
    } else {
      return Fail("control", EBADMSG, "PID 1 is another build of Berth");
    }
  }
}

int RunServiceCommand(std::span<char* const> arguments, const char* socket_path) {
  const std::string_view word = arguments[0];
  const auto* verb = std::ranges::find(kServiceWords, word, &ServiceWord::word);
  if (verb == std::end(kServiceWords)) return ServiceUsage("unknown: " + std::string(word));
  bool json = false;
  std::optional<std::string_view> name;
  std::optional<std::string_view> timeout;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--json" && verb->name_optional) {
      json = true;
    } else if (argument == "--timeout" && i + 1 < arguments.size()) {
      timeout = arguments[++i];
    } else if (argument.starts_with("--timeout=")) {
      timeout = argument.substr(10);
    } else if (!argument.starts_with('-') && !name) {
      name = argument;
    } else {
      return ServiceUsage(std::string(word) + ": unexpected " + std::string(argument));
    }
  }
  if (!name && !verb->name_optional) {
    return ServiceUsage(std::string(word) + " needs the name of a service");
  }
  ServiceRequest request{.verb = verb->verb};
  if (!name) request.verb = ServiceVerb::kList;
  if (name && name->size() >= sizeof(request.name)) {
    Log(LogLevel::kError, kProgram, "no service \"" + std::string(*name) + "\"");
    return kNoSuchService;
  }
  if (name) memcpy(request.name, name->data(), name->size());
  int64_t seconds = 0;
  if (timeout) {
    const auto [end, code] =
        std::from_chars(timeout->data(), timeout->data() + timeout->size(), seconds);
    if (code != std::errc() || end != timeout->data() + timeout->size() || seconds < 1 ||
        seconds > kMaxTimeoutSeconds) {
      return ServiceUsage("--timeout takes seconds, from 1 to 600");
    }
    request.timeout_ms = seconds * 1000;
  }
  const auto patience = seconds != 0 ? std::chrono::seconds(seconds) + kAnswerWait : kLongestAnswer;
  const auto reply = AskServices(socket_path, request, "", Deadline::In(patience));
  if (!reply) {
    Log(LogLevel::kError, kProgram, reply.error().Message());
    return kNoServer;
  }
  if (reply->answer.errnum != 0) {
    Log(LogLevel::kError, kProgram,
        std::string(word) + ": " + std::string(Text(reply->answer.message)));
    return reply->answer.errnum == ENOENT ? kNoSuchService : kServiceFailed;
  }
  if (verb->verb == ServiceVerb::kStatus) {
    PrintOut(json ? ServiceJson(reply->rows) : ServiceTable(reply->rows, MonotonicNs()));
    // A script asks about one service to know whether it is well.
    if (name && !reply->rows.empty() && reply->rows[0].state == ServiceState::kFailed) {
      return kServiceFailed;
    }
  }
  return kServiceDone;
}

}  // namespace berth::init
