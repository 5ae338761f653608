// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/agent_settings.h"

#include <arpa/inet.h>

#include <algorithm>
#include <concepts>

#include "protocol/base/parse.h"

namespace berth {
namespace {

constexpr size_t kMaxDecodedTexts = kMaxHealthChecks * (kMaxHealthArgs + 16);

std::unexpected<Error> Wrong(std::string what) { return Fail("health", EINVAL, std::move(what)); }

template <std::integral T>
bool ParseNumber(std::string_view text, T& out) {
  const auto value = WholeNumber<T>(text);
  if (value) out = *value;
  return value.has_value();
}

bool IsAddress(const std::string& text) {
  in6_addr any = {};
  return inet_pton(AF_INET, text.c_str(), &any) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &any) == 1;
}

// Into the request line and its Host header: nothing that could end them.
bool IsUrlText(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
}

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<> ValidateTarget(const HealthCheck& check) {
  if (check.target.size() > kMaxHealthTargetBytes || HasNul(check.target)) {
    return Wrong("its target is over " + std::to_string(kMaxHealthTargetBytes) + " bytes");
  }
  switch (check.kind) {
    case HealthKind::kExec: {
      size_t bytes = 0;
      for (const std::string& each : check.exec) {
        bytes += each.size() + 1;
        if (HasNul(each)) return Wrong("exec holds a null byte");
      }
      if (check.exec.empty() || check.exec[0].empty()) return Wrong("exec names no program");
      if (check.exec.size() > kMaxHealthArgs || bytes > kMaxHealthArgsBytes) {
        return Wrong("exec is over " + std::to_string(kMaxHealthArgs) + " texts or " +
                     std::to_string(kMaxHealthArgsBytes) + " bytes");
      }
      return {};
    }
    case HealthKind::kTcp:
      BERTH_TRY(ParseTcpTarget(check.target));
      return {};
    case HealthKind::kHttp:
      BERTH_TRY(ParseHttpTarget(check.target));
      // sun_path less its null.
      if (!check.socket.empty() &&
          (check.socket[0] != '/' || check.socket.size() > 107 || HasNul(check.socket))) {
        return Wrong("socket is not an absolute path of at most 107 bytes");
      }
      if (check.status_min < 100 || check.status_max > 599 || check.status_min > check.status_max) {
        return Wrong("status is not a range within 100 to 599");
      }
      if (check.body.size() > kMaxHealthBodyBytes || HasNul(check.body)) {
        return Wrong("body is over " + std::to_string(kMaxHealthBodyBytes) + " bytes");
      }
      return {};
    case HealthKind::kFile:
      if (!check.target.starts_with('/')) return Wrong("file is not an absolute path");
      return {};
  }
  return Wrong("its kind is not known");
}

void Put(std::string& out, std::string_view key, std::string_view value) {
  out += key;
  out += '=';
  out += value;
  out += '\0';
}

constexpr std::string_view kKinds[] = {"exec", "tcp", "http", "file"};

// One text of a check.
bool TakeText(HealthCheck& check, std::string_view key, std::string_view value) {
  if (key == "kind") {
    const auto* const found = std::ranges::find(kKinds, value);
    check.kind = static_cast<HealthKind>(found - std::begin(kKinds));
    return found != std::end(kKinds);
  }
  if (key == "arg") {
    check.exec.emplace_back(value);
    return check.exec.size() <= kMaxHealthArgs;
  }
  struct Text {
    std::string_view key;
    std::string HealthCheck::* field;
  };
  constexpr Text kTexts[] = {{"target", &HealthCheck::target},
                             {"socket", &HealthCheck::socket},
                             {"body", &HealthCheck::body}};
  for (const Text& each : kTexts) {
    if (each.key == key) {
      check.*each.field = value;
      return true;
    }
  }
  if (key == "status_min") return ParseNumber(value, check.status_min);
  if (key == "status_max") return ParseNumber(value, check.status_max);
  if (key == "interval_ms") return ParseNumber(value, check.interval_ms);
  if (key == "timeout_ms") return ParseNumber(value, check.timeout_ms);
  if (key == "start_period_ms") return ParseNumber(value, check.start_period_ms);
  if (key == "healthy_after") return ParseNumber(value, check.healthy_after);
  if (key == "unhealthy_after") return ParseNumber(value, check.unhealthy_after);
  return false;
}

}  // namespace

bool IsHealthName(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= kMaxHealthNameBytes && std::ranges::all_of(name, fits) &&
         name[0] != '.' && name != "agent";
}

Result<> Validate(const HealthCheck& check) {
  if (!IsHealthName(check.name)) {
    return Wrong("not a name of a check: letters, digits, _ - ., up to " +
                 std::to_string(kMaxHealthNameBytes) + ", and not \"agent\"");
  }
  BERTH_TRY(ValidateTarget(check));
  if (check.interval_ms < kMinHealthMs || check.interval_ms > kMaxHealthMs ||
      check.timeout_ms < kMinHealthMs || check.timeout_ms > kMaxHealthMs ||
      check.start_period_ms < 0 || check.start_period_ms > kMaxHealthMs) {
    return Wrong("interval and timeout are from 10 ms to 24 h, start_period is up to 24 h");
  }
  if (check.healthy_after < 1 || check.healthy_after > kMaxHealthRow || check.unhealthy_after < 1 ||
      check.unhealthy_after > kMaxHealthRow) {
    return Wrong("healthy_after and unhealthy_after are from 1 to 1000");
  }
  return {};
}

