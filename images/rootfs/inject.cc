// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/inject.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <cstring>

#include "images/rootfs/limits.h"
#include "images/rootfs/tool.h"
#include "protocol/base/io.h"

namespace berth::image {
namespace {

constexpr const char* kMakeGuest =
    "build the guest side (cmake --preset guest && cmake --build --preset guest), or name the "
    "binaries with --init and --agent, or their folder in $BERTH_GUEST_DIR";

std::string OwnFolder() {
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  return n <= 0 ? "/usr/bin"
                : std::string(ParentOf(std::string_view(path, static_cast<size_t>(n))));
}

template <typename T>
bool ReadAt(std::string_view bytes, uint64_t at, T& out) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return false;
  std::memcpy(&out, bytes.data() + at, sizeof(T));
  return true;
}

std::string BuildIdInNotes(std::string_view notes) {
  const auto padded = [](uint64_t size) { return (size + 3) & ~uint64_t{3}; };
  uint64_t at = 0;
  Elf64_Nhdr note{};
  while (ReadAt(notes, at, note)) {
    const uint64_t name_at = at + sizeof(note);
    const uint64_t value_at = name_at + padded(note.n_namesz);
    if (value_at > notes.size() || notes.size() - value_at < note.n_descsz) return {};
    if (note.n_type == NT_GNU_BUILD_ID && notes.substr(name_at, 4) == std::string_view("GNU", 4)) {
      std::string id;
      for (const char c : notes.substr(value_at, note.n_descsz)) {
        id += fmt::format("{:02x}", static_cast<unsigned char>(c));
      }
      return id;
    }
    at = value_at + padded(note.n_descsz);
  }
  return {};
}

Result<> PutBinary(Tree& tree, const std::string& path, const GuestBinary& binary,
                   Loading& loading) {
  BERTH_ASSIGN(const std::string bytes, ReadFile(binary.path.c_str(), kMaxGuestBinaryBytes));
  return PutText(tree, path, bytes, 0755, loading);
}

}  // namespace

Result<> PutText(Tree& tree, std::string_view path, std::string_view content, mode_t mode,
                 Loading& loading) {
  BERTH_ASSIGN(const std::string where, tree.Resolve(path));
  Inode inode;
  inode.mode = mode;
  inode.mtime = INT64_MAX;  // clamped to SOURCE_DATE_EPOCH with all others
  BERTH_ASSIGN(inode.content, loading.spool.Add(content));
  return tree.Put(where, std::move(inode));
}

Result<> PutDirectoryIfMissing(Tree& tree, std::string_view path, mode_t mode) {
  BERTH_ASSIGN(const std::string where, tree.Resolve(path));
  if (tree.Find(where) != nullptr) return {};
  Inode inode;
  inode.type = Type::kDirectory;
  inode.mode = mode;
  inode.mtime = INT64_MAX;
  return tree.Put(where, std::move(inode));
}

Result<> PutLinkIfMissing(Tree& tree, std::string_view path, std::string_view target) {
  BERTH_ASSIGN(const std::string where, tree.Resolve(path));
  if (tree.Find(where) != nullptr) return {};
  Inode inode;
  inode.type = Type::kSymlink;
  inode.mode = 0777;
  inode.mtime = INT64_MAX;
  inode.target = target;
  return tree.Put(where, std::move(inode));
}

std::string BuildIdOf(std::string_view elf) {
  Elf64_Ehdr header{};
  if (!ReadAt(elf, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr)) {
    return {};
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (header.e_phoff > elf.size() ||
        !ReadAt(elf, header.e_phoff + i * sizeof(segment), segment)) {
      return {};
    }
    if (segment.p_type != PT_NOTE || segment.p_offset > elf.size() ||
        elf.size() - segment.p_offset < segment.p_filesz) {
      continue;
    }
    std::string id = BuildIdInNotes(elf.substr(segment.p_offset, segment.p_filesz));
    if (!id.empty()) return id;
  }
  return {};
}

