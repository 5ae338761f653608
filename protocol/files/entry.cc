// SPDX-License-Identifier: Apache-2.0
#include "protocol/files/entry.h"

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::files {
namespace {

constexpr size_t kMaxShownBytes = 1024;

bool HasNull(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace

bool IsEntryName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= wire::kMaxCopyNameBytes &&
         name.find('/') == std::string_view::npos && !HasNull(name);
}

Result<> CheckCopyStart(const v1::CopyStart& start) {
  const auto refuse = [](const char* what) { return Fail("copy", EINVAL, what); };
  if (start.direction() != v1::CopyStart::TO_GUEST &&
      start.direction() != v1::CopyStart::FROM_GUEST) {
    return refuse("an unknown direction");
  }
  if (!start.path().starts_with('/')) return refuse("the path in the guest is not absolute");
  if (start.path().size() > wire::kMaxPathBytes) return refuse("the path in the guest is too long");
  if (HasNull(start.path())) return refuse("a null byte in the path");
  if (!start.name().empty() && !IsEntryName(start.name())) {
    return refuse("the source's name is none that a file can have");
  }
  return {};
}

Result<> CheckCopyEntry(const v1::CopyEntry& entry, bool first) {
  const auto refuse = [&](const char* what) {
    return Fail("copy", EPROTO, "an entry " + Shown(entry.name()) + " with " + what);
  };
  if (first ? !entry.name().empty() : !IsEntryName(entry.name())) {
    return refuse("a name that no entry may have");
  }
  if (!v1::CopyEntry::Kind_IsValid(entry.kind()) || entry.kind() == v1::CopyEntry::KIND_NONE) {
    return refuse("an unknown kind");
  }
  // ~0 means "leave it as it is" to chown(2).
  constexpr uint32_t kNobody = ~uint32_t{0};
  if (entry.mode() > kModeBits) return refuse("an impossible mode");
  if (entry.uid() == kNobody || entry.gid() == kNobody) return refuse("an impossible owner");
  if (entry.mtime_ns() >= 1'000'000'000) return refuse("an impossible time");
  const bool symlink = entry.kind() == v1::CopyEntry::SYMLINK;
  if (symlink == entry.target().empty() || entry.target().size() > wire::kMaxCopyTargetBytes ||
      HasNull(entry.target())) {
    return refuse("an impossible target");
  }
  if (entry.kind() == v1::CopyEntry::LINK && (entry.link() == 0 || first)) {
    return refuse("a link to nothing");
  }
  if (entry.kind() != v1::CopyEntry::LINK && entry.kind() != v1::CopyEntry::FILE &&
      entry.link() != 0) {
    return refuse("a link that is no file");
  }
  return {};
}

SplitPath Split(std::string_view path) {
  SplitPath split{.directory = ".", .name = {}, .trailing_slash = path.ends_with('/')};
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) split.directory = path.substr(0, slash == 0 ? 1 : slash);
  const std::string_view last = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (last == "." || last == "..") {
    split.directory = path;
  } else {
    split.name = last;
  }
  return split;
}

std::string Shown(std::string_view path) { return Printable(path, kMaxShownBytes); }

v1::CopyEntry EntryOf(const struct stat& status) {
  v1::CopyEntry entry;
  if (S_ISREG(status.st_mode)) entry.set_kind(v1::CopyEntry::FILE);
  if (S_ISDIR(status.st_mode)) entry.set_kind(v1::CopyEntry::DIRECTORY);
  if (S_ISLNK(status.st_mode)) entry.set_kind(v1::CopyEntry::SYMLINK);
  if (S_ISFIFO(status.st_mode)) entry.set_kind(v1::CopyEntry::FIFO);
  entry.set_mode(status.st_mode & kModeBits);
  entry.set_uid(status.st_uid);
  entry.set_gid(status.st_gid);
  entry.set_mtime_s(status.st_mtim.tv_sec);
  entry.set_mtime_ns(static_cast<uint32_t>(status.st_mtim.tv_nsec));
  if (S_ISREG(status.st_mode)) entry.set_size(static_cast<uint64_t>(status.st_size));
  return entry;
}

}  // namespace berth::files
