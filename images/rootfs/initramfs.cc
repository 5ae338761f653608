// SPDX-License-Identifier: Apache-2.0
//
// The newc archive that a kernel unpacks into its first root file system, by libarchive.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <unordered_map>
#include <vector>

#include "images/rootfs/filesystem.h"

namespace berth::image {
namespace {

constexpr size_t kCopyBytes = 256 * 1024;
constexpr size_t kMaxCpioFileBytes = 0xffffffff;  // eight hexadecimal digits

using Writer = std::unique_ptr<archive, int (*)(archive*)>;
using CpioEntry = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

struct Numbered {
  int64_t number = 0;
  unsigned names = 0;
  unsigned written = 0;
};

class Cpio {
 public:
  Cpio(archive* writer, const Spool& spool, const Cancel& cancel)
      : writer_(writer), spool_(spool), cancel_(cancel) {}

  // The content of an inode stands with its last name: the kernel makes the file at its first one
  // and links the others to it, and libarchive's own reader and cpio(1) take it so too.
  Result<> Put(const std::string& path, const Inode& inode, const Numbered& number);

 private:
  Result<> Copy(const std::string& path, const Inode& inode);

  archive* const writer_;
  const Spool& spool_;
  const Cancel& cancel_;
};

Result<> Cpio::Copy(const std::string& path, const Inode& inode) {
  const UniqueFd fd(open(spool_.Path(inode.content).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("initramfs", Quoted(path));
  std::vector<char> buffer(kCopyBytes);
  while (true) {
    BERTH_TRY(cancel_.Check());
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("initramfs", Quoted(path));
    if (n == 0) return {};
    if (archive_write_data(writer_, buffer.data(), static_cast<size_t>(n)) != n) {
      return Fail("initramfs", archive_errno(writer_), archive_error_string(writer_));
    }
  }
}

Result<> Cpio::Put(const std::string& path, const Inode& inode, const Numbered& number) {
  if (inode.content.bytes > kMaxCpioFileBytes) {
    return Fail("initramfs", EFBIG, Quoted(path) + " is too big for an initramfs",
                "choose another --format");
  }
  const CpioEntry entry(archive_entry_new(), archive_entry_free);
  const bool last = number.written == number.names;
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_filetype(entry.get(), TypeBits(inode.type));
  archive_entry_set_perm(entry.get(), inode.mode);
  archive_entry_set_uid(entry.get(), inode.uid);
  archive_entry_set_gid(entry.get(), inode.gid);
  archive_entry_set_mtime(entry.get(), inode.mtime, 0);
  archive_entry_set_ino64(entry.get(), number.number);
  archive_entry_set_nlink(entry.get(), inode.type == Type::kDirectory ? 2 : number.names);
  archive_entry_set_rdevmajor(entry.get(), inode.major);
  archive_entry_set_rdevminor(entry.get(), inode.minor);
  if (inode.type == Type::kSymlink) archive_entry_set_symlink(entry.get(), inode.target.c_str());
  archive_entry_set_size(entry.get(), inode.type == Type::kFile && last
                                          ? static_cast<int64_t>(inode.content.bytes)
                                          : 0);
  if (archive_write_header(writer_, entry.get()) != ARCHIVE_OK) {
    return Fail("initramfs", archive_errno(writer_),
                fmt::format("{}: {}", Quoted(path), archive_error_string(writer_)));
  }
  return inode.type == Type::kFile && last ? Copy(path, inode) : Result<>{};
}

}  // namespace

Result<> WriteInitramfs(const Tree& tree, const Spool& spool, bool zstd, const std::string& out,
                        Warnings& warnings, const Cancel& cancel) {
  const Writer writer(archive_write_new(), archive_write_free);
  archive_write_set_format_cpio_newc(writer.get());
  archive_write_set_bytes_in_last_block(writer.get(), 512);
  if (zstd) {
    archive_write_add_filter_zstd(writer.get());
    archive_write_set_filter_option(writer.get(), "zstd", "compression-level", "19");
  }
  if (archive_write_open_filename(writer.get(), out.c_str()) != ARCHIVE_OK) {
    return Fail("initramfs", archive_errno(writer.get()), archive_error_string(writer.get()));
  }
  std::unordered_map<const Inode*, Numbered> numbers;
  for (const auto& [path, entry] : tree.entries()) {
    Numbered& number = numbers[entry.inode.get()];
    if (number.names++ == 0) number.number = static_cast<int64_t>(numbers.size());
    if (number.names == 1 && !entry.inode->xattrs.empty()) {
      std::string names;
      for (const auto& [name, value] : entry.inode->xattrs) names += " " + Quoted(name);
      warnings.Add("an initramfs has no extended attributes; left out of " + Quoted(path) + ":" +
                   names);
    }
  }
  Cpio cpio(writer.get(), spool, cancel);
  for (const auto& [path, entry] : tree.entries()) {
    Numbered& number = numbers[entry.inode.get()];
    ++number.written;
    // The kernel's root is there before, with a mode (01777) and an owner of its own.
    BERTH_TRY(cpio.Put(path.empty() ? "." : path, *entry.inode, number));
  }
  if (archive_write_close(writer.get()) != ARCHIVE_OK) {
    return Fail("initramfs", archive_errno(writer.get()), archive_error_string(writer.get()));
  }
  return {};
}

}  // namespace berth::image
