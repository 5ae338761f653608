// SPDX-License-Identifier: Apache-2.0
//
// berth logs VM: what its guest logged, of all boots that are kept.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <deque>

#include "protocol/base/clock.h"
#include "supervisor/cli/command.h"
#include "supervisor/cli/log_time.h"
#include "supervisor/cli/log_view.h"
#include "supervisor/cli/reader_watch.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/logs/level.h"

namespace berth::cli {
namespace {

constexpr auto kLogFollow = std::chrono::seconds(30);  // per question
// With --grep the last lines are held here until the end is known.
constexpr size_t kMaxHeldBytes = 64 * 1024 * 1024;

struct LogOptions {
  std::string vm;
  bool follow = false;
  std::optional<size_t> lines;
  std::string since;
  std::string until;
  std::vector<std::string> sources;
  std::string level;
  std::string grep;
  std::string cursor;
  bool no_time = false;
  bool utc = false;
  bool raw = false;
};

// Lines on stdout: at once, or the last ones of them when Release is called.
class Output {
 public:
  explicit Output(std::optional<size_t> last) : last_(last) {}

  void Put(std::string line) {
    any_ = true;
    if (!last_) {
      std::fwrite(line.data(), 1, line.size(), stdout);
      return;
    }
    held_bytes_ += line.size();
    held_.push_back(std::move(line));
    while (held_.size() > *last_ || held_bytes_ > kMaxHeldBytes) {
      held_bytes_ -= held_.front().size();
      held_.pop_front();
    }
  }
  void Release() {
    last_.reset();
    for (std::string& line : std::exchange(held_, {})) Put(std::move(line));
  }
  bool any() const { return any_; }
  // 0, or what berth exits with: a reader that has gone is no failure to speak of.
  static int Flush() {
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
    if (errno == EPIPE) return daemon::kExitSignalBase + SIGPIPE;
    fmt::print(stderr, "berth: logs: cannot write: {}\n", ErrnoText(errno));
    return 1;
  }

 private:
  std::optional<size_t> last_;
  std::deque<std::string> held_;
  size_t held_bytes_ = 0;
  bool any_ = false;
};

json ParamsOf(const LogOptions& options) {
  const int64_t now_ms = RealtimeNs() / 1'000'000;
  json params = {{"name", options.vm}};
  if (!options.since.empty()) params["since_ms"] = ParseLogTime(options.since, now_ms);
  if (!options.until.empty()) params["until_ms"] = ParseLogTime(options.until, now_ms);
  if (!options.sources.empty()) params["sources"] = options.sources;
  if (!options.cursor.empty()) params["cursor"] = options.cursor;
  if (!options.level.empty()) {
    if (!logs::LevelNamed(options.level)) {
      throw CLI::ValidationError("--level",
                                 "emerg, alert, crit, err, warning, notice, info, debug");
    }
    params["level"] = options.level;
  }
  // The pattern is ours to match: with one, berthd cannot tell which lines are the last.
  if (options.lines && options.grep.empty()) params["last"] = *options.lines;
  return params;
}

void CheckLogOptions(const Shared& shared, const LogOptions& options) {
  if (options.follow && !options.until.empty()) {
    throw CLI::ValidationError("--until", "with -f there is no end");
  }
  if (options.lines && !options.cursor.empty()) {
    throw CLI::ValidationError("--cursor", "with -n there are two places to begin at");
  }
  if (options.raw && shared.json) throw CLI::ValidationError("--raw", "not with --json");
  if (options.raw && isatty(STDOUT_FILENO) != 0) {
    throw CLI::ValidationError("--raw", "not on a terminal: a guest's bytes would drive it");
  }
}

int RunLogs(const Shared& shared, const LogOptions& options) {
  CheckLogOptions(shared, options);
  json params = ParamsOf(options);
  LogViewOptions look{
      .json = shared.json, .raw = options.raw, .time = !options.no_time, .utc = options.utc};
  if (!options.grep.empty()) look.pattern = std::make_shared<LinePattern>(options.grep);
  const std::string what = "logs " + options.vm;
  auto client = shared.Connect();
  if (!client) return Report(what, client.error());
  if (options.follow) EndWithReader();
  Output output(options.grep.empty() ? std::nullopt : options.lines);
  LogView view(look, [&](std::string line) { output.Put(std::move(line)); });
  std::string note;
  for (bool first = true;; first = false) {
    if (options.follow) params["follow_ms"] = std::chrono::milliseconds(kLogFollow).count();
    auto page = client->Call("compute.vm.logs", params, Deadline::In(kLogFollow + kQuickCall));
    if (!page && !first &&
        page.error().exit_code == daemon::Info(lifecycle::Kind::kUnknownVm).exit_code) {
      break;  // removed while we followed: that is its end
    }
    if (!page) return Report(what, page.error());
    if (page->value("lost", false)) view.Lost();
    const json& records = page->at("records");
    for (const json& record : records) view.Take(record);
    const bool end = page->value("end", false);
    // A line without its end is shown when nothing has come for a while: it may be a question.
    if (end && records.empty()) view.Finish();
    const bool over = page->value("over", false);
    if (end && options.follow && !over) output.Release();
    if (const int failed = Output::Flush(); failed != 0) return failed;
    const std::string told = page->contains("note") && page->at("note").is_string()
                                 ? page->at("note").get<std::string>()
                                 : std::string();
    if (end && told != note && !told.empty() && !shared.quiet) {
      fmt::print(stderr, "berth: {}: {}\n", what, OneLine(told));
    }
    if (end) note = told;
    if (options.follow ? over : end) break;
    params.erase("last");
    params["cursor"] = page->value("cursor", "");
  }
  view.Finish();
  output.Release();
  return Output::Flush();
}

}  // namespace

void AddLogs(CLI::App& app, Shared& shared) {
  auto options = std::make_shared<LogOptions>();
  CLI::App* command = AddCommand(app, shared, "logs", "what a VM's guest logged",
                                 [&shared, options] { return RunLogs(shared, *options); });
  command->add_option("VM", options->vm, "the VM")->required();
  command->add_flag("-f,--follow", options->follow, "and what it logs from now on, until it ends");
  command->add_option("-n,--lines", options->lines, "the last so many lines; default: all");
  command->add_option("--since", options->since,
                      "10m (ago), 2026-11-21 10:00:00, RFC 3339 or @UNIX; by the guest's clock");
  command->add_option("--until", options->until, "as --since");
  command->add_option("--source", options->sources, "only of this source; may be repeated");
  command->add_option("--level", options->level, "emerg to debug: only of this level or graver");
  command->add_option("--grep", options->grep,
                      "only lines that match this extended regular expression");
  command->add_option("--cursor", options->cursor, "go on behind this cursor of a --json record");
  command->add_flag("--utc", options->utc, "times in UTC");
  command->add_flag("--no-time", options->no_time, "without times");
  command->add_flag("--raw", options->raw, "the guest's bytes as they are; not on a terminal");
}

}  // namespace berth::cli
