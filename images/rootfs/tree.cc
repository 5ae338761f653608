// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/tree.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "images/rootfs/limits.h"

namespace berth::image {
namespace {

std::string Below(std::string_view path) {
  return path.empty() ? std::string() : std::string(path) + "/";
}

uint64_t MetadataBytes(const Inode& inode) {
  uint64_t bytes = inode.target.size();
  for (const auto& xattr : inode.xattrs) {
    // Names may be short and many: what holds them counts too.
    bytes += sizeof(xattr) + xattr.first.size() + xattr.second.size();
  }
  return bytes;
}

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kFile:
      return "a file";
    case Type::kDirectory:
      return "a directory";
    case Type::kSymlink:
      return "a symbolic link";
    case Type::kCharDevice:
    case Type::kBlockDevice:
      return "a device";
    case Type::kFifo:
      return "a fifo";
  }
  return "unknown";
}

}  // namespace

mode_t TypeBits(Type type) {
  constexpr mode_t kBits[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO};
  return kBits[static_cast<size_t>(type)];
}

std::string_view ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string Quoted(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') {
      out += "\\\\";
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

Result<std::string> CleanPath(std::string_view raw) {
  if (raw.starts_with('/')) {
    return Fail("path", EINVAL, "'" + Quoted(raw) + "' is absolute",
                "names in an archive are relative to the root of the image");
  }
  if (raw.find('\0') != std::string_view::npos) {
    return Fail("path", EINVAL, "'" + Quoted(raw) + "' holds a NUL");
  }
  std::string path;
  size_t depth = 0;
  while (!raw.empty()) {
    const size_t slash = raw.find('/');
    const std::string_view part = raw.substr(0, slash);
    raw = slash == std::string_view::npos ? std::string_view() : raw.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return Fail("path", EINVAL, "'" + Quoted(path) + "/..' leads upwards",
                  "the archive is hostile or broken; nothing was written");
    }
    if (part.size() > kMaxNameBytes || path.size() + part.size() + 1 > kMaxPathBytes ||
        ++depth > kMaxDepth) {
      return Fail("path", ENAMETOOLONG, "'" + Quoted(path.substr(0, 80)) + "/…'",
                  fmt::format("at most {} bytes a name, {} a path and {} directories deep",
                              kMaxNameBytes, kMaxPathBytes, kMaxDepth));
    }
    if (!path.empty()) path += '/';
    path += part;
  }
  return path;
}

Tree::Tree() {
  Inode root;
  root.type = Type::kDirectory;
  root.mode = 0755;
  entries_[""] = Entry{std::make_shared<Inode>(std::move(root)), 0};
}

bool Tree::HasChildren(std::string_view path) const {
  const std::string prefix = Below(path);
  const auto next = path.empty() ? std::next(entries_.begin()) : entries_.lower_bound(prefix);
  return next != entries_.end() && next->first.starts_with(prefix);
}

void Tree::RemoveAll(std::string_view path) {
  const std::string prefix = Below(path);
  auto first = entries_.lower_bound(prefix);
  auto last = first;
  while (last != entries_.end() && last->first.starts_with(prefix)) ++last;
  entries_.erase(first, last);
  if (const auto self = entries_.find(path); self != entries_.end()) entries_.erase(self);
}

void Tree::RemoveLower(std::string_view path, bool itself, int layer) {
  const std::string prefix = Below(path);
  std::vector<std::string> lower;
  for (auto at = entries_.lower_bound(prefix);
       at != entries_.end() && at->first.starts_with(prefix); ++at) {
    if (at->second.layer < layer && !at->first.empty()) lower.push_back(at->first);
  }
  // From the leaves up: a directory stays where something of this layer is left in it.
  for (auto name = lower.rbegin(); name != lower.rend(); ++name) {
    if (!HasChildren(*name)) entries_.erase(*name);
  }
  const auto self = entries_.find(path);
  if (itself && !path.empty() && self != entries_.end() && self->second.layer < layer &&
      !HasChildren(path)) {
    entries_.erase(self);
  }
}

Result<> Tree::Add(std::string_view path, Entry entry, uint64_t bytes) {
  if (entries_.size() >= kMaxEntries) {
    return Fail("entries", E2BIG, fmt::format("more than {} files", kMaxEntries));
  }
  metadata_bytes_ += path.size() + bytes;
  if (metadata_bytes_ > kMaxTreeMetadataBytes) {
    return Fail("entries", E2BIG,
                fmt::format("more than {} bytes of names, links and extended attributes",
                            kMaxTreeMetadataBytes));
  }
  entries_[std::string(path)] = std::move(entry);
  return {};
}

