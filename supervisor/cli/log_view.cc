// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/log_view.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "protocol/base/text.h"
#include "supervisor/cli/log_time.h"
#include "supervisor/logs/base64.h"

namespace berth::cli {

using nlohmann::json;

namespace {

constexpr size_t kShownBootDigits = 8;

std::string TextOf(const json& record) {
  if (record.contains("text_base64")) {
    return logs::FromBase64(record["text_base64"].get_ref<const std::string&>());
  }
  return record.value("text", "");
}

std::string DescribeGap(const json& gap) {
  const auto from = gap.value("from", uint64_t{0});
  const auto to = gap.value("to", uint64_t{0});
  const uint64_t lines = to - from + 1;
  std::string text =
      fmt::format("{} {} lost (seq {}–{})", lines, lines == 1 ? "line" : "lines", from, to);
  if (gap.value("by", "") == "host") {
    const std::string why = gap["why"].is_string() ? gap["why"].get<std::string>() : "";
    text += why == "ENODATA" ? ": not kept any more" : ": the host could not keep them: " + why;
  }
  return Printable(text);
}

}  // namespace

LinePattern::LinePattern(const std::string& expression) {
  const int failed = regcomp(&compiled_, expression.c_str(), REG_EXTENDED | REG_NOSUB);
  if (failed == 0) return;
  char why[256] = "";
  regerror(failed, &compiled_, why, sizeof(why));
  throw CLI::ValidationError("--grep", "'" + expression + "' is no regular expression: " + why);
}

bool LinePattern::Matches(std::string_view line) const {
  // By length: a null byte ends no line.
  regmatch_t whole{};
  whole.rm_eo = static_cast<regoff_t>(std::min(line.size(), kMaxBytes));
  return regexec(&compiled_, line.data(), 1, &whole, REG_STARTEND) == 0;
}

void LogView::Take(const json& record) {
  const std::string boot = record.value("boot", "");
  if (boot != boot_) {
    Finish();
    if (!boot_.empty()) PutMark("boot " + Printable(boot.substr(0, kShownBootDigits)));
    boot_ = boot;
  }
  if (record.contains("gap")) {
    // The rest of a line that had begun may be among what is lost.
    Finish();
    if (options_.json) {
      put_(record.dump() + "\n");
    } else {
      PutMark(DescribeGap(record["gap"]));
    }
    return;
  }
  std::string text = TextOf(record);
  if (options_.json) {
    if (!options_.pattern || options_.pattern->Matches(text)) put_(record.dump() + "\n");
    return;
  }
  const bool partial = record.value("partial", false);
  const std::string key = record.value("source", "") + (record.value("stderr", false) ? "!" : "");
  const auto begun = begun_.find(key);
  if (begun == begun_.end() && !partial) {
    PutLine(record, text);
    return;
  }
  const auto place = begun != begun_.end() ? begun : begun_.emplace(key, Begun{record, {}}).first;
  pending_bytes_ += text.size();
  place->second.text += text;
  if (!partial || place->second.text.size() >= kMaxJoinedBytes ||
      pending_bytes_ >= kMaxPendingBytes) {
    Flush(place);
  }
}

void LogView::Flush(std::map<std::string, Begun>::iterator begun) {
  PutLine(begun->second.record, begun->second.text);
  pending_bytes_ -= begun->second.text.size();
  begun_.erase(begun);
}

void LogView::Finish() {
  while (!begun_.empty()) Flush(begun_.begin());
}

void LogView::Lost() {
  Finish();
  PutMark("older lines are not kept any more");
}

void LogView::PutMark(const std::string& what) {
  if (!options_.json) put_("-- " + what + " --\n");
}

void LogView::PutLine(const json& record, const std::string& text) {
  if (options_.pattern && !options_.pattern->Matches(text)) return;
  std::string line;
  if (options_.time) line = ShowLogTime(record.value("time_ns", int64_t{0}), options_.utc) + " ";
  line += Printable(record.value("source", ""));
  if (record.value("stderr", false)) line += "!";
  line += ": ";
  line += options_.raw ? text : Printable(text, std::string_view::npos, "\t");
  put_(line + "\n");
}

}  // namespace berth::cli
