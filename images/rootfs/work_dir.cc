// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/work_dir.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "images/rootfs/manifest.h"

namespace berth::image {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = "lock";
constexpr mode_t kImageMode = 0755;
constexpr const char* kInputsName = ".inputs";  // images/demo/build: what it made the image of

// Removes the work folders of builders that are gone.
void RemoveStale(const fs::path& folder, const std::string& prefix) {
  std::error_code ignored;
  for (const auto& each : fs::directory_iterator(folder, ignored)) {
    if (!each.path().filename().string().starts_with(prefix)) continue;
    const std::string lock_path = (each.path() / kLockName).string();
    const UniqueFd lock(open(lock_path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    // Without a lock: its builder is between two calls of Make, or died there; let it be then.
    if (!lock || flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;
    fs::remove_all(each.path(), ignored);
  }
}

// Whether what stands at `out` may be replaced: nothing, or an image that a build made with no more
// in it than the build put there.
Result<> CheckReplaceable(const fs::path& out) {
  struct stat st{};
  if (lstat(out.c_str(), &st) != 0) return {};
  const auto manifest = ReadManifest(out);
  if (!S_ISDIR(st.st_mode) || !manifest) {
    return Fail("out", EEXIST, out.string() + " is there, and berth image build did not make it",
                "name another, or move it away");
  }
  std::error_code code;
  for (const auto& each : fs::directory_iterator(out, code)) {
    const std::string name = each.path().filename().string();
    if (name == kManifestName || name == kInputsName || (*manifest)["files"].contains(name)) {
      continue;
    }
    return Fail("out", EEXIST,
                each.path().string() + " is there, and berth image build did not make it",
                "the folder is replaced whole: move the file away");
  }
  if (code) return Fail("out", code.value(), out.string());
  return {};
}

// Asks ext4 to look all over the disk for a group of inodes for each folder made in this one. Else
// they stand near the last build's, and each file of a spool walks past all inodes that were
// removed with that, which ext4 hands out again after some minutes only. By the folder's name, so
// that has to be another each time. Other file systems know no such flag and need none.
void SpreadFolders(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  int flags = 0;
  if (!fd || ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return;
  flags |= FS_TOPDIR_FL;
  (void)ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);
}

Result<> SyncFile(const fs::path& path, int flags) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (!fd || fsync(fd.get()) != 0) return ErrnoError("commit", path.string());
  return {};
}

}  // namespace

Result<WorkDir> WorkDir::Make(const std::string& out) {
  std::error_code code;
  fs::path target = fs::absolute(out, code).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  if (code || !target.has_filename()) return Fail("out", EINVAL, out, "-o takes a folder to make");
  BERTH_TRY(CheckReplaceable(target));
  const fs::path folder = target.parent_path();
  fs::create_directories(folder, code);
  const std::string prefix = "." + target.filename().string() + ".berth-build.";
  RemoveStale(folder, prefix);
  std::string path = (folder / (prefix + "XXXXXX")).string();
  if (mkdtemp(path.data()) == nullptr) return ErrnoError("out", folder.string());
  UniqueFd lock(
      open((path + "/" + kLockName).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  WorkDir work(target.string(), path, std::move(lock));
  if (!work.lock_ || flock(work.lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return ErrnoError("out", path);
  }
  SpreadFolders(path);
  if (mkdir(work.image().c_str(), kImageMode) != 0) return ErrnoError("out", work.image());
  if (mkdir(work.spool().c_str(), 0700) != 0) return ErrnoError("out", work.spool());
  return work;
}

WorkDir::WorkDir(WorkDir&& other) noexcept
    : out_(std::move(other.out_)),
      path_(std::exchange(other.path_, {})),
      lock_(std::move(other.lock_)) {}

WorkDir::~WorkDir() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<> WorkDir::Commit() {
  std::error_code code;
  for (const auto& file : fs::directory_iterator(image(), code)) {
    // Whoever's umask it was made under.
    if (chmod(file.path().c_str(), 0644) != 0) return ErrnoError("commit", file.path().string());
    BERTH_TRY(SyncFile(file.path(), 0));
  }
  if (chmod(image().c_str(), kImageMode) != 0) return ErrnoError("commit", image());
  BERTH_TRY(SyncFile(image(), O_DIRECTORY));
  BERTH_TRY(CheckReplaceable(out_));  // once more: a build takes its time
  // An exchange, so that what was there before is there until the new one is.
  struct stat st{};
  const bool replaces = lstat(out_.c_str(), &st) == 0;
  if (renameat2(AT_FDCWD, image().c_str(), AT_FDCWD, out_.c_str(),
                replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE) != 0) {
    return ErrnoError("commit", out_);
  }
  return SyncFile(fs::path(out_).parent_path(), O_DIRECTORY);
}

}  // namespace berth::image
