// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "images/rootfs/limits.h"

namespace berth::image {

void Warnings::Add(std::string text) {
  if (std::ranges::find(list_, text) != list_.end()) return;
  if (list_.size() < kMaxWarnings) {
    list_.push_back(std::move(text));
  } else {
    ++more_;
  }
}

std::vector<std::string> Warnings::List() const {
  std::vector<std::string> list = list_;
  if (more_ > 0) list.push_back(fmt::format("{} more warnings", more_));
  return list;
}

Result<> Cancel::Check() const {
  pollfd poll_fd{fd, POLLIN, 0};
  if (fd >= 0 && poll(&poll_fd, 1, 0) > 0) return Fail("build", ECANCELED, "stopped by a signal");
  return {};
}

Result<> AddXattr(Inode& inode, const std::string& path, std::string name, std::string value) {
  size_t names = name.size() + 1;
  for (const auto& [other, bytes] : inode.xattrs) names += other.size() + 1;
  if (name.size() + value.size() > kMaxXattrBytes || names > kMaxXattrBytes) {
    return Fail("xattr", E2BIG,
                fmt::format("'{}': extended attribute {} of {} bytes", Quoted(path), Quoted(name),
                            value.size()),
                fmt::format("fakeroot carries at most {} bytes of name and value, and as many of "
                            "all names of a file; take it away from the source",
                            kMaxXattrBytes));
  }
  inode.xattrs[std::move(name)] = std::move(value);
  return {};
}

Result<std::span<const std::byte>> HashedFile::Read() {
  constexpr size_t kPieceBytes = 256 * 1024;
  buffer_.resize(kPieceBytes);
  while (true) {
    BERTH_TRY(cancel_.Check());
    const ssize_t n = read(fd_.get(), buffer_.data(), buffer_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read", name_);
    const auto piece = std::span(buffer_).first(static_cast<size_t>(n));
    sha256_.Update(piece);
    return piece;
  }
}

Result<std::string> HashedFile::Finish() {
  while (true) {
    BERTH_ASSIGN(const auto piece, Read());
    if (piece.empty()) return sha256_.HexDigest();
  }
}

Result<Source> LoadSource(const std::string& from, Loading& loading) {
  if (from.starts_with("oci:")) {
    std::string layout = from.substr(4);
    std::string tag;
    // A layout's path may hold colons too: it is the whole where that is a directory.
    struct stat st{};
    if (const size_t colon = layout.rfind(':');
        colon != std::string::npos && stat(layout.c_str(), &st) != 0) {
      tag = layout.substr(colon + 1);
      layout.resize(colon);
    }
    return LoadOci(layout, tag, loading);
  }
  UniqueFd fd(open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st{};
  if (!fd || fstat(fd.get(), &st) != 0) {
    if (errno == EACCES) return ErrnoError("from", from, kReadAsOwner);
    return ErrnoError("from", from, "--from takes a directory, a tar archive or oci:LAYOUT[:TAG]");
  }
  if (S_ISDIR(st.st_mode)) return LoadDirectory(from, loading);
  if (!S_ISREG(st.st_mode)) {
    return Fail("from", EINVAL, from + " is neither a directory nor a file",
                "--from takes a directory, a tar archive or oci:LAYOUT[:TAG]");
  }
  Source source;
  source.kind = "tar";
  HashedFile file(std::move(fd), from, loading.cancel);
  BERTH_TRY(ApplyTar(file, 0, source.tree, loading));
  BERTH_ASSIGN(const std::string digest, file.Finish());
  source.digest = "sha256:" + digest;
  return source;
}

}  // namespace berth::image
