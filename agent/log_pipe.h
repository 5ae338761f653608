// SPDX-License-Identifier: Apache-2.0
//
// LogPipe: the stdout or stderr of a service, or what PID 1 and the agent itself say: lines that
// come through a pipe.
//
//   pipe ──splice──► spool (a memfd) ──lines──► ring
//
// splice(2) takes bytes from the pipe and makes the spool longer by them in one system call, and a
// process that is killed in it has done both for the same bytes. So the spool's size says what was
// taken, the ring says how much of that became records, and nothing is in between. Both outlive the
// agent with PID 1. What became records is punched out of the spool: its offsets only grow, its
// memory does not.
#ifndef BERTH_AGENT_LOG_PIPE_H_
#define BERTH_AGENT_LOG_PIPE_H_

#include <memory>

#include "agent/log_source.h"

namespace berth::agent {

// Where pipes put what they read, one at a time.
class LogScratch {
 public:
  // The longest line that has no end yet, and one splice.
  static constexpr size_t kBytes = 2 * kMaxLogTextBytes;
  char* bytes() {
    if (!bytes_) bytes_ = std::make_unique_for_overwrite<char[]>(kBytes);
    return bytes_.get();
  }

 private:
  std::unique_ptr<char[]> bytes_;
};

class LogPipe final : public LogSource {
 public:
  struct Options {
    uint16_t number = 0;
    bool is_stderr = false;
    bool blocks = false;  // it waits where its lines would push out what the host has not got
  };

  // `pipe` is a read end. EIO and the like: the spool is none.
  static Result<std::unique_ptr<LogPipe>> Make(const boost::asio::any_io_executor& executor,
                                               const Options& options, UniqueFd pipe,
                                               UniqueFd spool, LogScratch& scratch,
                                               const LogRing& ring);

  Took Take(LogRing& ring) override;
  bool HasPartial() const override { return position_ < size_; }
  void FlushPartial(LogRing& ring) override;
  void SetBlocks(bool blocks) { blocks_ = blocks; }

 private:
  LogPipe(const boost::asio::any_io_executor& executor, const Options& options, UniqueFd pipe,
          UniqueFd spool, LogScratch& scratch);

  enum class Cut { kAll, kNoRoom, kFailed };
  Cut CutLines(LogRing& ring);
  // Of the spool from `from` to its end, into the scratch. The bytes, or -1.
  ssize_t Read(uint64_t from);
  void Punch();
  // False where the ring has no room.
  bool Append(LogRing& ring, std::string_view text, bool partial, uint64_t position,
              const LogClock& clock) const;

  const bool is_stderr_;
  bool blocks_;
  const UniqueFd spool_;
  LogScratch& scratch_;
  uint64_t size_ = 0;      // of the spool: taken from the pipe
  uint64_t position_ = 0;  // in the spool: what is in front of it became records
  uint64_t searched_ = 0;  // no line ends between position_ and here
  uint64_t punched_ = 0;   // in front of it the spool holds no memory
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LOG_PIPE_H_