Result<GuestBinary> FindGuestBinary(const std::string& option, const std::string& name) {
  std::vector<std::string> candidates;
  const char* const folder = std::getenv("BERTH_GUEST_DIR");
  if (!option.empty()) {
    candidates = {option};
  } else if (folder != nullptr && *folder != '\0') {
    candidates = {std::string(folder) + "/" + name};
  } else {
    const std::string own = OwnFolder();
    candidates = {own + "/../lib/berth/guest/" + name, own + "/../../guest/bin/" + name};
  }
  for (const std::string& path : candidates) {
    const auto bytes = ReadFile(path.c_str(), kMaxGuestBinaryBytes);
    if (!bytes && bytes.error().errnum == ENOENT) continue;
    if (!bytes) return Fail("guest-binary", bytes.error().errnum, path, kMakeGuest);
    Sha256 sha256;
    sha256.Update(std::as_bytes(std::span(*bytes)));
    return GuestBinary{path, sha256.HexDigest(), BuildIdOf(*bytes)};
  }
  std::string tried;
  for (const std::string& path : candidates) tried += (tried.empty() ? "" : ", ") + path;
  return Fail("guest-binary", ENOENT, name + " is at none of: " + tried, kMakeGuest);
}

Result<> CheckConfig(const GuestBinary& init, const std::string& path, const std::string& shown_as,
                     const Cancel& cancel) {
  char absolute[PATH_MAX];
  if (realpath(init.path.c_str(), absolute) == nullptr) {
    return ErrnoError("guest-binary", init.path);
  }
  BERTH_ASSIGN(const Ended ended,
               RunTool({.argv = {absolute, "--check", path}, .timeout = kCheckTimeout}, cancel));
  if (ended.code == 0) return {};
  // Its lines name the file it was given; the person knows another.
  std::string lines = ended.output;
  for (size_t at = lines.find(path); at != std::string::npos; at = lines.find(path, at)) {
    lines.replace(at, path.size(), shown_as);
    at += shown_as.size();
  }
  while (lines.ends_with('\n')) lines.pop_back();
  return Fail("config", EINVAL,
              fmt::format("{} does not check ({} --check ended with {}):\n{}", shown_as, init.path,
                          ended.code, lines),
              "nothing was written; docs/init.md describes each key");
}

Result<> InjectRoot(const GuestBinary& init, const GuestBinary& agent, Tree& tree,
                    Loading& loading) {
  struct Point {
    const char* path;
    mode_t mode;
  };
  constexpr Point kPoints[] = {{"dev", 0755}, {"proc", 0555}, {"sys", 0555},
                               {"run", 0755}, {"tmp", 01777}, {"sbin", 0755}};
  for (const Point& point : kPoints) {
    BERTH_TRY(PutDirectoryIfMissing(tree, point.path, point.mode));
  }
  BERTH_TRY(PutBinary(tree, "sbin/berth-init", init, loading));
  BERTH_TRY(PutBinary(tree, "sbin/berth-agent", agent, loading));
  for (const char* const name : {"sbin/init", "sbin/poweroff", "sbin/reboot", "sbin/halt"}) {
    BERTH_TRY(PutLinkIfMissing(tree, name, "berth-init"));
  }
  return {};
}

Result<> LinkInit(Tree& tree) {
  BERTH_ASSIGN(const std::string init, tree.Resolve("sbin/berth-init"));
  return tree.Link("init", init);
}

Result<> InjectInitramfs(const GuestBinary& init, const GuestBinary& agent, Tree& tree,
                         Loading& loading) {
  // The kernel opens /dev/console for /init; the node itself comes from the archive within it.
  for (const char* const path : {"dev", "proc", "sys", "run", "sbin"}) {
    BERTH_TRY(PutDirectoryIfMissing(tree, path, 0755));
  }
  BERTH_TRY(PutBinary(tree, "init", init, loading));
  return PutBinary(tree, "sbin/berth-agent", agent, loading);
}

}  // namespace berth::image
