// SPDX-License-Identifier: Apache-2.0
#include "supervisor/logs/record.h"

#include <cstring>

namespace berth::logs {

namespace {

struct GapText {
  uint64_t to = 0;
  uint64_t errnum = 0;  // only in our own
};
constexpr size_t kGuestGapBytes = sizeof(uint64_t);

}  // namespace

std::optional<Record> TakeRecord(std::string_view& bytes) {
  Record record;
  if (bytes.size() < sizeof(record.header)) return std::nullopt;
  std::memcpy(&record.header, bytes.data(), sizeof(record.header));
  const size_t size = record.header.size;
  if (size < sizeof(record.header) || size > kMaxLogRecordBytes) return std::nullopt;
  if (PaddedLogRecord(size) > bytes.size()) return std::nullopt;
  record.text = bytes.substr(sizeof(record.header), size - sizeof(record.header));
  bytes.remove_prefix(PaddedLogRecord(size));
  return record;
}

std::optional<Gap> GapOf(const Record& record) {
  if (record.text.size() != kGuestGapBytes && record.text.size() != sizeof(GapText)) {
    return std::nullopt;
  }
  GapText text;
  std::memcpy(&text, record.text.data(), record.text.size());
  if (text.to < record.header.seq || text.to > INT64_MAX) return std::nullopt;
  return Gap{record.header.seq, text.to, static_cast<int>(text.errnum & 0xfff)};
}

void AddRecord(std::string& out, LogRecordHeader header, std::string_view text) {
  header.size = static_cast<uint32_t>(sizeof(header) + text.size());
  out.append(reinterpret_cast<const char*>(&header), sizeof(header));
  out.append(text);
  out.append(PaddedLogRecord(header.size) - header.size, '\0');
}

void AddSource(std::string& out, uint16_t source, std::string_view name) {
  LogRecordHeader header;
  header.source = source;
  header.flags = LogFlag::kSource;
  AddRecord(out, header, name);
}

void AddGap(std::string& out, const Gap& gap, int64_t realtime_ns) {
  LogRecordHeader header;
  header.flags = LogFlag::kGap;
  header.seq = gap.from;
  header.realtime_ns = realtime_ns;
  const GapText text{gap.to, static_cast<uint64_t>(gap.errnum)};
  AddRecord(out, header, {reinterpret_cast<const char*>(&text), sizeof(text)});
}

}  // namespace berth::logs
