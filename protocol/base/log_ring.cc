// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/log_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "protocol/base/clock.h"

namespace berth {
namespace {

constexpr uint64_t kMagic = 0x3167'6f6c'6874'7262;  // "brthlog1"

// What stands before it in the program is in memory before what stands behind it. A process that is
// killed has done all that it did up to there, whatever the processor's order: the compiler alone
// must not change it.
void InThisOrder() { std::atomic_signal_fence(std::memory_order_seq_cst); }

void Store(uint64_t& to, uint64_t value) {
  InThisOrder();
  __atomic_store_n(&to, value, __ATOMIC_RELEASE);
  InThisOrder();
}

}  // namespace

LogClock LogClock::Now() { return {RealtimeNs(), MonotonicNs()}; }

Result<UniqueFd> MakeLogRing(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  bytes = (std::clamp(bytes, kMinLogRingBytes, kMaxLogRingBytes) + page - 1) / page * page;
  UniqueFd fd(memfd_create("log-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(kLogRingHeaderBytes + bytes)) != 0 ||
      fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return ErrnoError("log-ring", "memfd of " + std::to_string(bytes) + " bytes");
  }
  return fd;
}

Result<UniqueFd> MakeLogSpool() {
  UniqueFd fd(memfd_create("log-spool", MFD_CLOEXEC));
  if (!fd) return ErrnoError("log-spool", "memfd");
  return fd;
}

Result<LogRing> LogRing::Map(int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return ErrnoError("log-ring", "fstat");
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const auto size = static_cast<size_t>(info.st_size);
  if (size < kLogRingHeaderBytes + kMinLogRingBytes ||
      size > kLogRingHeaderBytes + kMaxLogRingBytes || size % page != 0 ||
      kLogRingHeaderBytes % page != 0) {
    return Fail("log-ring", EINVAL, "a memfd of " + std::to_string(size) + " bytes is no ring");
  }
  const size_t capacity = size - kLogRingHeaderBytes;
  void* const base = mmap(nullptr, size + capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return ErrnoError("log-ring", "mmap");
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  if (mmap(base, size, kProtection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
      mmap(static_cast<std::byte*>(base) + size, capacity, kProtection, MAP_SHARED | MAP_FIXED, fd,
           kLogRingHeaderBytes) == MAP_FAILED) {
    auto error = ErrnoError("log-ring", "mmap");
    munmap(base, size + capacity);
    return error;
  }
  LogRing ring(static_cast<std::byte*>(base), capacity);
  ring.Recover();
  return ring;
}

LogRing::LogRing(std::byte* base, size_t capacity)
    : base_(base),
      capacity_(capacity),
      header_(reinterpret_cast<LogRingHeader*>(base)),
      records_(base + kLogRingHeaderBytes),
      states_(kMaxLogSources) {}

LogRing::LogRing(LogRing&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      capacity_(other.capacity_),
      header_(other.header_),
      records_(other.records_),
      head_(other.head_),
      tail_(other.tail_),
      end_(other.end_),
      next_seq_(other.next_seq_),
      states_(std::move(other.states_)),
      named_(std::move(other.named_)),
      damaged_(other.damaged_) {}

LogRing::~LogRing() {
  if (base_ != nullptr) munmap(base_, kLogRingHeaderBytes + 2 * capacity_);
}

void LogRing::Recover() {
  if (header_->magic == 0) {
    header_->capacity = capacity_;
    Store(header_->magic, kMagic);
  }
  for (uint16_t i = 0; i < kMaxLogSources; ++i) {
    LogSourceEntry& entry = header_->sources[i];
    entry.name[sizeof(entry.name) - 1] = '\0';
    if (entry.name[0] != '\0') named_.push_back(i);
    states_[i] = {entry.position, entry.level, (entry.flags & LogFlag::kPartial) != 0};
  }
  tail_ = header_->tail;
  head_ = header_->head;
  damaged_ = !Walk();
  if (damaged_) {
    next_seq_ = std::max(header_->dropped_seq, header_->acked_seq) +
                capacity_ / sizeof(LogRecordHeader) + 1;
    header_->magic = kMagic;
    header_->capacity = capacity_;
    header_->dropped_seq = next_seq_ - 1;
    tail_ = head_ = 0;
    Store(header_->head, head_);
    Store(header_->tail, tail_);
  }
  end_ = head_;
}

// From tail to head. False where that is not what Append can have left.
bool LogRing::Walk() {
  if (header_->magic != kMagic || header_->capacity != capacity_ || head_ < tail_ ||
      head_ - tail_ > capacity_) {
    return false;
  }
  next_seq_ = header_->dropped_seq + 1;
  for (uint64_t at = tail_; at < head_;) {
    if (head_ - at < sizeof(LogRecordHeader)) return false;
    const LogRecordHeader record = HeaderAt(at);
    const bool fits = record.size >= sizeof(LogRecordHeader) && record.size <= kMaxLogRecordBytes &&
                      PaddedLogRecord(record.size) <= head_ - at;
    if (!fits || record.source >= kMaxLogSources) return false;
    // The last process may have told of the oldest one's end, and not have moved the tail.
    if (record.seq != next_seq_ && (at != tail_ || record.seq + 1 != next_seq_)) return false;
    states_[record.source] = {record.position, record.level,
                              (record.flags & LogFlag::kPartial) != 0};
    next_seq_ = record.seq + 1;
    at += PaddedLogRecord(record.size);
  }
  return true;
}

void LogRing::Name(uint16_t number, std::string_view name) {
  if (NameOf(number) == name || name.empty()) return;
  LogSourceEntry& entry = header_->sources[number];
  const bool is_new = entry.name[0] == '\0';
  name = name.substr(0, sizeof(entry.name) - 1);
  std::memset(entry.name, 0, sizeof(entry.name));
  std::memcpy(entry.name, name.data(), name.size());
  if (is_new) named_.push_back(number);
}

std::string_view LogRing::NameOf(uint16_t number) const {
  const LogSourceEntry& entry = header_->sources[number];
  return {entry.name, strnlen(entry.name, sizeof(entry.name))};
}

void LogRing::Append(const Record& record, const LogClock& clock) {
  const size_t size = sizeof(LogRecordHeader) + record.text.size();
  const size_t padded = PaddedLogRecord(size);
  while (end_ + padded - tail_ > capacity_) DropOldest();
  const LogRecordHeader header{.size = static_cast<uint32_t>(size),
                               .source = record.source,
                               .level = record.level,
                               .flags = record.flags,
                               .seq = next_seq_++,
                               .realtime_ns = clock.realtime_ns,
                               .monotonic_ns = clock.monotonic_ns,
                               .position = record.position};
  std::byte* const at = At(end_);
  std::memcpy(at, &header, sizeof(header));
  if (!record.text.empty()) {
    std::memcpy(at + sizeof(header), record.text.data(), record.text.size());
  }
  std::memset(at + size, 0, padded - size);
  end_ += padded;
  states_[record.source] = {record.position, record.level, (record.flags & LogFlag::kPartial) != 0};
}

void LogRing::Commit() {
  if (head_ == end_) return;
  head_ = end_;
  Store(header_->head, head_);
}

void LogRing::DropOldest() {
  if (tail_ == head_) Commit();
  const LogRecordHeader record = HeaderAt(tail_);
  LogSourceEntry& entry = header_->sources[record.source];
  entry.position = record.position;
  entry.level = record.level;
  entry.flags = record.flags;
  header_->dropped_seq = record.seq;
  tail_ += PaddedLogRecord(record.size);
  Store(header_->tail, tail_);
}

bool LogRing::HasRoom(size_t text_bytes) const {
  const uint64_t end = end_ + PaddedLogRecord(sizeof(LogRecordHeader) + text_bytes);
  for (uint64_t at = tail_; end - at > capacity_;) {
    const LogRecordHeader record = HeaderAt(at);
    if (record.seq > header_->acked_seq) return false;
    at += PaddedLogRecord(record.size);
  }
  return true;
}

uint64_t LogRing::oldest_seq() const { return tail_ < head_ ? HeaderAt(tail_).seq : next_seq_; }

void LogRing::Ack(uint64_t seq) {
  seq = std::min(seq, next_seq_ - 1);
  if (seq > header_->acked_seq) header_->acked_seq = seq;
}

uint64_t LogRing::Find(uint64_t seq) const {
  uint64_t at = tail_;
  while (at < head_) {
    const LogRecordHeader record = HeaderAt(at);
    if (record.seq > seq) break;
    at += PaddedLogRecord(record.size);
  }
  return at;
}

LogRecordHeader LogRing::HeaderAt(uint64_t offset) const {
  LogRecordHeader header;
  std::memcpy(&header, At(offset), sizeof(header));
  return header;
}

size_t LogRing::Copy(uint64_t& offset, std::span<std::byte> out) const {
  uint64_t end = offset;
  while (end < head_) {
    uint32_t size = 0;
    std::memcpy(&size, At(end), sizeof(size));
    const uint64_t next = end + PaddedLogRecord(size);
    if (next - offset > out.size()) break;
    end = next;
  }
  const size_t bytes = end - offset;
  if (bytes > 0) std::memcpy(out.data(), At(offset), bytes);
  offset = end;
  return bytes;
}

}  // namespace berth
