// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "images/rootfs/limits.h"

namespace berth::image {
namespace {

constexpr size_t kHoleBytes = 4096;
constexpr size_t kSpoolBuffer = 256 * 1024;

bool AllZero(std::span<const std::byte> data) {
  return std::ranges::all_of(data, [](std::byte b) { return b == std::byte{0}; });
}

size_t BlockAt(std::span<const std::byte> data, size_t at) {
  return std::min(kHoleBytes, data.size() - at);
}

Result<> WriteAt(int fd, std::span<const std::byte> data, uint64_t offset) {
  while (!data.empty()) {
    const ssize_t n = pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("spool", "writing the work folder", "is its disk full?");
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<size_t>(n);
  }
  return {};
}

}  // namespace

Result<Spool::Writer> Spool::Create() {
  const uint64_t id = next_id_++;
  const std::string path = dir_ + "/" + std::to_string(id);
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return ErrnoError("spool", path);
  return Writer(*this, std::move(fd), id);
}

Result<> Spool::Writer::Reserve(uint64_t count) {
  if (count > kMaxFileBytes - bytes_) {
    return Fail("spool", EFBIG, fmt::format("a file of more than {} bytes", kMaxFileBytes));
  }
  if (count > kMaxTreeBytes - spool_->total_bytes_) {
    return Fail("spool", EFBIG, fmt::format("more than {} bytes in all files", kMaxTreeBytes));
  }
  spool_->total_bytes_ += count;
  bytes_ += count;
  return {};
}

Result<> Spool::Writer::Flush() {
  std::span<const std::byte> rest(pending_);
  while (!rest.empty()) {
    // One write for all blocks up to the next one of zeros.
    size_t run = 0;
    while (run < rest.size() && !AllZero(rest.subspan(run).first(BlockAt(rest, run)))) {
      run += BlockAt(rest, run);
    }
    BERTH_TRY(WriteAt(fd_.get(), rest.first(run), flushed_));
    const size_t zeros = run < rest.size() ? BlockAt(rest, run) : 0;
    flushed_ += run + zeros;
    rest = rest.subspan(run + zeros);
  }
  pending_.clear();
  return {};
}

Result<> Spool::Writer::Append(std::span<const std::byte> data) {
  BERTH_TRY(Reserve(data.size()));
  sha256_.Update(data);
  while (!data.empty()) {
    const size_t n = std::min(data.size(), kSpoolBuffer - pending_.size());
    pending_.insert(pending_.end(), data.begin(), data.begin() + static_cast<ptrdiff_t>(n));
    data = data.subspan(n);
    if (pending_.size() == kSpoolBuffer) BERTH_TRY(Flush());
  }
  return {};
}

Result<> Spool::Writer::AppendZeros(uint64_t count) {
  static constexpr std::array<std::byte, kSpoolBuffer> kZeros{};
  if (count > kMaxFileBytes - bytes_) {  // before an hour is spent on hashing it
    return Fail("spool", EFBIG, fmt::format("a file of more than {} bytes", kMaxFileBytes));
  }
  while (count > 0) {
    BERTH_TRY(spool_->cancel_.Check());
    const auto n = static_cast<size_t>(std::min<uint64_t>(count, kZeros.size()));
    BERTH_TRY(Append(std::span(kZeros).first(n)));
    count -= n;
  }
  return {};
}

Result<Content> Spool::Writer::Finish() {
  BERTH_TRY(Flush());
  if (ftruncate(fd_.get(), static_cast<off_t>(bytes_)) != 0) return ErrnoError("spool", "size");
  return Content{id_, bytes_, sha256_.HexDigest()};
}

Result<Content> Spool::Add(std::string_view content) {
  BERTH_ASSIGN(Writer writer, Create());
  BERTH_TRY(writer.Append(std::as_bytes(std::span(content))));
  return writer.Finish();
}

Result<Content> Spool::AddFrom(int fd, const std::string& name) {
  BERTH_ASSIGN(Writer writer, Create());
  read_buffer_.resize(kSpoolBuffer);
  while (true) {
    BERTH_TRY(cancel_.Check());
    const ssize_t n = read(fd, read_buffer_.data(), read_buffer_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read", name);
    if (n == 0) return writer.Finish();
    BERTH_TRY(writer.Append(std::span(read_buffer_).first(static_cast<size_t>(n))));
  }
}

}  // namespace berth::image