Result<TcpTarget> ParseTcpTarget(std::string_view text) {
  TcpTarget target{.address = "127.0.0.1"};
  std::string_view port = text;
  if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    std::string_view address = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (address.starts_with('[') && address.ends_with(']')) {
      address = address.substr(1, address.size() - 2);
    }
    if (!address.empty() && address != "localhost") target.address = address;
  }
  if (!ParseNumber(port, target.port) || target.port == 0 || !IsAddress(target.address)) {
    return Wrong("not ADDRESS:PORT with an IP address: 127.0.0.1:80, [::1]:80");
  }
  return target;
}

Result<HttpTarget> ParseHttpTarget(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme) || !IsUrlText(url)) {
    return Wrong("not a URL such as http://127.0.0.1:8080/healthz");
  }
  url.remove_prefix(kScheme.size());
  const size_t slash = std::min(url.find('/'), url.size());
  HttpTarget target;
  target.host = url.substr(0, slash);
  target.path = slash < url.size() ? std::string(url.substr(slash)) : "/";
  if (target.host.empty() || target.path.contains('#')) {
    return Wrong("not a URL such as http://127.0.0.1:8080/healthz");
  }
  const size_t colon = target.host.rfind(':');
  const bool has_port = colon != std::string::npos && !target.host.ends_with(']');
  BERTH_ASSIGN(target.tcp, ParseTcpTarget(has_port ? target.host : target.host + ":80"));
  return target;
}

Result<> ParseHttpStatus(std::string_view text, HealthCheck& check) {
  const size_t dash = text.find('-');
  int least = 0;
  int most = 0;
  const bool fits =
      dash == std::string_view::npos
          ? ParseNumber(text, least) && ((most = least), true)
          : ParseNumber(text.substr(0, dash), least) && ParseNumber(text.substr(dash + 1), most);
  if (!fits || least < 100 || most > 599 || least > most) {
    return Wrong("not a status such as 204, or a range such as 200-399");
  }
  check.status_min = least;
  check.status_max = most;
  return {};
}

std::string EncodeAgentSettings(const AgentSettings& settings) {
  std::string out;
  Put(out, "host_sets_clock", settings.host_sets_clock ? "1" : "0");
  for (const HealthCheck& check : settings.checks) {
    Put(out, "check", check.name);
    Put(out, "kind", kKinds[static_cast<size_t>(check.kind)]);
    for (const std::string& each : check.exec) Put(out, "arg", each);
    Put(out, "target", check.target);
    Put(out, "socket", check.socket);
    Put(out, "body", check.body);
    Put(out, "status_min", std::to_string(check.status_min));
    Put(out, "status_max", std::to_string(check.status_max));
    Put(out, "interval_ms", std::to_string(check.interval_ms));
    Put(out, "timeout_ms", std::to_string(check.timeout_ms));
    Put(out, "start_period_ms", std::to_string(check.start_period_ms));
    Put(out, "healthy_after", std::to_string(check.healthy_after));
    Put(out, "unhealthy_after", std::to_string(check.unhealthy_after));
  }
  return out;
}

Result<AgentSettings> DecodeAgentSettings(std::string_view bytes) {
  const auto wrong = [](std::string what) {
    return Fail("agent-settings", EINVAL, std::move(what), "berth-init of this build writes them");
  };
  if (bytes.size() > kMaxAgentSettingsBytes) return wrong("too many bytes");
  AgentSettings settings;
  for (size_t texts = 0; !bytes.empty(); ++texts) {
    const size_t end = bytes.find('\0');
    const size_t equals = bytes.find('=');
    if (end == std::string_view::npos || equals > end || texts >= kMaxDecodedTexts) {
      return wrong("not key=value texts");
    }
    const std::string_view key = bytes.substr(0, equals);
    const std::string_view value = bytes.substr(equals + 1, end - equals - 1);
    bytes.remove_prefix(end + 1);
    if (key == "check") {
      if (settings.checks.size() >= kMaxHealthChecks) return wrong("too many checks");
      settings.checks.emplace_back().name = value;
    } else if (settings.checks.empty() && key == "host_sets_clock") {
      settings.host_sets_clock = value == "1";
    } else if (settings.checks.empty() || !TakeText(settings.checks.back(), key, value)) {
      return wrong("a key or a value that is not known");
    }
  }
  std::vector<std::string_view> names;
  for (const HealthCheck& check : settings.checks) {
    if (auto good = Validate(check); !good) return wrong(good.error().detail);
    names.push_back(check.name);
  }
  std::ranges::sort(names);
  if (std::ranges::adjacent_find(names) != names.end()) return wrong("two checks have one name");
  return settings;
}

}  // namespace berth
