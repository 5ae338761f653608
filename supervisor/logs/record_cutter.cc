// SPDX-License-Identifier: Apache-2.0
#include "supervisor/logs/record_cutter.h"

#include <algorithm>
#include <cstring>

#include "protocol/base/text.h"

namespace berth::logs {

namespace {

constexpr uint8_t kLineFlags = LogFlag::kPartial | LogFlag::kStderr;
constexpr uint8_t kLowestLevel = 7;

std::unexpected<Error> Breach(std::string what) {
  return Fail("log-record", EPROTO, std::move(what));
}

// Bytes of the record whose header `bytes` begins with, its padding included.
Result<size_t> WholeSize(std::string_view bytes) {
  uint32_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof(size));
  if (size < sizeof(LogRecordHeader) || size > kMaxLogRecordBytes) {
    return Breach("a record of " + std::to_string(size) + " bytes");
  }
  return PaddedLogRecord(size);
}

}  // namespace

Result<> RecordCutter::Take(std::span<const std::byte> bytes, std::string& out) {
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!rest.empty()) {
    if (begun_.empty() && rest.size() >= sizeof(LogRecordHeader)) {
      BERTH_ASSIGN(const size_t whole, WholeSize(rest));
      if (whole <= rest.size()) {
        BERTH_TRY(Check(rest.substr(0, whole), out));
        rest.remove_prefix(whole);
        continue;
      }
    }
    size_t wanted = sizeof(LogRecordHeader);
    if (begun_.size() >= wanted) {
      BERTH_ASSIGN(wanted, WholeSize(begun_));
    }
    const size_t taken = std::min(wanted - begun_.size(), rest.size());
    begun_.append(rest.substr(0, taken));
    rest.remove_prefix(taken);
    if (begun_.size() < sizeof(LogRecordHeader)) continue;
    BERTH_ASSIGN(const size_t whole, WholeSize(begun_));
    if (begun_.size() < whole) continue;
    BERTH_TRY(Check(begun_, out));
    begun_.clear();
  }
  return {};
}

Result<> RecordCutter::Check(std::string_view bytes, std::string& out) {
  std::string_view rest = bytes;
  const auto record = TakeRecord(rest);
  if (!record) return Breach("a record without an end");
  const LogRecordHeader& header = record->header;
  if (bytes.substr(header.size).find_first_not_of('\0') != std::string_view::npos) {
    return Breach("padding that is not zero");
  }
  if (header.level > kLowestLevel) return Breach("a level that syslog has not");
  if (header.realtime_ns < 0 || header.monotonic_ns < 0) return Breach("a time before time began");
  if (record->IsSource()) return CheckSource(*record, bytes, out);

  if (header.seq != last_seq_ + 1) {
    return Breach("record " + std::to_string(header.seq) + " behind record " +
                  std::to_string(last_seq_));
  }
  if (record->IsGap()) {
    const auto gap = GapOf(*record);
    if (header.flags != LogFlag::kGap || !gap || record->text.size() != sizeof(uint64_t)) {
      return Breach("a gap of no sane range");
    }
    last_seq_ = gap->to;
  } else {
    if ((header.flags & ~kLineFlags) != 0) return Breach("flags that no line has");
    if (!sources_.contains(header.source)) return Breach("a line of a source without a name");
    if (record->text.find('\n') != std::string_view::npos) return Breach("a newline in a line");
    last_seq_ = header.seq;
  }
  out.append(bytes);
  return {};
}

Result<> RecordCutter::CheckSource(const Record& record, std::string_view bytes, std::string& out) {
  if (record.header.flags != LogFlag::kSource || record.header.seq != 0) {
    return Breach("a source that is something else too");
  }
  if (record.text.empty() || record.text.size() > kMaxLogSourceNameBytes ||
      Printable(record.text) != record.text) {
    return Breach("a source without a printable name");
  }
  if (const auto known = sources_.find(record.header.source); known != sources_.end()) {
    if (known->second != record.text) return Breach("a source with a second name");
    return {};
  }
  if (sources_.size() >= kMaxSources) {
    return Breach("more than " + std::to_string(kMaxSources) + " sources");
  }
  sources_.emplace(record.header.source, record.text);
  out.append(bytes);
  return {};
}

}  // namespace berth::logs
