// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/render_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "protocol/base/text.h"
#include "supervisor/logs/base64.h"
#include "supervisor/logs/level.h"

namespace berth::daemon {

using lifecycle::Kind;
using lifecycle::Outcome;
using nlohmann::json;

namespace {

constexpr uint64_t kMaxFollowMs = 60'000;
constexpr size_t kMaxSourcesAsked = 64;
constexpr uint64_t kMaxTimeMs = INT64_MAX / 1'000'000;

int64_t ToNs(uint64_t ms) { return static_cast<int64_t>(std::min(ms, kMaxTimeMs)) * 1'000'000; }

// Takes a number and what stands behind it off the front.
bool TakeNumber(std::string_view& text, int base, uint64_t* number) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *number, base);
  if (parsed.ec != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
  return true;
}

bool TakeDash(std::string_view& text) {
  if (!text.starts_with('-')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

Outcome<LogQuery> LogQueryOf(const json& params) {
  const auto refuse = [](const std::string& what, const std::string& hint = {}) {
    return lifecycle::Refuse(Kind::kFailed, "logs", EINVAL, what, hint);
  };
  LogQuery query;
  query.cursor = params.value("cursor", "");
  if (params.contains("since_ms")) query.filter.since_ns = ToNs(params["since_ms"]);
  if (params.contains("until_ms")) query.filter.until_ns = ToNs(params["until_ms"]) + 999'999;
  if (params.contains("sources")) query.filter.sources = params["sources"];
  if (query.filter.sources.size() > kMaxSourcesAsked) {
    return refuse("at most " + std::to_string(kMaxSourcesAsked) + " sources can be asked for");
  }
  if (params.contains("level")) {
    const std::string name = params["level"];
    const auto level = logs::LevelNamed(name);
    if (!level) {
      return refuse("'" + Printable(name, kMaxLogSourceNameBytes) + "' is no level",
                    "emerg, alert, crit, err, warning, notice, info, debug, or 0 to 7");
    }
    query.filter.max_level = *level;
  }
  if (params.contains("last")) {
    if (!query.cursor.empty()) return refuse("last and cursor are two places to begin at");
    query.last = params["last"].get<size_t>();
  }
  query.bounds.lines = static_cast<size_t>(std::clamp<uint64_t>(
      params.value("limit", uint64_t{query.bounds.lines}), 1, query.bounds.lines));
  query.follow = std::chrono::milliseconds(
      static_cast<int64_t>(std::min(params.value("follow_ms", uint64_t{0}), kMaxFollowMs)));
  return query;
}

std::string LogCursor(uint64_t store, logs::Position at) {
  return fmt::format("{:016x}-{}-{}", store, at.boot, at.seq);
}

Result<logs::Position> ParseLogCursor(uint64_t store, std::string_view cursor) {
  uint64_t of = 0;
  logs::Position at;
  std::string_view rest = cursor;
  if (!TakeNumber(rest, 16, &of) || !TakeDash(rest) || !TakeNumber(rest, 10, &at.boot) ||
      !TakeDash(rest) || !TakeNumber(rest, 10, &at.seq) || !rest.empty() || at.seq > INT64_MAX) {
    return Fail("cursor", EINVAL, "'" + Printable(cursor, kMaxLogSourceNameBytes) + "'",
                "give a cursor as an answer has it");
  }
  // Before the first record all stores are alike.
  if (of != store && at != logs::Position{}) {
    return Fail("cursor", ESTALE, "it is of other logs: the VM was removed and created anew",
                "begin without a cursor");
  }
  return at;
}

json LogLineJson(uint64_t store, const logs::Line& line) {
  std::string boot;
  for (const uint8_t byte : line.boot_id) fmt::format_to(std::back_inserter(boot), "{:02x}", byte);
  json out = {{"cursor", LogCursor(store, line.After())},
              {"seq", line.gap ? line.gap->from : line.header.seq},
              {"boot", std::move(boot)},
              {"time_ns", line.header.realtime_ns},
              {"monotonic_ns", line.header.monotonic_ns}};
  if (line.gap) {
    out["gap"] = {{"from", line.gap->from},
                  {"to", line.gap->to},
                  {"by", line.gap->errnum == 0 ? "guest" : "host"},
                  {"why", line.gap->errnum == 0 ? json() : json(ErrnoName(line.gap->errnum))}};
    return out;
  }
  out["source"] = Printable(line.source);
  out["level"] = logs::LevelName(line.header.level);
  out["stderr"] = (line.header.flags & LogFlag::kStderr) != 0;
  out["partial"] = (line.header.flags & LogFlag::kPartial) != 0;
  if (Utf8(line.text) == line.text) {
    out["text"] = line.text;
  } else {
    out["text_base64"] = logs::Base64(line.text);
  }
  return out;
}

}  // namespace berth::daemon
