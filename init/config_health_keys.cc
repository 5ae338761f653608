// SPDX-License-Identifier: Apache-2.0
//
// The keys of [health.NAME] and [time]: what init.toml says to the agent, which runs the checks and
// takes the host's time. PID 1 only passes it on (agent_settings.h).
#include <algorithm>

#include "init/config_keys.h"
#include "protocol/base/agent_settings.h"

namespace berth::init {
namespace {

constexpr std::string_view kTargets[] = {"exec", "tcp", "http", "file"};

void ReadCheckExec(ConfigReader& reader, const ConfigNode& node, HealthCheck& check) {
  check.kind = HealthKind::kExec;
  ReadArgv(reader, node, check.exec);
}

void ReadCheckTcp(ConfigReader& reader, const ConfigNode& node, HealthCheck& check) {
  check.kind = HealthKind::kTcp;
  check.target = node.kind == kIntegerNode ? std::to_string(node.integer) : node.text;
  if (auto good = ParseTcpTarget(check.target); !good) {
    reader.Mistake(node, "\"" + check.target + "\" is " + good.error().detail);
  }
}

void ReadCheckHttp(ConfigReader& reader, const ConfigNode& node, HealthCheck& check) {
  check.kind = HealthKind::kHttp;
  check.target = node.text;
  if (auto good = ParseHttpTarget(node.text); !good) reader.Wrong(node, good.error().detail);
}

void ReadCheckFile(ConfigReader& reader, const ConfigNode& node, HealthCheck& check) {
  check.kind = HealthKind::kFile;
  ReadPath(reader, node, check.target);
}

void ReadCheckStatus(ConfigReader& reader, const ConfigNode& node, HealthCheck& check) {
  const std::string text = node.kind == kIntegerNode ? std::to_string(node.integer) : node.text;
  if (auto good = ParseHttpStatus(text, check); !good) {
    reader.Mistake(node, "\"" + text + "\" is " + good.error().detail);
  }
}

template <int64_t kMinMs>
void ReadMs(ConfigReader& reader, const ConfigNode& node, int64_t& out) {
  Milliseconds value(out);
  ReadDuration<kMinMs>(reader, node, value);
  out = value.count();
}

}  // namespace

constexpr ConfigKey kHealthCheckKeys[kHealthCheckKeyCount] = {
    {"exec", kListNodes, "a list of texts", "",
     "healthy when this program, run as root, ends with 0", Whole<HealthCheck, ReadCheckExec>},
    {"tcp", kStringNode | kIntegerNode, "an address", "",
     "healthy when `ADDRESS:PORT`, or the port on 127.0.0.1, accepts a connection",
     Whole<HealthCheck, ReadCheckTcp>},
    {"http", kStringNode, "a URL", "",
     "healthy when a GET of `http://ADDRESS:PORT/PATH` is answered as `status` and `body` say; no "
     "names are looked up",
     Whole<HealthCheck, ReadCheckHttp>},
    {"file", kStringNode, "a path", "", "healthy when this path is there",
     Whole<HealthCheck, ReadCheckFile>},
    {"socket", kStringNode, "a path", "(TCP)", "the Unix socket that `http` is asked over",
     Field<&HealthCheck::socket, ReadPath>},
    {"status", kStringNode | kIntegerNode, "a text", "\"200-399\"",
     "the status of an answer, or a range of them", Whole<HealthCheck, ReadCheckStatus>},
    {"body", kStringNode, "a text", "\"\"", "what the answer's body must hold",
     Field<&HealthCheck::body, ReadText>},
    {"interval", kDurationNodes, "a duration", "\"10s\"", "from one look to the next",
     Field<&HealthCheck::interval_ms, ReadMs<kMinHealthMs>>},
    {"timeout", kDurationNodes, "a duration", "\"5s\"",
     "of one look; a program is killed then, with all that it started",
     Field<&HealthCheck::timeout_ms, ReadMs<kMinHealthMs>>},
    {"start_period", kDurationNodes, "a duration", "\"0s\"",
     "failures within it, from the agent's start on, do not count",
     Field<&HealthCheck::start_period_ms, ReadMs<0>>},
    {"unhealthy_after", kIntegerNode, "an integer", "3", "failures in a row, 1 to 1000",
     Field<&HealthCheck::unhealthy_after, ReadInteger<1, kMaxHealthRow, int>>},
    {"healthy_after", kIntegerNode, "an integer", "1", "successes in a row, 1 to 1000",
     Field<&HealthCheck::healthy_after, ReadInteger<1, kMaxHealthRow, int>>},
};
// A count that is too large leaves rows without a name.
static_assert(!kHealthCheckKeys[kHealthCheckKeyCount - 1].name.empty());

namespace {

// What belongs to a check of one kind alone.
void CheckOfHttp(ConfigReader& reader, const ConfigNode& node, const HealthCheck& check) {
  for (const std::string_view name : {"socket", "status", "body"}) {
    const ConfigNode* const found = node.Find(name);
    if (found == nullptr || check.kind == HealthKind::kHttp) continue;
    reader.Mistake(found->key_place, std::string(name) + ": only \"http\" has one");
  }
}

void CheckHealth(ConfigReader& reader, const ConfigNode& node, HealthCheck& check) {
  const auto named = std::ranges::count_if(
      kTargets, [&](std::string_view name) { return node.Find(name) != nullptr; });
  if (named != 1 && node.syntax_mistake < 0) {
    return reader.Mistake(node, "needs one of \"exec\", \"tcp\", \"http\" and \"file\"");
  }
  CheckOfHttp(reader, node, check);
}

}  // namespace

void ReadHealthChecks(ConfigReader& reader, const ConfigKey& /*key*/, const ConfigNode& node,
                      void* out) {
  auto& checks = static_cast<Config*>(out)->checks;
  for (const ConfigNode& item : node.items) {
    const ConfigReader::Path path(reader, item.key);
    if (!reader.Expect(item, kTableNode, "a table")) continue;
    if (!IsHealthName(item.key)) {
      reader.Mistake(item.key_place,
                     "not a name of a check: letters, digits, _ - ., up to 63, not \"agent\"");
      continue;
    }
    if (checks.size() == kMaxHealthChecks) {
      reader.Mistake(item.key_place, "more than " + std::to_string(kMaxHealthChecks) + " checks");
      break;
    }
    HealthCheck check;
    check.name = item.key;
    const size_t before = reader.mistakes();
    reader.ReadTable(item, kHealthCheckKeys, &check);
    CheckHealth(reader, item, check);
    if (reader.mistakes() != before || SyntaxMistakeIn(item) >= 0) continue;
    // What the readers let through and the agent would not take.
    if (auto good = Validate(check); !good) {
      reader.Mistake(item, good.error().detail);
    } else {
      checks.push_back(std::move(check));
    }
  }
}

}  // namespace berth::init
