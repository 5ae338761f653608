// SPDX-License-Identifier: Apache-2.0
//
// A log record: what stands in the guest's ring, goes to the host as it is in data frames, and is
// kept in the host's store. Little-endian.
//
//   offset  size  field
//   0       4     size          bytes of header and text
//   4       2     source        number of the source, of this boot
//   6       1     level         as syslog has them: 0 emergency … 7 debug
//   7       1     flags         LogFlag
//   8       8     seq           rises by 1 within a boot, from 1 on
//   16      8     realtime_ns   the guest's CLOCK_REALTIME
//   24      8     monotonic_ns  the guest's CLOCK_MONOTONIC
//   32      8     position      where the source stands behind this record; means nothing to others
//   40      n     text          any bytes but a newline; at most kMaxLogTextBytes
//
// Records stand back to back, each padded with zeros to a multiple of 8. Two kinds are no lines:
//   kSource  text is the name of `source`; seq 0. Stands in front of the first record that names
//   it. kGap     text is a u64: the records from seq to that one, both included, are lost.
#ifndef BERTH_PROTOCOL_BASE_LOG_RECORD_H_
#define BERTH_PROTOCOL_BASE_LOG_RECORD_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace berth {

static_assert(std::endian::native == std::endian::little);

inline constexpr size_t kMaxLogTextBytes = 64 * 1024;
inline constexpr size_t kMaxLogSourceNameBytes = 64;

struct LogFlag {
  static constexpr uint8_t kPartial = 1;  // the line goes on in the next record of its source
  static constexpr uint8_t kStderr = 2;   // of a service: it wrote it to its stderr
  static constexpr uint8_t kGap = 4;
  static constexpr uint8_t kSource = 8;
};

struct LogRecordHeader {
  uint32_t size = 0;
  uint16_t source = 0;
  uint8_t level = 6;
  uint8_t flags = 0;
  uint64_t seq = 0;
  int64_t realtime_ns = 0;
  int64_t monotonic_ns = 0;
  uint64_t position = 0;
};
static_assert(std::is_trivially_copyable_v<LogRecordHeader> && sizeof(LogRecordHeader) == 40);

inline constexpr size_t kMaxLogRecordBytes = sizeof(LogRecordHeader) + kMaxLogTextBytes;

// Bytes that a record of that size takes, its padding included.
constexpr size_t PaddedLogRecord(size_t size) { return (size + 7) & ~size_t{7}; }

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_LOG_RECORD_H_
