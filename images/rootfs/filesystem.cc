// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/filesystem.h"

#include <archive.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <unordered_map>

#include "images/rootfs/limits.h"
#include "images/rootfs/tool.h"
#include "protocol/base/io.h"

namespace berth::image {
namespace {

struct FormatRow {
  Format format;
  std::string_view name;
  const char* tool;
  const char* package;
  std::array<const char*, 2> version;  // mkfs.erofs 1.5 itself tells none
};
constexpr std::array<FormatRow, 4> kFormats{{
    {Format::kErofs, "erofs", "mkfs.erofs", "erofs-utils", {"dump.erofs", "-V"}},
    {Format::kExt4, "ext4", "mke2fs", "e2fsprogs", {"mke2fs", "-V"}},
    {Format::kSquashfs, "squashfs", "mksquashfs", "squashfs-tools", {"mksquashfs", "-version"}},
    {Format::kInitramfs, "initramfs", nullptr, nullptr, {}},
}};

// The folder that a tool reads, with what fakeroot's daemon is to know of it.
class WorkTree {
 public:
  WorkTree(std::string root, const Spool& spool) : root_(std::move(root)), spool_(spool) {}

  Result<> Fill(const Tree& tree, const Cancel& cancel);
  const std::string& state() const { return state_; }
  // For setfattr --restore; empty where no file has any.
  const std::string& xattrs() const { return xattrs_; }

 private:
  std::string Real(std::string_view path) const { return root_ + "/" + std::string(path); }
  Result<> Make(const std::string& path, const Inode& inode);
  Result<> SetTime(const std::string& path, const Inode& inode) const;
  Result<> Describe(const std::string& path, const Inode& inode);
  void AddXattrs(const std::string& path, const Inode& inode);