Result<> Tree::MakeParents(std::string_view path, int layer) {
  if (path.empty()) return {};
  for (size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    const std::string_view parent = path.substr(0, slash);
    const Inode* const inode = Find(parent);
    if (inode == nullptr) {
      Inode directory;
      directory.type = Type::kDirectory;
      directory.mode = 0755;
      BERTH_TRY(Add(parent, Entry{std::make_shared<Inode>(std::move(directory)), layer}, 0));
    } else if (inode->type != Type::kDirectory) {
      return Fail("path", ENOTDIR,
                  fmt::format("'{}' lies below '{}', which is {}", Quoted(path), Quoted(parent),
                              TypeName(inode->type)),
                  "an archive must not write through links of its own");
    }
  }
  return {};
}

Result<> Tree::Put(std::string_view path, Inode inode, int layer) {
  BERTH_TRY(MakeParents(path, layer));
  if (path.empty() && inode.type != Type::kDirectory) {
    return Fail("path", ENOTDIR, "the root is not a directory");
  }
  const auto old = entries_.find(path);
  const bool keeps = old != entries_.end() && old->second.inode->type == Type::kDirectory &&
                     inode.type == Type::kDirectory;
  if (old != entries_.end() && !keeps) RemoveAll(path);
  const uint64_t bytes = MetadataBytes(inode);
  return Add(path, Entry{std::make_shared<Inode>(std::move(inode)), layer}, bytes);
}

Result<> Tree::Link(std::string_view path, std::string_view target, int layer) {
  const auto found = entries_.find(target);
  if (found == entries_.end()) {
    return Fail("path", ENOENT,
                fmt::format("'{}' is a hard link to '{}', which is not there", Quoted(path),
                            Quoted(target)),
                "the archive is broken: a link comes after what it names");
  }
  if (found->second.inode->type == Type::kDirectory) {
    return Fail(
        "path", EISDIR,
        fmt::format("'{}' is a hard link to the directory '{}'", Quoted(path), Quoted(target)));
  }
  if (path == target) return {};
  // A copy of the pointer first: what is removed for the new name may be where it was found.
  const auto inode = found->second.inode;
  BERTH_TRY(MakeParents(path, layer));
  if (path.empty()) return Fail("path", EISDIR, "the root is a hard link");
  RemoveAll(path);
  return Add(path, Entry{inode, layer}, 0);
}

void Tree::Whiteout(std::string_view path, int layer) { RemoveLower(path, true, layer); }
void Tree::Opaque(std::string_view path, int layer) { RemoveLower(path, false, layer); }

const Inode* Tree::Find(std::string_view path) const {
  const auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : found->second.inode.get();
}

Result<std::string> Tree::Resolve(std::string_view path) const {
  std::string done;
  std::string left(path);
  size_t followed = 0;
  while (!left.empty()) {
    const size_t slash = left.find('/');
    const std::string part = left.substr(0, slash);
    const bool last = slash == std::string::npos;
    left = last ? std::string() : left.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") {  // of a link's target; the root's parent is the root
      done = ParentOf(done);
      continue;
    }
    const std::string next = Below(done) + part;
    const Inode* const inode = Find(next);
    if (!last && inode != nullptr && inode->type == Type::kSymlink) {
      if (++followed > kMaxLinksFollowed) {
        return Fail("path", ELOOP, "'" + Quoted(path) + "' in the root file system");
      }
      if (inode->target.starts_with('/')) done.clear();
      left = inode->target + "/" + left;
      continue;
    }
    if (!last && inode != nullptr && inode->type != Type::kDirectory) {
      return Fail(
          "path", ENOTDIR,
          fmt::format("'{}' is {} in the root file system", Quoted(next), TypeName(inode->type)));
    }
    done = next;
  }
  return CleanPath(done);
}

uint64_t Tree::content_bytes() const {
  uint64_t sum = 0;
  std::unordered_set<const Inode*> seen;
  for (const auto& [path, entry] : entries_) {
    if (entry.inode->type == Type::kFile && seen.insert(entry.inode.get()).second) {
      sum += entry.inode->content.bytes;
    }
  }
  return sum;
}

void Tree::ClampTimes(int64_t epoch) {
  for (auto& [path, entry] : entries_) {
    entry.inode->mtime = std::clamp<int64_t>(entry.inode->mtime, 0, epoch);
  }
}

void Tree::OwnedByRoot() {
  for (auto& [path, entry] : entries_) entry.inode->uid = entry.inode->gid = 0;
}

}  // namespace berth::image
