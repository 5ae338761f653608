// SPDX-License-Identifier: Apache-2.0
#include "protocol/files/new_entry.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>

#include "protocol/files/entry.h"

namespace berth::files {
namespace {

constexpr int kNameAttempts = 16;

std::string TemporaryName() {
  uint64_t number = 0;
  // Without randomness the name is one that may be there: then another attempt is made.
  if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
    number = static_cast<uint64_t>(clock());
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(number));
  return ".berth-cp-" + std::string(digits.data());
}

std::string PathOf(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// Calls `make` with names until one is free. The name.
template <typename Make>
Result<std::string> UnderTemporaryName(Make&& make) {
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    std::string name = TemporaryName();
    if (make(name.c_str()) >= 0) return name;
    if (errno != EEXIST) break;
  }
  return ErrnoError("create");
}

// A temporary name that is gone when its owner is.
class Temporary {
 public:
  Temporary(int directory, std::string name) : directory_(directory), name_(std::move(name)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  // Also behind a rename: where both names were the same file's, rename(2) leaves this one.
  ~Temporary() { unlinkat(directory_, name_.c_str(), 0); }

  Result<> BecomeNamed(const std::string& name) const {
    struct stat there{};
    if (fstatat(directory_, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        (S_ISBLK(there.st_mode) || S_ISCHR(there.st_mode) || S_ISSOCK(there.st_mode))) {
      return Fail("create", EEXIST, Shown(name) + " is a device or a socket",
                  "remove it first if it is to be replaced");
    }
    if (renameat(directory_, name_.c_str(), directory_, name.c_str()) == 0) return {};
    return ErrnoError("create", Shown(name),
                      errno == EISDIR ? "a directory of that name is there already" : "");
  }

 private:
  int directory_;
  std::string name_;
};

timespec TimeOf(const v1::CopyEntry& entry) {
  return {.tv_sec = static_cast<time_t>(entry.mtime_s()),
          .tv_nsec = static_cast<long>(entry.mtime_ns())};
}

mode_t ModeOf(const v1::CopyEntry& entry, bool keep_owner) {
  return static_cast<mode_t>(entry.mode() & kModeBits & (keep_owner ? ~0U : ~kSetIdBits));
}

// Of what was just made under a temporary name and cannot be opened but as a path.
Result<> SetMetadataByPath(int directory, const std::string& temporary, mode_t kind,
                           const v1::CopyEntry& entry, bool keep_owner) {
  BERTH_ASSIGN(const UniqueFd fd, OpenBeneath(directory, temporary, O_PATH | O_NOFOLLOW));
  struct stat made{};
  if (fstat(fd.get(), &made) != 0 || (made.st_mode & S_IFMT) != kind) {
    return Fail("create", ESTALE, "somebody took a temporary file away");
  }
  if (keep_owner && fchownat(fd.get(), "", entry.uid(), entry.gid(), AT_EMPTY_PATH) != 0) {
    return ErrnoError("owner", Shown(entry.name()));
  }
  const std::string path = PathOf(fd.get());
  if (kind != S_IFLNK && chmod(path.c_str(), ModeOf(entry, keep_owner)) != 0) {
    return ErrnoError("mode", Shown(entry.name()));
  }
  const timespec times[] = {TimeOf(entry), TimeOf(entry)};
  if (utimensat(AT_FDCWD, path.c_str(), times, 0) != 0) {
    return ErrnoError("time", Shown(entry.name()));
  }
  return {};
}

}  // namespace

Result<> SetMetadata(int fd, const v1::CopyEntry& entry, bool keep_owner) {
  if (keep_owner && fchown(fd, entry.uid(), entry.gid()) != 0) {
    return ErrnoError("owner", Shown(entry.name()));
  }
  // Behind the owner, for chown(2) takes setuid and setgid away; and the umask takes none.
  if (fchmod(fd, ModeOf(entry, keep_owner)) != 0) return ErrnoError("mode", Shown(entry.name()));
  const timespec times[] = {TimeOf(entry), TimeOf(entry)};
  if (futimens(fd, times) != 0) return ErrnoError("time", Shown(entry.name()));
  return {};
}

Result<UniqueFd> OpenBeneath(int at, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  const long fd = syscall(SYS_openat2, at, path.c_str(), &how, sizeof(how));
  if (fd < 0) return ErrnoError("open", Shown(path));
  return UniqueFd(static_cast<int>(fd));
}

Result<NewFile> NewFile::Create(int directory) {
  // Its name will come by way of /proc.
  if (access("/proc/self/fd", X_OK) == 0) {
    UniqueFd fd(openat(directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (fd) return NewFile(directory, std::move(fd), {});
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL) {
      return ErrnoError("create");
    }
  }
  UniqueFd fd;
  BERTH_ASSIGN(
      std::string temporary, UnderTemporaryName([&](const char* name) {
        fd.Reset(openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                        S_IRUSR | S_IWUSR));
        return fd.get();
      }));
  return NewFile(directory, std::move(fd), std::move(temporary));
}

NewFile::~NewFile() {
  if (!temporary_.empty()) unlinkat(directory_, temporary_.c_str(), 0);
}

Result<> NewFile::GiveName(const std::string& name) {
  if (temporary_.empty()) {
    const std::string path = PathOf(fd_.get());
    if (linkat(AT_FDCWD, path.c_str(), directory_, name.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
    if (errno != EEXIST) return ErrnoError("create", Shown(name));
    // linkat(2) replaces nothing: it needs a name first that can be renamed.
    BERTH_ASSIGN(temporary_, UnderTemporaryName([&](const char* temporary) {
                   return linkat(AT_FDCWD, path.c_str(), directory_, temporary, AT_SYMLINK_FOLLOW);
                 }));
  }
  const Temporary temporary(directory_, std::exchange(temporary_, {}));
  return temporary.BecomeNamed(name);
}

Result<> MakeSymlink(int directory, const v1::CopyEntry& entry, const std::string& name,
                     bool keep_owner) {
  BERTH_ASSIGN(const std::string made, UnderTemporaryName([&](const char* temporary) {
                 return symlinkat(entry.target().c_str(), directory, temporary);
               }));
  const Temporary temporary(directory, made);
  BERTH_TRY(SetMetadataByPath(directory, made, S_IFLNK, entry, keep_owner));
  return temporary.BecomeNamed(name);
}

Result<> MakeFifo(int directory, const v1::CopyEntry& entry, const std::string& name,
                  bool keep_owner) {
  BERTH_ASSIGN(const std::string made, UnderTemporaryName([&](const char* temporary) {
                 return mkfifoat(directory, temporary, S_IRUSR | S_IWUSR);
               }));
  const Temporary temporary(directory, made);
  BERTH_TRY(SetMetadataByPath(directory, made, S_IFIFO, entry, keep_owner));
  return temporary.BecomeNamed(name);
}

Result<> MakeLink(int directory, int of, const std::string& name) {
  const std::string path = PathOf(of);
  BERTH_ASSIGN(const std::string made, UnderTemporaryName([&](const char* temporary) {
                 return linkat(AT_FDCWD, path.c_str(), directory, temporary, AT_SYMLINK_FOLLOW);
               }));
  const Temporary temporary(directory, made);
  return temporary.BecomeNamed(name);
}

}  // namespace berth::files
