// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/health_spec.h"

#include <array>

namespace berth {

using nlohmann::json;

namespace {

constexpr std::array<std::string_view, 4> kKinds = {"exec", "tcp", "http", "file"};

struct TimeRow {
  const char* name;
  int64_t least;
  int64_t HealthCheck::* field;
};
constexpr TimeRow kTimes[] = {{"interval_ms", kMinHealthMs, &HealthCheck::interval_ms},
                              {"timeout_ms", kMinHealthMs, &HealthCheck::timeout_ms},
                              {"start_period_ms", 0, &HealthCheck::start_period_ms}};

HealthCheck CheckFromJson(const std::string& name, const json& object, FieldMistakes& mistakes) {
  const std::string prefix = "health." + name + ".";
  HealthCheck check;
  check.name = name;
  FieldReader reader(object, prefix, mistakes);
  int kinds = 0;
  if (const json* exec = reader.Array("exec", kMaxHealthArgs)) {
    ++kinds;
    check.kind = HealthKind::kExec;
    for (const json& each : *exec) {
      if (each.is_string()) {
        check.exec.push_back(each.get<std::string>());
      } else {
        reader.Add("exec", "must be a list of texts");
      }
    }
  }
  for (size_t i = 1; i < kKinds.size(); ++i) {
    std::string target;
    reader.Text(kKinds[i], kMaxHealthTargetBytes, target);
    if (!object.contains(kKinds[i])) continue;
    ++kinds;
    check.kind = static_cast<HealthKind>(i);
    check.target = std::move(target);
  }
  if (kinds != 1) reader.Add("exec", "needs one of exec, tcp, http and file");
  std::string status;
  reader.Text("socket", kMaxHealthTargetBytes, check.socket);
  reader.Text("status", 16, status);
  reader.Text("body", kMaxHealthBodyBytes, check.body);
  if (!status.empty()) {
    if (auto good = ParseHttpStatus(status, check); !good) {
      reader.Add("status", "is " + good.error().detail);
    }
  }
  for (const TimeRow& row : kTimes) {
    reader.Number(row.name, row.least, kMaxHealthMs, check.*row.field);
  }
  reader.Number("healthy_after", 1, kMaxHealthRow, check.healthy_after);
  reader.Number("unhealthy_after", 1, kMaxHealthRow, check.unhealthy_after);
  reader.RefuseUnknown();
  return check;
}

}  // namespace

std::vector<HealthCheck> HealthFromJson(const json& object, FieldMistakes& mistakes) {
  std::vector<HealthCheck> checks;
  if (object.size() > kMaxHealthChecks) {
    mistakes.push_back(
        {"health", "must not have more than " + std::to_string(kMaxHealthChecks) + " checks"});
    return checks;
  }
  for (const auto& [name, value] : object.items()) {
    // A name that is none must not become part of a message.
    if (!IsHealthName(name)) {
      mistakes.push_back({"health",
                          "a name of a check must be letters, digits, '_', '-' or '.', "
                          "at most 63, and not \"agent\""});
      continue;
    }
    if (!value.is_object()) {
      mistakes.push_back({"health." + name, "must be an object"});
      continue;
    }
    const size_t before = mistakes.size();
    HealthCheck check = CheckFromJson(name, value, mistakes);
    if (mistakes.size() != before) continue;
    if (auto good = Validate(check); !good) {
      mistakes.push_back({"health." + name, "is wrong: " + good.error().detail});
    } else {
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

json ToJson(const std::vector<HealthCheck>& checks) {
  json out = json::object();
  for (const HealthCheck& check : checks) {
    json& object = out[check.name] = json::object();
    if (check.kind == HealthKind::kExec) {
      object["exec"] = check.exec;
    } else {
      object[std::string(kKinds[static_cast<size_t>(check.kind)])] = check.target;
    }
    if (check.kind == HealthKind::kHttp) {
      object["status"] = std::to_string(check.status_min) + "-" + std::to_string(check.status_max);
      if (!check.socket.empty()) object["socket"] = check.socket;
      if (!check.body.empty()) object["body"] = check.body;
    }
    for (const TimeRow& row : kTimes) object[row.name] = check.*row.field;
    object["healthy_after"] = check.healthy_after;
    object["unhealthy_after"] = check.unhealthy_after;
  }
  return out;
}

}  // namespace berth
