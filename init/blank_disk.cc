// SPDX-License-Identifier: Apache-2.0
#include "init/blank_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

constexpr Step kBlankDisk = "blank-disk";
constexpr uint64_t kBlockBytes = 4096;  // of the template

// A stretch of the template that is not zeros: `bytes` of kTemplateLiterals from `from` on, or
// 0xff where that is negative.
struct TemplatePiece {
  uint32_t at;
  uint32_t bytes;
  int32_t from;
};

#include "init/blank_ext4.inc"

// The kernel's fs/ext4/ext4.h; it has no uapi header for the first.
constexpr unsigned long kResizeFs = _IOW('f', 16, uint64_t);  // EXT4_IOC_RESIZE_FS, in blocks
struct FsUuid {                                               // Linux 6.0, struct fsuuid
  uint32_t bytes;
  uint32_t flags;
  unsigned char uuid[16];
};
constexpr unsigned long kSetFsUuid = _IOW('f', 44, uint64_t);  // EXT4_IOC_SETFSUUID

Result<> WriteAt(int fd, const std::vector<unsigned char>& bytes, uint64_t at) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoError(kBlankDisk, "write of a file system");
    done += static_cast<size_t>(n);
  }
  return {};
}

// The template's bytes [begin, end).
std::vector<unsigned char> TemplateBytes(uint32_t begin, uint32_t end) {
  std::vector<unsigned char> bytes(end - begin);
  for (const TemplatePiece& piece : kTemplate) {
    const uint32_t from = std::max(begin, piece.at);
    const uint32_t to = std::min(end, piece.at + piece.bytes);
    if (from >= to) continue;
    if (piece.from < 0) {
      std::memset(&bytes[from - begin], 0xff, to - from);
    } else {
      std::memcpy(&bytes[from - begin],
                  &kTemplateLiterals[static_cast<uint32_t>(piece.from) + from - piece.at],
                  to - from);
    }
  }
  return bytes;
}

Result<uint64_t> SizeOf(int fd) {
  const off_t end = lseek(fd, 0, SEEK_END);
  if (end < 0) return ErrnoError(kBlankDisk, "size of the disk");
  return static_cast<uint64_t>(end);
}

Result<bool> IsZero(int fd, uint64_t at, size_t bytes) {
  std::vector<char> buffer(bytes);
  for (size_t done = 0; done < bytes;) {
    const ssize_t n = pread(fd, buffer.data() + done, bytes - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError(kBlankDisk, "read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return std::ranges::all_of(buffer, [](char byte) { return byte == 0; });
}

}  // namespace

Result<bool> IsBlankDisk(int fd) {
  BERTH_ASSIGN(const uint64_t size, SizeOf(fd));
  const size_t probe = std::min<uint64_t>(kBlankProbeBytes, size);
  BERTH_ASSIGN(const bool start, IsZero(fd, 0, probe));
  if (!start) return false;
  return IsZero(fd, size - probe, probe);
}

Result<> WriteEmptyExt4(int fd) {
  BERTH_ASSIGN(const uint64_t size, SizeOf(fd));
  if (size < kTemplateBytes) {
    return Fail(kBlankDisk, ENOSPC, "the disk has " + std::to_string(size) + " bytes",
                "make it at least " + std::to_string(kTemplateBytes) + " bytes large");
  }
  // Block by block: what lies between may be remains of an earlier try.
  for (uint32_t at = kBlankProbeBytes; at < kTemplateBytes; at += kBlockBytes) {
    const auto in_block = [at](const TemplatePiece& piece) {
      return piece.at < at + kBlockBytes && piece.at + piece.bytes > at;
    };
    if (std::ranges::none_of(kTemplate, in_block)) continue;
    BERTH_TRY(WriteAt(fd, TemplateBytes(at, at + kBlockBytes), at));
  }
  if (fsync(fd) != 0) return ErrnoError(kBlankDisk, "fsync");
  BERTH_TRY(WriteAt(fd, TemplateBytes(0, kBlankProbeBytes), 0));
  if (fsync(fd) != 0) return ErrnoError(kBlankDisk, "fsync");
  return {};
}

Result<> GrowExt4(const std::string& mount_point, const std::string& device, bool is_new) {
  const UniqueFd disk(open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!disk) return ErrnoError(kBlankDisk, device);
  BERTH_ASSIGN(const uint64_t size, SizeOf(disk.get()));
  const UniqueFd root(open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct statfs info = {};
  if (!root || fstatfs(root.get(), &info) != 0) return ErrnoError(kBlankDisk, mount_point);
  uint64_t blocks = size / static_cast<uint64_t>(info.f_bsize);
  if (ioctl(root.get(), kResizeFs, &blocks) != 0) {
    return ErrnoError(kBlankDisk, "growing " + device + " to " + std::to_string(size) + " bytes",
                      "it can be used as it is, with less space");
  }
  if (!is_new) return {};
  FsUuid uuid{.bytes = sizeof(uuid.uuid), .flags = 0, .uuid = {}};
  // Kernels before 6.0 do not know it, and one without entropy yet would hold the boot: the disk
  // then keeps the template's UUID, and works.
  if (getrandom(uuid.uuid, sizeof(uuid.uuid), GRND_NONBLOCK) == sizeof(uuid.uuid)) {
    uuid.uuid[6] = static_cast<unsigned char>((uuid.uuid[6] & 0x0f) | 0x40);  // RFC 4122, version 4
    uuid.uuid[8] = static_cast<unsigned char>((uuid.uuid[8] & 0x3f) | 0x80);
    ioctl(root.get(), kSetFsUuid, &uuid);
  }
  return {};
}

}  // namespace berth::init
