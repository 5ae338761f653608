// SPDX-License-Identifier: Apache-2.0
//
// Records of protocol/base/log_record.h as they stand in memory, back to back. Pure functions on
// values; any thread.
#ifndef BERTH_SUPERVISOR_LOGS_RECORD_H_
#define BERTH_SUPERVISOR_LOGS_RECORD_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/log_record.h"

namespace berth::logs {

// Names of a boot's sources by their numbers.
using Sources = std::map<uint16_t, std::string>;
inline constexpr size_t kMaxSources = 4096;

struct Record {
  LogRecordHeader header;
  std::string_view text;

  bool IsSource() const { return (header.flags & LogFlag::kSource) != 0; }
  bool IsGap() const { return (header.flags & LogFlag::kGap) != 0; }
};

// Which records are lost. `errnum`: why the host lost them itself; 0: the guest says that it did.
struct Gap {
  uint64_t from = 0;
  uint64_t to = 0;  // included
  int errnum = 0;
};

// Takes the next record and its padding off the front of `bytes`; nullopt where no whole one
// stands there.
std::optional<Record> TakeRecord(std::string_view& bytes);

// Of a gap record; nullopt where its text is none.
std::optional<Gap> GapOf(const Record& record);

// Adds a record; its size is filled in.
void AddRecord(std::string& out, LogRecordHeader header, std::string_view text);
void AddSource(std::string& out, uint16_t source, std::string_view name);
// Of our own: its text goes on behind the guest's, with the errno.
void AddGap(std::string& out, const Gap& gap, int64_t realtime_ns);

}  // namespace berth::logs

#endif  // BERTH_SUPERVISOR_LOGS_RECORD_H_
