// SPDX-License-Identifier: Apache-2.0
//
// Programs as an end-to-end test runs them: as a person would, from the outside, with a deadline on
// everything.
#ifndef BERTH_TESTS_E2E_PROCESS_H_
#define BERTH_TESTS_E2E_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/unique_fd.h"

namespace berth::e2e {

using std::chrono_literals::operator""s;

// How long any one command may take before the test ends it. Far above what a slow machine needs.
inline constexpr auto kCommandTimeout = 120s;

struct Outcome {
  int code = -1;   // -1 where a signal ended it
  int signal = 0;  // 0 where it exited
  bool timed_out = false;
  std::string out;
  std::string err;
};

// For the message of a failed expectation.
std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);

struct RunOptions {
  std::string stdin_data = {};        // then end of file
  std::vector<std::string> env = {};  // "NAME=value", on top of the test's own
  std::chrono::nanoseconds timeout = kCommandTimeout;
  std::optional<uid_t> uid = {};  // with the same gid and no groups
};

// A program with pipes on stdin, stdout and stderr. Killed and reaped with the object.
class Process {
 public:
  explicit Process(std::vector<std::string> argv, RunOptions options = {});
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  pid_t pid() const { return pid_; }
  // Reads until stdout or stderr holds `text`; false where the program ends or the deadline passes
  // before.
  bool WaitForOutput(const std::string& text, Deadline deadline);
  void Signal(int signal) const;
  void WriteStdin(const std::string& data);
  void CloseStdin() { stdin_.Reset(); }
  // No more is read from the program: its writes will block.
  void StopReading() { reading_ = false; }
  // Feeds stdin, collects output, waits for the end.
  Outcome Wait(Deadline deadline);
  const Outcome& so_far() const { return outcome_; }

 private:
  // One poll: moves what can be moved. False once the program has ended and all output is in.
  bool Step(Deadline deadline);
  void Drain(UniqueFd& fd, std::string& into);

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd stdin_;
  UniqueFd stdout_;
  UniqueFd stderr_;
  std::string stdin_left_;
  bool close_stdin_after_data_ = false;
  bool reading_ = true;
  bool reaped_ = false;
  Outcome outcome_;
};

Outcome RunCommand(std::vector<std::string> argv, RunOptions options = {});

}  // namespace berth::e2e

#endif  // BERTH_TESTS_E2E_PROCESS_H_
