// SPDX-License-Identifier: Apache-2.0
//
// Tables for people: columns as wide as their contents, the last one cut to what the terminal has
// left. Pure but for the question how wide stdout is.
#ifndef BERTH_SUPERVISOR_CLI_TABLE_H_
#define BERTH_SUPERVISOR_CLI_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace berth::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // `width`: columns of the terminal; 0: as wide as it gets.
  std::string Render(size_t width) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Columns of stdout where it is a terminal, else 0.
size_t TerminalWidth();

// Without control characters, so that what came from a guest or a file name does nothing to a
// terminal. Newlines become spaces.
std::string OneLine(std::string text);

// "14:03:07.123" of a time since the epoch, local.
std::string ClockTime(int64_t realtime_ns);
// "3 s", "12 min", "5 h", "2 d": since then.
std::string Ago(int64_t realtime_ns, int64_t now_ns);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_TABLE_H_
