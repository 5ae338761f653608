// SPDX-License-Identifier: Apache-2.0
//
// Store: the log records of one VM, of all its boots, in a directory of segments (segment.h), the
// oldest of which goes where the next record would not fit its bound. What Append returned from is
// durable. Sequence numbers of a boot rise by one, and where records were lost stands a gap.
//
// Its calls block for the disk: at most for one batch, or for the bytes that a page may look at.
// One thread at a time.
#ifndef BERTH_SUPERVISOR_LOGS_STORE_H_
#define BERTH_SUPERVISOR_LOGS_STORE_H_

#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/unique_fd.h"
#include "supervisor/logs/segment.h"

namespace berth::logs {

struct StoreBounds {
  uint64_t max_bytes = 64ULL * 1024 * 1024;     // of all segments
  uint64_t segment_bytes = 8ULL * 1024 * 1024;  // of one; a batch that is larger has one of its own
};
// Segments of a store: a guest that boots again and again costs no more files.
inline constexpr size_t kMaxSegments = 256;

// A place between two records: behind the one of this number. All zero: before all.
struct Position {
  uint64_t boot = 0;
  uint64_t seq = 0;
  friend auto operator<=>(const Position&, const Position&) = default;
};

// Which lines are wanted. Gaps always are, within the times.
struct Filter {
  int64_t since_ns = std::numeric_limits<int64_t>::min();
  int64_t until_ns = std::numeric_limits<int64_t>::max();
  std::vector<std::string> sources = {};  // empty: all
  uint8_t max_level = 7;
};

struct PageBounds {
  size_t lines = 512;
  size_t text_bytes = 256 * 1024;          // one line may go beyond it
  size_t scanned_bytes = 4 * 1024 * 1024;  // one segment's index and one chunk may go beyond it
};

struct Line {
  uint64_t boot = 0;
  BootId boot_id{};
  LogRecordHeader header;
  std::string source;
  std::string text;
  std::optional<Gap> gap;  // then it is no line
  Position After() const { return {boot, gap ? gap->to : header.seq}; }
};

struct Page {
  std::vector<Line> lines;
  Position next;
  bool end = false;   // nothing is kept behind `next`
  bool lost = false;  // records behind the position asked for are not kept any more
};

// A search for the last lines, in steps that look at a bounded number of bytes each.
struct BackScan {
  size_t wanted = 0;
  PageBounds bounds = {};
  bool done = false;
  Position at = {};  // once done: before the first of them

  size_t found = 0;
  uint64_t number = std::numeric_limits<uint64_t>::max();  // where the last step stopped
  uint64_t offset = std::numeric_limits<uint64_t>::max();
};

class Store {
 public:
  // Opens what is in `dir`, which need not be there, and cuts off what a crash left unfinished.
  static Result<std::unique_ptr<Store>> Open(std::string dir, StoreBounds bounds);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Where the records of the latest boot end; boot_id is empty where there never was one.
  struct Tail {
    std::optional<BootId> boot_id;
    uint64_t last_seq = 0;
    Sources sources;
  };
  Tail tail() const;
  bool empty() const { return segments_.empty(); }
  uint64_t id() const { return id_; }

  // Whole records, as RecordCutter lets them through. Another boot id than before begins a boot.
  // EINVAL: they do not go on where the boot stands, and nothing has changed. Any other error: they
  // are lost for good, and a gap will say so in front of the next ones that can be kept.
  Result<> Append(const BootId& boot_id, std::string_view records);

  Result<Page> Read(Position after, const Filter& filter, const PageBounds& bounds);
  // One step; call until scan.done.
  Result<> FindLast(BackScan& scan, const Filter& filter);

 private:
  struct Segment {
    uint64_t number = 0;  // of its file
    SegmentHeader header;
    uint64_t bytes = 0;
  };
  struct Loaded {
    uint64_t number = 0;
    UniqueFd fd;
    SegmentIndex index;
  };

  Store(std::string dir, StoreBounds bounds) : dir_(std::move(dir)), bounds_(bounds) {}
  std::string PathOf(uint64_t number) const;
  Result<> Load();
  Result<> Recover();
  Result<> Write(std::string_view records);
  Result<> Roll(size_t need);
  Result<> WriteActive(std::string_view batch);
  // Makes room for so much more.
  void Trim(uint64_t bytes, size_t segments);
  void Drop(size_t at);
  Result<Loaded*> LoadedOf(const Segment& segment, size_t* scanned);
  size_t FirstFor(Position after) const;

  const std::string dir_;
  const StoreBounds bounds_;
  uint64_t id_ = 0;
  std::vector<Segment>
      segments_;  // oldest first; the last one is written to where active_ is there
  std::optional<Loaded> active_;
  std::deque<Loaded> loaded_;  // older ones, as last read; the latest at the end
  uint64_t total_bytes_ = 0;

  uint64_t boot_ = 0;
  BootId boot_id_{};
  uint64_t last_seq_ = 0;    // of boot_, lost ones counted
  Sources sources_;          // of boot_
  std::optional<Gap> lost_;  // what could not be written, up to last_seq_
  bool unnamed_ = false;     // sources_ has some that were not written either
};

}  // namespace berth::logs

#endif  // BERTH_SUPERVISOR_LOGS_STORE_H_
