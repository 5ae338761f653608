// SPDX-License-Identifier: Apache-2.0
//
// A segment: one file of a VM's log store, with records of one boot. Little-endian.
//
//   offset  size  field
//   0       8     "BERTHLOG"
//   8       4     version       1
//   12      4     crc           of these 64 bytes with this field 0
//   16      8     store         random, the same in all segments of a store
//   24      8     boot          counts the boots of the store, from 1 on
//   32      16    boot_id       as the guest named it
//   48      8     first_seq     of the first record that follows
//   56      8     zero
//   64            batches
//
// A batch is what became durable at once: u32 "BLGB" | u32 bytes | u32 crc | u32 zero | records.
// The first one names the sources that the boot had named before, so that each segment stands
// alone. A batch that is not whole was never acknowledged to the guest: it is cut off when the
// store is opened, and comes again.
#ifndef BERTH_SUPERVISOR_LOGS_SEGMENT_H_
#define BERTH_SUPERVISOR_LOGS_SEGMENT_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/result.h"
#include "supervisor/logs/record.h"

namespace berth::logs {

using BootId = std::array<uint8_t, 16>;

struct SegmentHeader {
  std::array<char, 8> magic = {'B', 'E', 'R', 'T', 'H', 'L', 'O', 'G'};
  uint32_t version = 1;
  uint32_t crc = 0;
  uint64_t store = 0;
  uint64_t boot = 0;
  BootId boot_id{};
  uint64_t first_seq = 0;
  uint64_t zero = 0;
};
static_assert(std::is_trivially_copyable_v<SegmentHeader> && sizeof(SegmentHeader) == 64);

struct BatchHeader {
  uint32_t magic = 0x42474c42;
  uint32_t bytes = 0;  // of records
  uint32_t crc = 0;
  uint32_t zero = 0;
};
static_assert(std::is_trivially_copyable_v<BatchHeader> && sizeof(BatchHeader) == 16);

// Of a batch's records. What a follower puts together at once is far smaller.
inline constexpr size_t kMaxBatchBytes = 4 * 1024 * 1024;
// A chunk is the unit of the index: batches of at least so many bytes.
inline constexpr size_t kChunkBytes = 64 * 1024;

// Neighbouring batches, as far as a reader must know to pass them by.
struct Chunk {
  uint64_t begin = 0;  // in the file
  uint64_t end = 0;
  uint64_t last_seq = 0;
  int64_t oldest_ns = INT64_MAX;
  int64_t newest_ns = INT64_MIN;
};

// What a segment holds; kept in memory for few segments at once.
struct SegmentIndex {
  std::vector<Chunk> chunks;
  Sources sources;
  uint64_t last_seq = 0;                 // first_seq - 1: there is no record
  uint64_t end = sizeof(SegmentHeader);  // behind the last whole batch

  // Takes up a batch that stands at `end`. EINVAL, and nothing is changed, where its records do not
  // go on where the index stands.
  Result<> Add(std::string_view records);
};

std::string Encode(SegmentHeader header);
std::string EncodeBatch(std::string_view records);

// Step "log-segment"; EINVAL where it is none.
Result<SegmentHeader> ReadSegmentHeader(int fd);

// Reads batch after batch of a part of a segment.
class BatchReader {
 public:
  BatchReader(int fd, uint64_t begin, uint64_t end) : fd_(fd), next_(begin), end_(end) {}

  // The records of the next batch, valid until the next call; empty: there is no whole one.
  // `verify`: by its crc too. Fails where the file cannot be read.
  Result<std::string_view> Next(bool verify);

 private:
  // Makes the next `bytes` bytes readable in buffer_; false: the part has not so many.
  Result<bool> Fill(size_t bytes);

  const int fd_;
  uint64_t next_;
  const uint64_t end_;
  std::string buffer_;
  size_t used_ = 0;  // of buffer_, handed out already
};

// The index of a segment of `bytes` bytes: all of it up to the first batch that is not whole.
Result<SegmentIndex> ScanSegment(int fd, const SegmentHeader& header, uint64_t bytes, bool verify);

}  // namespace berth::logs

#endif  // BERTH_SUPERVISOR_LOGS_SEGMENT_H_
