// SPDX-License-Identifier: Apache-2.0
//
// A directory of this host as a source. Walked by descriptors and without following any link.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "images/rootfs/limits.h"
#include "images/rootfs/source.h"

namespace berth::image {
namespace {

constexpr size_t kMaxXattrList = 64 * 1024;  // XATTR_LIST_MAX

// Labels that this host's security modules gave its own files; they would mean nothing in a guest.
constexpr std::array<std::string_view, 4> kHostXattrs = {"security.selinux", "security.ima",
                                                         "security.evm", "security.SMACK64"};

class Walk {
 public:
  Walk(const std::string& root, Tree& tree, Loading& loading)
      : root_(root), tree_(tree), loading_(loading) {}

  Result<> Directory(UniqueFd fd, const std::string& path, size_t depth);

 private:
  Result<> Child(int dir_fd, const std::string& name, const std::string& path, size_t depth);
  Result<> Xattrs(const std::string& proc_path, const std::string& path, Inode& inode);
  std::string Here(const std::string& path) const { return root_ + "/" + Quoted(path); }

  const std::string& root_;
  Tree& tree_;
  Loading& loading_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // inodes of several names → first name
  bool host_label_ = false;
  // Of Xattrs; here, so that no inode waits for their zeroing.
  std::string xattr_names_ = std::string(kMaxXattrList, '\0');
  std::string xattr_value_ = std::string(kMaxXattrList, '\0');
};

Inode FromStat(const struct stat& st, Type type) {
  Inode inode;
  inode.type = type;
  inode.mode = st.st_mode & 07777;
  inode.uid = st.st_uid;
  inode.gid = st.st_gid;
  inode.mtime = st.st_mtim.tv_sec;
  if (type == Type::kCharDevice || type == Type::kBlockDevice) {
    inode.major = major(st.st_rdev);
    inode.minor = minor(st.st_rdev);
  }
  return inode;
}

// The path is one of /proc/self/fd, so that only its last part is looked up, and not followed.
Result<> Walk::Xattrs(const std::string& proc_path, const std::string& path, Inode& inode) {
  const ssize_t size = llistxattr(proc_path.c_str(), xattr_names_.data(), xattr_names_.size());
  if (size < 0 && (errno == ENOTSUP || errno == EPERM)) return {};
  if (size < 0) return ErrnoError("xattr", Here(path));
  for (size_t at = 0; at < static_cast<size_t>(size);) {
    const std::string name = xattr_names_.c_str() + at;
    at += name.size() + 1;
    if (std::ranges::find(kHostXattrs, name) != kHostXattrs.end()) {
      if (!host_label_) loading_.warnings.Add("labels of this host (" + name + ") are left out");
      host_label_ = true;
      continue;
    }
    const ssize_t n =
        lgetxattr(proc_path.c_str(), name.c_str(), xattr_value_.data(), xattr_value_.size());
    if (n < 0) return ErrnoError("xattr", Here(path) + ": " + name);
    BERTH_TRY(AddXattr(inode, path, name, xattr_value_.substr(0, static_cast<size_t>(n))));
  }
  return {};
}

Result<> Walk::Directory(UniqueFd fd, const std::string& path, size_t depth) {
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return ErrnoError("read", Here(path));
  Inode inode = FromStat(st, Type::kDirectory);
  BERTH_TRY(Xattrs(fmt::format("/proc/self/fd/{}/.", fd.get()), path, inode));
  BERTH_TRY(tree_.Put(path, std::move(inode)));

  const int dir_fd = fd.get();
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(dir_fd), closedir);
  if (dir == nullptr) return ErrnoError("read", Here(path));
  (void)fd.Release();  // the stream owns it now
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    if (names.size() > kMaxEntries) return Fail("entries", E2BIG, Here(path));
    errno = 0;
  }
  if (errno != 0) return ErrnoError("read", Here(path));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    BERTH_TRY(loading_.cancel.Check());
    const std::string joined = path.empty() ? name : path + "/" + name;
    BERTH_ASSIGN(const std::string child, CleanPath(joined));
    BERTH_TRY(Child(dir_fd, name, child, depth));
  }
  return {};
}

Result<> Walk::Child(int dir_fd, const std::string& name, const std::string& path, size_t depth) {
  const std::string proc_path = fmt::format("/proc/self/fd/{}/{}", dir_fd, name);
  struct stat st{};
  if (fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoError("read", Here(path));
  }
  if (!S_ISDIR(st.st_mode) && !S_ISSOCK(st.st_mode) && st.st_nlink > 1) {
    const auto [first, fresh] = linked_.try_emplace({st.st_dev, st.st_ino}, path);
    if (!fresh) return tree_.Link(path, first->second);
  }
  switch (st.st_mode & S_IFMT) {
    case S_IFDIR: {
      if (depth >= kMaxDepth) return Fail("path", ENAMETOOLONG, Here(path) + ": too deep");
      UniqueFd fd(openat(dir_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!fd) return ErrnoError("read", Here(path), kReadAsOwner);
      return Directory(std::move(fd), path, depth + 1);
    }
    case S_IFREG: {
      // Opened once, and what was opened is what is looked at.
      const UniqueFd fd(
          openat(dir_fd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
      if (!fd || fstat(fd.get(), &st) != 0) {
        return ErrnoError("read", Here(path), kReadAsOwner);
      }
      if (!S_ISREG(st.st_mode)) return Fail("read", EAGAIN, Here(path) + " changed meanwhile");
      Inode inode = FromStat(st, Type::kFile);
      BERTH_TRY(Xattrs(proc_path, path, inode));
      BERTH_ASSIGN(inode.content, loading_.spool.AddFrom(fd.get(), Here(path)));
      return tree_.Put(path, std::move(inode));
    }
    case S_IFLNK: {
      Inode inode = FromStat(st, Type::kSymlink);
      inode.mode = 0777;
      std::string target(kMaxTargetBytes + 1, '\0');
      const ssize_t n = readlinkat(dir_fd, name.c_str(), target.data(), target.size());
      if (n < 0) return ErrnoError("read", Here(path));
      target.resize(static_cast<size_t>(n));
      inode.target = std::move(target);
      BERTH_TRY(Xattrs(proc_path, path, inode));
      return tree_.Put(path, std::move(inode));
    }
    case S_IFSOCK:
      loading_.warnings.Add("socket left out: " + Quoted(path));
      return {};
    default: {
      const Type type = S_ISCHR(st.st_mode)   ? Type::kCharDevice
                        : S_ISBLK(st.st_mode) ? Type::kBlockDevice
                                              : Type::kFifo;
      Inode inode = FromStat(st, type);
      BERTH_TRY(Xattrs(proc_path, path, inode));
      return tree_.Put(path, std::move(inode));
    }
  }
}

}  // namespace

Result<Source> LoadDirectory(const std::string& path, Loading& loading) {
  Source source;
  source.kind = "directory";
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError("from", path);
  BERTH_TRY(Walk(path, source.tree, loading).Directory(std::move(fd), "", 0));
  return source;
}

}  // namespace berth::image
