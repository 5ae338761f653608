// SPDX-License-Identifier: Apache-2.0
#include "supervisor/logs/segment.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "supervisor/logs/crc32c.h"

namespace berth::logs {

namespace {

constexpr size_t kReadBytes = 256 * 1024;

template <typename T>
std::string_view Bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

uint32_t CrcOf(SegmentHeader header) {
  header.crc = 0;
  return Crc32c(Bytes(header));
}

// Reads up to `room` bytes; fewer only at the end of the file.
Result<size_t> ReadAt(int fd, uint64_t offset, char* into, size_t room) {
  size_t done = 0;
  while (done < room) {
    const ssize_t n = pread(fd, into + done, room - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("log-read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace

std::string Encode(SegmentHeader header) {
  header.crc = CrcOf(header);
  return std::string(Bytes(header));
}

std::string EncodeBatch(std::string_view records) {
  BatchHeader header;
  header.bytes = static_cast<uint32_t>(records.size());
  header.crc = Crc32c(records);
  std::string out;
  out.reserve(sizeof(header) + records.size());
  out.append(Bytes(header)).append(records);
  return out;
}

Result<SegmentHeader> ReadSegmentHeader(int fd) {
  SegmentHeader header;
  BERTH_ASSIGN(const size_t got, ReadAt(fd, 0, reinterpret_cast<char*>(&header), sizeof(header)));
  if (got < sizeof(header) || header.magic != SegmentHeader{}.magic || header.version != 1 ||
      header.crc != CrcOf(header) || header.boot == 0 || header.first_seq == 0) {
    return Fail("log-segment", EINVAL, "not a log segment");
  }
  return header;
}

Result<> SegmentIndex::Add(std::string_view records) {
  const auto mistake = [] { return Fail("log-batch", EINVAL, "records that do not go on"); };
  Chunk chunk;
  uint64_t last = last_seq;
  std::vector<Record> named;
  for (std::string_view rest = records; !rest.empty();) {
    const auto record = TakeRecord(rest);
    if (!record) return mistake();
    if (record->IsSource()) {
      named.push_back(*record);
      continue;
    }
    if (record->header.seq != last + 1) return mistake();
    last = record->header.seq;
    if (record->IsGap()) {
      const auto gap = GapOf(*record);
      if (!gap) return mistake();
      last = gap->to;
    }
    chunk.oldest_ns = std::min(chunk.oldest_ns, record->header.realtime_ns);
    chunk.newest_ns = std::max(chunk.newest_ns, record->header.realtime_ns);
  }
  for (const Record& source : named) {
    if (sources.size() >= kMaxSources) break;
    sources.emplace(source.header.source, source.text);
  }
  const uint64_t behind = end + sizeof(BatchHeader) + records.size();
  if (chunks.empty() || chunks.back().end - chunks.back().begin >= kChunkBytes) {
    chunks.push_back(chunk);
    chunks.back().begin = end;
  } else {
    chunks.back().oldest_ns = std::min(chunks.back().oldest_ns, chunk.oldest_ns);
    chunks.back().newest_ns = std::max(chunks.back().newest_ns, chunk.newest_ns);
  }
  chunks.back().end = behind;
  chunks.back().last_seq = last;
  last_seq = last;
  end = behind;
  return {};
}

Result<bool> BatchReader::Fill(size_t bytes) {
  if (buffer_.size() - used_ >= bytes) return true;
  buffer_.erase(0, used_);
  used_ = 0;
  const uint64_t at = next_ + buffer_.size();
  if (next_ + bytes > end_) return false;
  const size_t had = buffer_.size();
  const size_t more = std::min<uint64_t>(std::max(bytes - had, kReadBytes), end_ - at);
  buffer_.resize(had + more);
  BERTH_ASSIGN(const size_t got, ReadAt(fd_, at, buffer_.data() + had, more));
  buffer_.resize(had + got);
  return buffer_.size() >= bytes;
}

Result<std::string_view> BatchReader::Next(bool verify) {
  BERTH_ASSIGN(bool there, Fill(sizeof(BatchHeader)));
  if (!there) return std::string_view();
  BatchHeader header;
  std::memcpy(&header, buffer_.data() + used_, sizeof(header));
  if (header.magic != BatchHeader{}.magic || header.zero != 0 || header.bytes == 0 ||
      header.bytes > kMaxBatchBytes) {
    return std::string_view();
  }
  const size_t whole = sizeof(header) + header.bytes;
  BERTH_ASSIGN(there, Fill(whole));
  if (!there) return std::string_view();
  const auto records = std::string_view(buffer_).substr(used_ + sizeof(header), header.bytes);
  if (verify && Crc32c(records) != header.crc) return std::string_view();
  used_ += whole;
  next_ += whole;
  return records;
}

Result<SegmentIndex> ScanSegment(int fd, const SegmentHeader& header, uint64_t bytes, bool verify) {
  SegmentIndex index;
  index.last_seq = header.first_seq - 1;
  BatchReader reader(fd, sizeof(header), bytes);
  for (;;) {
    BERTH_ASSIGN(const std::string_view records, reader.Next(verify));
    if (records.empty() || !index.Add(records)) return index;
  }
}

}  // namespace berth::logs
