// SPDX-License-Identifier: Apache-2.0
//
// LogView: from the records of compute.vm.logs to the lines that a person reads. The text is a
// guest's: nothing of it drives a terminal, whether stdout is one or not, unless it is asked for
// raw. Pure: lines go to a callback; one thread.
#ifndef BERTH_SUPERVISOR_CLI_LOG_VIEW_H_
#define BERTH_SUPERVISOR_CLI_LOG_VIEW_H_

#include <regex.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace berth::cli {

// A POSIX extended regular expression. Only the beginning of a long line is looked at, so that a
// guest's line and a bad expression together cost no more than they must.
class LinePattern {
 public:
  static constexpr size_t kMaxBytes = 64 * 1024;  // of a line

  // For CLI11: throws CLI::ValidationError.
  explicit LinePattern(const std::string& expression);
  LinePattern(const LinePattern&) = delete;
  LinePattern& operator=(const LinePattern&) = delete;
  ~LinePattern() { regfree(&compiled_); }

  bool Matches(std::string_view line) const;

 private:
  regex_t compiled_{};
};

struct LogViewOptions {
  bool json = false;  // records as they are, one a line
  bool raw = false;   // text byte by byte
  bool time = true;
  bool utc = false;
  std::shared_ptr<const LinePattern> pattern = {};  // only lines that match; gaps always
};

class LogView {
 public:
  // What a guest cut in pieces is put together again up to so much; then it goes on in a new line.
  static constexpr size_t kMaxJoinedBytes = 1024 * 1024;
  static constexpr size_t kMaxPendingBytes = 16 * 1024 * 1024;  // of all sources

  // `put` gets whole lines, with their newlines.
  LogView(LogViewOptions options, std::function<void(std::string)> put)
      : options_(std::move(options)), put_(std::move(put)) {}

  void Take(const nlohmann::json& record);
  // Older records than those that come next are gone for good.
  void Lost();
  // Puts what still waits for its rest.
  void Finish();

 private:
  struct Begun {
    nlohmann::json record;  // the first piece
    std::string text;
  };
  void PutLine(const nlohmann::json& record, const std::string& text);
  void PutMark(const std::string& what);
  void Flush(std::map<std::string, Begun>::iterator begun);

  const LogViewOptions options_;
  const std::function<void(std::string)> put_;
  std::string boot_;
  std::map<std::string, Begun> begun_;  // by source and stream, of boot_
  size_t pending_bytes_ = 0;
};

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_LOG_VIEW_H_
