// SPDX-License-Identifier: Apache-2.0
//
// The ring of log records (log_record.h) in a memfd that PID 1 makes and keeps, so that it outlives
// the agent, which alone reads and writes it. It may be killed between any two instructions:
//
//   - `head` is the one commit point. What stands behind it is not there.
//   - Before a record is dropped, what it says of its source goes to the source's entry; only then
//     `tail` moves, and only then anything is written over it. So the entry, and the records behind
//     `tail` over it, always say how far each source was taken and which number comes next.
//
// head and tail are offsets that only grow. The records are mapped twice, one mapping behind the
// other: a record that passes the end of the memory goes on at its beginning, at addresses that go
// on. So every record, and every run of them, is one piece.
//
// One thread of one process at a time.
#ifndef BERTH_PROTOCOL_BASE_LOG_RING_H_
#define BERTH_PROTOCOL_BASE_LOG_RING_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/base/log_record.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth {

// Sources have fixed numbers. A service has two, its stdout's and the next one for its stderr, of
// one name.
inline constexpr uint16_t kLogSourceInit = 1;
inline constexpr uint16_t kLogSourceAgent = 2;
inline constexpr uint16_t kLogSourceKernel = 3;
inline constexpr uint16_t kLogSourceSyslog = 4;
inline constexpr uint16_t kFirstLogSourceOfServices = 16;
inline constexpr uint16_t kMaxLogSources = 528;  // numbers are below it

inline constexpr size_t kMinLogRingBytes = 256 * 1024;  // several of the longest records
inline constexpr size_t kMaxLogRingBytes = 1024 * 1024 * 1024;

struct LogSourceEntry {
  char name[kMaxLogSourceNameBytes];  // null-terminated; empty: there is no such source
  // Of its last record that was dropped.
  uint64_t position;
  uint8_t level;
  uint8_t flags;
  uint8_t zero[6];
};

struct LogRingHeader {
  uint64_t magic;  // 0: all is zero still
  uint64_t capacity;
  uint64_t head;         // behind the last record
  uint64_t tail;         // the oldest record
  uint64_t dropped_seq;  // of the last record that was dropped
  uint64_t acked_seq;    // the host keeps all up to it
  LogSourceEntry sources[kMaxLogSources];
};
inline constexpr size_t kLogRingHeaderBytes = 48 * 1024;
static_assert(sizeof(LogRingHeader) <= kLogRingHeaderBytes);

// A memfd that holds an empty ring of `bytes` of records, rounded up to whole pages; its size is
// sealed.
Result<UniqueFd> MakeLogRing(size_t bytes);

// A memfd that a source's bytes go to on their way into the ring.
Result<UniqueFd> MakeLogSpool();

struct LogClock {
  int64_t realtime_ns = 0;
  int64_t monotonic_ns = 0;
  static LogClock Now();
};

class LogRing {
 public:
  // How far a source was taken.
  struct Source {
    uint64_t position = 0;
    uint8_t level = 6;
    bool partial = false;  // its last record's line goes on
  };

  struct Record {
    uint16_t source = 0;
    uint8_t level = 6;
    uint8_t flags = 0;
    uint64_t position = 0;
    std::string_view text;  // at most kMaxLogTextBytes
  };

  // Maps it; finds out what the last process left. EINVAL: no ring. A ring whose records make no
  // sense is emptied, and numbers go on behind all that it can have held: see damaged().
  static Result<LogRing> Map(int fd);
  LogRing(LogRing&& other) noexcept;
  LogRing& operator=(LogRing&&) = delete;
  ~LogRing();

  bool damaged() const { return damaged_; }

  // `number` is below kMaxLogSources. Cut to its bound.
  void Name(uint16_t number, std::string_view name);
  std::string_view NameOf(uint16_t number) const;
  // The numbers of those that have a name, in the order in which this process came to know them.
  std::span<const uint16_t> named() const { return named_; }
  const Source& StateOf(uint16_t number) const { return states_[number]; }

  // Writes it behind the last one, dropping the oldest as needed. It is there once committed.
  void Append(const Record& record, const LogClock& clock);
  void Commit();
  // Whether a record of so much text drops none that the host has not acknowledged.
  bool HasRoom(size_t text_bytes) const;

  uint64_t oldest_seq() const;  // next_seq() where there is none
  uint64_t next_seq() const { return next_seq_; }
  uint64_t acked_seq() const { return header_->acked_seq; }
  // A number that was not given yet counts as the last one.
  void Ack(uint64_t seq);

  uint64_t tail() const { return tail_; }
  uint64_t head() const { return head_; }
  // The first record behind `seq`, or head().
  uint64_t Find(uint64_t seq) const;
  // Of the record at `offset`, which is from tail() to before head().
  LogRecordHeader HeaderAt(uint64_t offset) const;
  // Copies as many whole records from `offset` on as fit, and moves it behind them.
  size_t Copy(uint64_t& offset, std::span<std::byte> out) const;

 private:
  LogRing(std::byte* base, size_t capacity);
  std::byte* At(uint64_t offset) const { return records_ + offset % capacity_; }
  void Recover();
  bool Walk();
  void DropOldest();

  std::byte* base_;  // header, records, records again
  size_t capacity_;
  LogRingHeader* header_;
  std::byte* records_;
  uint64_t head_ = 0;
  uint64_t tail_ = 0;
  uint64_t end_ = 0;  // behind what was appended and not committed yet
  uint64_t next_seq_ = 1;
  std::vector<Source> states_;
  std::vector<uint16_t> named_;
  bool damaged_ = false;
};

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_LOG_RING_H_