  const std::string root_;
  const Spool& spool_;
  std::unordered_map<const Inode*, std::string> made_;  // → its first name
  std::string state_;
  std::string xattrs_;
};

Result<> WorkTree::Make(const std::string& path, const Inode& inode) {
  const std::string real = Real(path);
  switch (inode.type) {
    case Type::kDirectory:
      if (mkdir(real.c_str(), 0700) != 0) return ErrnoError("work-tree", Quoted(path));
      return {};
    case Type::kSymlink:
      if (symlink(inode.target.c_str(), real.c_str()) != 0) {
        return ErrnoError("work-tree", Quoted(path));
      }
      return {};
    case Type::kFile:
      if (link(spool_.Path(inode.content).c_str(), real.c_str()) != 0) {
        return ErrnoError("work-tree", Quoted(path));
      }
      return {};
    case Type::kCharDevice:
    case Type::kBlockDevice:
    case Type::kFifo:
      break;
  }
  const UniqueFd stand_in(open(real.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!stand_in) return ErrnoError("work-tree", Quoted(path));
  return {};
}

Result<> WorkTree::SetTime(const std::string& path, const Inode& inode) const {
  const timespec times[] = {{inode.mtime, 0}, {inode.mtime, 0}};
  if (utimensat(AT_FDCWD, Real(path).c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoError("work-tree", Quoted(path));
  }
  return {};
}

Result<> WorkTree::Describe(const std::string& path, const Inode& inode) {
  struct stat st{};
  if (lstat(Real(path).c_str(), &st) != 0) return ErrnoError("work-tree", Quoted(path));
  const dev_t device = makedev(inode.major, inode.minor);
  state_ += fmt::format("dev={:x},ino={},mode={:o},uid={},gid={},nlink={},rdev={}\n", st.st_dev,
                        st.st_ino, TypeBits(inode.type) | inode.mode, inode.uid, inode.gid,
                        st.st_nlink, device);
  return {};
}

// The form of getfattr --dump: names with octal escapes, values in hexadecimal.
void WorkTree::AddXattrs(const std::string& path, const Inode& inode) {
  if (inode.xattrs.empty()) return;
  xattrs_ += "# file: ";
  for (const char c : "root/" + path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '\\' || c == '=') {
      xattrs_ += fmt::format("\\{:03o}", byte);
    } else {
      xattrs_ += c;
    }
  }
  xattrs_ += '\n';
  for (const auto& [name, value] : inode.xattrs) {
    xattrs_ += name + "=0x";
    for (const char c : value) {
      xattrs_ += fmt::format("{:02x}", static_cast<unsigned char>(c));
    }
    xattrs_ += '\n';
  }
  xattrs_ += '\n';
}

Result<> WorkTree::Fill(const Tree& tree, const Cancel& cancel) {
  for (const auto& [path, entry] : tree.entries()) {
    BERTH_TRY(cancel.Check());
    const Inode& inode = *entry.inode;
    const auto [first, fresh] = made_.try_emplace(&inode, path);
    if (fresh) {
      BERTH_TRY(Make(path, inode));
      AddXattrs(path, inode);
    } else if (linkat(AT_FDCWD, Real(first->second).c_str(), AT_FDCWD, Real(path).c_str(), 0) !=
               0) {
      return ErrnoError("work-tree", Quoted(path));
    }
  }
  for (const auto& [inode, path] : made_) BERTH_TRY(Describe(path, *inode));
  // Backwards: what is put into a directory changes its time.
  for (auto at = tree.entries().rbegin(); at != tree.entries().rend(); ++at) {
    BERTH_TRY(SetTime(at->first, *at->second.inode));
  }
  return {};
}

uint64_t Ext4Bytes(const Tree& tree) {
  constexpr uint64_t kBlock = 4096;
  uint64_t blocks = 0;
  uint64_t names = 0;
  std::unordered_map<const Inode*, bool> seen;
  for (const auto& [path, entry] : tree.entries()) {
    names += NameOf(std::string_view(path)).size() + 16;
    if (!seen.try_emplace(entry.inode.get(), true).second) continue;
    const Inode& inode = *entry.inode;
    blocks += (inode.content.bytes + kBlock - 1) / kBlock;
    blocks += inode.type == Type::kDirectory || inode.target.size() >= 60 ? 1 : 0;
    blocks += inode.xattrs.empty() ? 0 : 1;
  }
  // Inodes of 256 bytes with room for as many again, a journal, group tables; then a quarter more,
  // for a system that runs writes logs.
  const uint64_t inodes = tree.entries().size() * 2 * 256;
  const uint64_t bytes = blocks * kBlock + names * 2 + inodes + (uint64_t{32} << 20);
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  return (bytes + bytes / 4 + kMiB - 1) / kMiB * kMiB;
}

// mke2fs copies the times of access and change from the disk, and e2fsprogs 1.47.0 has no option
// against it; so they are set afterwards, inode by inode.
Result<> SetExt4Times(const MakeOptions& options, const std::string& image, const Cancel& cancel) {
  const std::vector<std::string> env = {fmt::format("E2FSPROGS_FAKE_TIME={}", options.epoch)};
  BERTH_ASSIGN(const std::string header,
               MustRun({.argv = {"dumpe2fs", "-h", image}, .timeout = kToolTimeout}, cancel));
  constexpr std::string_view kCount = "Inode count:";
  uint64_t count = 0;
  if (const size_t at = header.find(kCount); at != std::string::npos) {
    const size_t digit = header.find_first_not_of(' ', at + kCount.size());
    if (digit != std::string::npos) {
      std::from_chars(header.data() + digit, header.data() + header.size(), count);
    }
  }
  if (count == 0) return Fail("ext4-times", 0, "dumpe2fs tells no inode count");
  const std::string ask_path = options.work_dir + "/ext4-ask";
  const std::string used_path = options.work_dir + "/ext4-used";
  std::string ask;
  for (uint64_t i = 1; i <= count; ++i) ask += fmt::format("testi <{}>\n", i);
  BERTH_TRY(WriteFileAtomic(ask_path, ask, 0600));
  BERTH_TRY(MustRun({.argv = {"debugfs", "-f", ask_path, image},
                     .output_file = used_path,
                     .timeout = kToolTimeout},
                    cancel));
  BERTH_ASSIGN(const std::string used, ReadFile(used_path.c_str(), kMaxListBytes));
  std::string set;
  constexpr std::string_view kInUse = " is marked in use";
  for (size_t at = used.find(kInUse); at != std::string::npos; at = used.find(kInUse, at + 1)) {
    uint64_t inode = 0;
    const size_t digits = used.find_last_not_of("0123456789", at - 1) + 1;
    std::from_chars(used.data() + digits, used.data() + at, inode);
    for (const char* field : {"atime", "ctime", "crtime"}) {
      set += fmt::format("sif <{}> {} @{}\n", inode, field, options.epoch);
    }
  }
  BERTH_TRY(WriteFileAtomic(ask_path, set, 0600));
  BERTH_TRY(MustRun({.argv = {"debugfs", "-w", "-f", ask_path, image},
                     .env = env,
                     .output_file = used_path,
                     .timeout = kToolTimeout},
                    cancel));
  return {};
}

std::vector<std::string> CommandFor(Format format, const Tree& tree, const MakeOptions& options,
                                    const std::string& out) {
  switch (format) {
    case Format::kErofs:
      return {"mkfs.erofs", "--quiet", "-U", options.uuid, out, "root"};
    case Format::kSquashfs:
      return {"mksquashfs", "root", out, "-quiet", "-no-progress", "-comp", "zstd", "-noappend"};
    case Format::kExt4: {
      const uint64_t bytes = options.bytes != 0 ? options.bytes : Ext4Bytes(tree);
      const uint64_t inodes = tree.entries().size() + tree.entries().size() / 2 + 1024;
      return {"mke2fs",
              "-q",
              "-F",
              "-t",
              "ext4",
              "-b",
              "4096",
              "-I",
              "256",
              "-m",
              "1",
              "-N",
              std::to_string(inodes),
              "-O",
              "^metadata_csum_seed",
              "-U",
              options.uuid,
              "-E",
              "root_owner=0:0,hash_seed=" + options.uuid,
              "-d",
              "root",
              out,
              std::to_string(bytes / 1024) + "k"};
    }
    case Format::kInitramfs:
      break;
  }
  return {};
}

}  // namespace

std::optional<Format> FormatNamed(std::string_view name) {
  for (const FormatRow& row : kFormats) {
    if (row.name == name) return row.format;
  }
  return std::nullopt;
}

std::string_view NameOf(Format format) { return kFormats[static_cast<size_t>(format)].name; }

Result<> NeedToolsFor(Format format) {
  const FormatRow& row = kFormats[static_cast<size_t>(format)];
  if (row.tool == nullptr) return {};
  BERTH_TRY(NeedTool(row.tool, row.package));
  BERTH_TRY(NeedTool("faked-sysv", "fakeroot"));
  return NeedTool("setfattr", "attr");
}

Result<nlohmann::json> ToolVersions(Format format, const Cancel& cancel) {
  nlohmann::json versions = {{"libarchive", archive_version_string()}};
  const FormatRow& row = kFormats[static_cast<size_t>(format)];
  if (row.tool == nullptr) return versions;
  const auto [program, option] = row.version;
  if (!HaveTool(program)) return versions;
  BERTH_ASSIGN(const Ended ended,
               RunTool({.argv = {program, option}, .timeout = kCheckTimeout}, cancel));
  if (ended.code == 0) versions[program] = ended.output.substr(0, ended.output.find('\n'));
  return versions;
}

Result<> MakeFileSystem(Format format, const Tree& tree, const Spool& spool,
                        const MakeOptions& options, const std::string& out, const Cancel& cancel) {
  WorkTree work(options.work_dir + "/root", spool);
  // erofs-utils 1.5 cuts a name of 255 bytes to 254 before it looks it up.
  const size_t longest = format == Format::kErofs ? kMaxNameBytes - 1 : kMaxNameBytes;
  for (const auto& [path, entry] : tree.entries()) {
    if (NameOf(std::string_view(path)).size() <= longest) continue;
    return Fail(
        "tool", ENAMETOOLONG,
        fmt::format("mkfs.erofs takes names of at most {} bytes: {}", longest, Quoted(path)),
        "choose another --format");
  }
  BERTH_TRY(work.Fill(tree, cancel));
  BERTH_ASSIGN(const FakeRoot session, FakeRoot::Start(work.state(), options.work_dir, cancel));
  if (!work.xattrs().empty()) {
    const std::string dump = options.work_dir + "/xattrs";
    BERTH_TRY(WriteFileAtomic(dump, work.xattrs(), 0600));
    BERTH_TRY(MustRun({.argv = {"setfattr", "-h", "--restore=" + dump},
                       .env = session.env(),
                       .cwd = options.work_dir,
                       .timeout = kToolTimeout},
                      cancel));
  }
  Tool tool{.argv = CommandFor(format, tree, options, out),
            .env = session.env(),
            .cwd = options.work_dir,
            .timeout = kToolTimeout};
  // The first is for mkfs.erofs and mksquashfs, the second for mke2fs.
  tool.env.push_back(fmt::format("SOURCE_DATE_EPOCH={}", options.epoch));
  tool.env.push_back(fmt::format("E2FSPROGS_FAKE_TIME={}", options.epoch));
  auto made = MustRun(tool, cancel);
  if (const uint64_t room = Ext4Bytes(tree); !made && options.bytes != 0 && options.bytes < room) {
    made.error().hint =
        fmt::format("{} MiB may be too small for what is in it: --size {}M has room",
                    options.bytes >> 20, room >> 20);
  }
  BERTH_TRY(made);
  if (format == Format::kExt4) return SetExt4Times(options, out, cancel);
  return {};
}

std::string DigestOf(const Tree& tree) {
  Sha256 sha256;
  std::unordered_map<const Inode*, std::string_view> first_names;
  const auto add = [&](std::string_view text) {
    // Lengths first, so that no two trees write the same bytes.
    const std::string length = std::to_string(text.size()) + ":";
    sha256.Update(std::as_bytes(std::span(length)));
    sha256.Update(std::as_bytes(std::span(text)));
  };
  for (const auto& [path, entry] : tree.entries()) {
    const Inode& inode = *entry.inode;
    add(path);
    const auto [first, fresh] = first_names.try_emplace(&inode, path);
    if (!fresh) {
      add("link");
      add(first->second);
      continue;
    }
    add(fmt::format("{} {:o} {} {} {} {}:{} {} {}", static_cast<int>(inode.type), inode.mode,
                    inode.uid, inode.gid, inode.mtime, inode.major, inode.minor,
                    inode.content.sha256, inode.xattrs.size()));
    add(inode.target);
    for (const auto& [name, value] : inode.xattrs) {
      add(name);
      add(value);
    }
  }
  return sha256.HexDigest();
}

std::string UuidOf(const std::string& digest) {
  return digest.substr(0, 8) + "-" + digest.substr(8, 4) + "-4" + digest.substr(12, 3) + "-8" +
         digest.substr(15, 3) + "-" + digest.substr(18, 12);
}

}  // namespace berth::image
