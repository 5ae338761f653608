// SPDX-License-Identifier: Apache-2.0
#include "supervisor/logs/store.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "protocol/base/clock.h"

namespace berth::logs {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".log";
constexpr size_t kNumberDigits = 10;

// "0000000042.log"; nullopt for what is no segment's name.
std::optional<uint64_t> NumberOf(const std::string& name) {
  if (name.size() != kNumberDigits + kSuffix.size() || !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  uint64_t number = 0;
  const char* const end = name.data() + kNumberDigits;
  const auto parsed = std::from_chars(name.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

Result<> WriteAll(int fd, std::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("log-write");
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<> SyncDir(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0) return ErrnoError("log-sync", path);
  return {};
}

}  // namespace

std::string Store::PathOf(uint64_t number) const {
  std::string digits = std::to_string(number);
  digits.insert(0, kNumberDigits - std::min(kNumberDigits, digits.size()), '0');
  return dir_ + "/" + digits + std::string(kSuffix);
}

Result<std::unique_ptr<Store>> Store::Open(std::string dir, StoreBounds bounds) {
  std::unique_ptr<Store> store(new Store(std::move(dir), bounds));
  BERTH_TRY(store->Load());
  if (!store->segments_.empty()) BERTH_TRY(store->Recover());
  if (store->id_ == 0 && getrandom(&store->id_, sizeof(store->id_), 0) != sizeof(store->id_)) {
    return ErrnoError("log-open", "getrandom");
  }
  return store;
}

Result<> Store::Load() {
  std::error_code code;
  std::vector<uint64_t> numbers;
  for (const auto& entry : fs::directory_iterator(dir_, code)) {
    if (const auto number = NumberOf(entry.path().filename())) numbers.push_back(*number);
  }
  if (code && code != std::errc::no_such_file_or_directory) {
    return Fail("log-open", code.value(), dir_);
  }
  std::ranges::sort(numbers);
  for (const uint64_t number : numbers) {
    const std::string path = PathOf(number);
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat status{};
    if (!fd || fstat(fd.get(), &status) != 0) return ErrnoError("log-open", path);
    const auto header = ReadSegmentHeader(fd.get());
    if (!header && header.error().errnum != EINVAL) return std::unexpected(header.error());
    const bool fits =
        header && (segments_.empty() ||
                   (header->store == id_ && segments_.back().header.boot <= header->boot));
    if (!fits) {
      // A crash while it was made, or the disk's fault: nothing in it can be trusted.
      unlink(path.c_str());
      continue;
    }
    id_ = header->store;
    segments_.push_back({number, *header, static_cast<uint64_t>(status.st_size)});
    total_bytes_ += segments_.back().bytes;
  }
  return {};
}

// The older segments were durable before the last one was made: only that one can be torn.
Result<> Store::Recover() {
  while (!segments_.empty()) {
    Segment& last = segments_.back();
    const std::string path = PathOf(last.number);
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return ErrnoError("log-open", path);
    BERTH_ASSIGN(SegmentIndex index, ScanSegment(fd.get(), last.header, last.bytes, true));
    if (index.chunks.empty()) {
      Drop(segments_.size() - 1);
      continue;
    }
    if (index.end < last.bytes) {
      if (ftruncate(fd.get(), static_cast<off_t>(index.end)) != 0 || fdatasync(fd.get()) != 0) {
        return ErrnoError("log-open", path);
      }
      total_bytes_ -= last.bytes - index.end;
      last.bytes = index.end;
    }
    boot_ = last.header.boot;
    boot_id_ = last.header.boot_id;
    last_seq_ = index.last_seq;
    sources_ = index.sources;
    active_ = Loaded{last.number, std::move(fd), std::move(index)};
    return {};
  }
  return {};
}

Store::Tail Store::tail() const {
  if (boot_ == 0) return {};
  return {boot_id_, last_seq_, sources_};
}

Result<> Store::Append(const BootId& boot_id, std::string_view records) {
  if (records.empty()) return {};
  const bool new_boot = boot_ == 0 || boot_id != boot_id_;
  SegmentIndex facts;
  facts.last_seq = new_boot ? 0 : last_seq_;
  BERTH_TRY(facts.Add(records));
  if (new_boot) {
    if (lost_) {
      std::string gap;
      AddGap(gap, *lost_, RealtimeNs());
      std::ignore = Write(gap);  // the last chance; without it the boot ends early
    }
    ++boot_;
    boot_id_ = boot_id;
    last_seq_ = 0;
    sources_.clear();
    lost_.reset();
    unnamed_ = false;
  }
  std::string front;
  if (unnamed_) {
    for (const auto& [number, name] : sources_) AddSource(front, number, name);
  }
  if (lost_) AddGap(front, *lost_, RealtimeNs());
  if (front.size() + records.size() > kMaxBatchBytes) {
    return Fail("log-batch", EINVAL, "a batch over its limit");
  }
  auto written = front.empty() ? Write(records) : Write(front.append(records));
  for (const auto& [number, name] : facts.sources) sources_.emplace(number, name);
  if (written) {
    lost_.reset();
    unnamed_ = false;
  } else {
    if (facts.last_seq > last_seq_) {
      lost_ = Gap{lost_ ? lost_->from : last_seq_ + 1, facts.last_seq, written.error().errnum};
    }
    unnamed_ = unnamed_ || !facts.sources.empty();
  }
  last_seq_ = facts.last_seq;
  return written;
}

Result<> Store::Write(std::string_view records) {
  // In batches of about a chunk, so that a reader need not walk through a large one for each page;
  // all of them with one write.
  std::vector<std::string_view> batches;
  std::string bytes;
  while (!records.empty()) {
    std::string_view rest = records;
    while (records.size() - rest.size() < kChunkBytes && TakeRecord(rest)) {
    }
    batches.push_back(records.substr(0, records.size() - rest.size()));
    bytes += EncodeBatch(batches.back());
    records = rest;
  }
  const bool room =
      active_ && segments_.back().header.boot == boot_ &&
      (active_->index.end + bytes.size() <= bounds_.segment_bytes || active_->index.chunks.empty());
  if (!room) BERTH_TRY(Roll(bytes.size()));
  Trim(bytes.size(), 0);
  BERTH_TRY(WriteActive(bytes));
  for (const std::string_view batch : batches) BERTH_TRY(active_->index.Add(batch));
  return {};
}

Result<> Store::WriteActive(std::string_view bytes) {
  Segment& segment = segments_.back();
  const int fd = active_->fd.get();
  auto written = WriteAll(fd, bytes, segment.bytes);
  if (written && fdatasync(fd) != 0) written = ErrnoError("log-sync");
  if (!written) {
    // What got there is none of the records: the place is used again.
    std::ignore = ftruncate(fd, static_cast<off_t>(segment.bytes));
    written.error().detail = PathOf(segment.number);
    return written;
  }
  segment.bytes += bytes.size();
  total_bytes_ += bytes.size();
  return {};
}

Result<> Store::Roll(size_t need) {
  if (mkdir(dir_.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoError("log-dir", dir_);
  const bool same_boot = !segments_.empty() && active_ && segments_.back().header.boot == boot_;
  SegmentHeader header;
  header.store = id_;
  header.boot = boot_;
  header.boot_id = boot_id_;
  header.first_seq = same_boot ? active_->index.last_seq + 1 : 1;
  std::string bytes = Encode(header);
  SegmentIndex index;
  index.last_seq = header.first_seq - 1;
  if (same_boot && !active_->index.sources.empty()) {
    std::string names;
    for (const auto& [number, name] : active_->index.sources) AddSource(names, number, name);
    bytes += EncodeBatch(names);
    BERTH_TRY(index.Add(names));
  }
  Trim(bytes.size() + need, 1);
  const uint64_t number = segments_.empty() ? 1 : segments_.back().number + 1;
  const std::string path = PathOf(number);
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoError("log-create", path);
  auto made = WriteAll(fd.get(), bytes, 0);
  if (made && fdatasync(fd.get()) != 0) made = ErrnoError("log-sync", path);
  if (made) made = SyncDir(dir_);
  if (!made) {
    unlink(path.c_str());
    return made;
  }
  segments_.push_back({number, header, bytes.size()});
  total_bytes_ += bytes.size();
  active_ = Loaded{number, std::move(fd), std::move(index)};
  return {};
}

void Store::Trim(uint64_t bytes, size_t segments) {
  while (segments_.size() > 1 &&
         (total_bytes_ + bytes > bounds_.max_bytes || segments_.size() + segments > kMaxSegments)) {
    Drop(0);
  }
}

void Store::Drop(size_t at) {
  const uint64_t number = segments_[at].number;
  unlink(PathOf(number).c_str());
  total_bytes_ -= segments_[at].bytes;
  segments_.erase(segments_.begin() + static_cast<std::ptrdiff_t>(at));
  std::erase_if(loaded_, [number](const Loaded& each) { return each.number == number; });
}

}  // namespace berth::logs
