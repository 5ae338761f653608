// SPDX-License-Identifier: Apache-2.0
#include "agent/exec_request.h"

#include <sys/resource.h>

#include <string_view>
#include <unordered_map>

#include "protocol/wire/limits.h"

namespace berth::agent {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::string_view kDefaultTerm = "xterm";

std::unexpected<Error> Refuse(int errnum, std::string detail) {
  return Fail("request", errnum, std::move(detail));
}

std::unexpected<Error> TooMany(const char* what, int count, int limit) {
  return Refuse(E2BIG, std::string(what) + " has " + std::to_string(count) +
                           " elements, the limit is " + std::to_string(limit));
}

bool HasNull(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Result<> CheckName(const char* what, std::string_view name) {
  if (name.size() > wire::kMaxNameBytes) {
    return Refuse(EINVAL, std::string(what) + " is longer than " +
                              std::to_string(wire::kMaxNameBytes) + " bytes");
  }
  if (HasNull(name)) return Refuse(EINVAL, std::string(what) + " contains a null byte");
  return {};
}

Result<> CheckArguments(const v1::ExecStart& request) {
  if (request.argv_size() == 0 || request.argv(0).empty()) {
    return Refuse(EINVAL, "argv names no program");
  }
  if (request.argv_size() > wire::kMaxArgs) {
    return TooMany("argv", request.argv_size(), wire::kMaxArgs);
  }
  for (const std::string& each : request.argv()) {
    if (HasNull(each)) return Refuse(EINVAL, "an argument contains a null byte");
  }
  if (request.env_size() > wire::kMaxEnv) return TooMany("env", request.env_size(), wire::kMaxEnv);
  for (const std::string& each : request.env()) {
    if (HasNull(each)) return Refuse(EINVAL, "an environment variable contains a null byte");
    const size_t equals = each.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Refuse(EINVAL, "an environment variable is not of the form NAME=value");
    }
  }
  return {};
}

Result<> CheckRlimits(const v1::ExecStart& request) {
  if (request.rlimits_size() > wire::kMaxRlimits) {
    return TooMany("rlimits", request.rlimits_size(), wire::kMaxRlimits);
  }
  for (const auto& each : request.rlimits()) {
    if (each.resource() >= RLIM_NLIMITS) {
      return Refuse(EINVAL, "resource limit " + std::to_string(each.resource()) + " is unknown");
    }
    if (each.soft() > each.hard()) {
      return Refuse(EINVAL, "a soft resource limit is above its hard one");
    }
  }
  return {};
}

}  // namespace

Result<> CheckExecStart(const v1::ExecStart& request) {
  BERTH_TRY(CheckArguments(request));
  if (request.cwd().size() > wire::kMaxPathBytes) return Refuse(ENAMETOOLONG, "cwd is too long");
  if (HasNull(request.cwd())) return Refuse(EINVAL, "cwd contains a null byte");
  BERTH_TRY(CheckName("user", request.user()));
  BERTH_TRY(CheckName("group", request.group()));
  if (request.groups_size() > wire::kMaxGroups) {
    return TooMany("groups", request.groups_size(), wire::kMaxGroups);
  }
  for (const std::string& each : request.groups()) BERTH_TRY(CheckName("a group", each));
  if (request.rows() > wire::kMaxWindowCells || request.columns() > wire::kMaxWindowCells) {
    return Refuse(EINVAL, "the terminal is larger than " + std::to_string(wire::kMaxWindowCells) +
                              " rows or columns");
  }
  constexpr uint64_t kMaxMs =
      std::chrono::duration_cast<std::chrono::milliseconds>(wire::kMaxTimeout).count();
  if (request.timeout_ms() > kMaxMs || request.kill_grace_ms() > kMaxMs) {
    return Refuse(EINVAL, "a timeout is longer than " + std::to_string(kMaxMs) + " ms");
  }
  return CheckRlimits(request);
}

std::vector<std::string> SessionEnvironment(const v1::ExecStart& request, const Account& account) {
  std::vector<std::string> environment;
  std::unordered_map<std::string_view, size_t> place_of;
  environment.reserve(static_cast<size_t>(request.env_size()) + 6);
  // Names are views of the request's strings and of literals: those of `environment` may move.
  const auto set = [&](std::string_view name, std::string text) {
    const auto [place, added] = place_of.try_emplace(name, environment.size());
    if (added) {
      environment.push_back(std::move(text));
    } else {
      environment[place->second] = std::move(text);
    }
  };
  const auto set_default = [&](std::string_view name, std::string_view value) {
    set(name, std::string(name) + '=' + std::string(value));
  };
  set_default("PATH", kDefaultPath);
  set_default("HOME", account.home);
  set_default("USER", account.name);
  set_default("LOGNAME", account.name);
  set_default("SHELL", account.shell);
  if (request.tty()) set_default("TERM", kDefaultTerm);
  for (const std::string& each : request.env()) {
    set(std::string_view(each).substr(0, each.find('=')), each);
  }
  return environment;
}

std::string SearchPath(const std::vector<std::string>& environment) {
  constexpr std::string_view kName = "PATH=";
  for (const std::string& each : environment) {
    if (each.starts_with(kName)) return each.substr(kName.size());
  }
  return {};
}

}  // namespace berth::agent
