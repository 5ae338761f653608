// SPDX-License-Identifier: Apache-2.0
//
// Tar archives, alone or as the layers of an OCI image, by libarchive: which entry is what is its
// business, where it may go is ours.
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "images/rootfs/limits.h"
#include "images/rootfs/source.h"

namespace berth::image {
namespace {

constexpr const char* kBrokenArchive = "the archive is damaged, or no tar archive: make it again";

using Reader = std::unique_ptr<archive, int (*)(archive*)>;

// What libarchive reads from. It knows no errors but its own: ours waits here.
struct Input {
  HashedFile& file;
  std::optional<Error> error;

  static la_ssize_t Read(archive* reader, void* input, const void** buffer) {
    auto& self = *static_cast<Input*>(input);
    const auto piece = self.file.Read();
    if (!piece) {
      self.error = piece.error();
      archive_set_error(reader, piece.error().errnum, "%s", piece.error().detail.c_str());
      return -1;
    }
    *buffer = piece->data();
    return static_cast<la_ssize_t>(piece->size());
  }
};

// Names are bytes. libarchive takes those of pax archives to be UTF-8 for the locale, which is the
// C locale in all of Berth; those it cannot bring there it leaves as they are, which is what we
// want, and warns.
bool IsOfNames(const char* warning) {
  return warning != nullptr && std::string_view(warning).contains("can't be converted");
}

class Application {
 public:
  Application(archive* reader, const std::string& name, int layer, Tree& tree, Loading& loading)
      : reader_(reader), name_(name), layer_(layer), tree_(tree), loading_(loading) {}

  Result<> One(archive_entry* entry);

 private:
  // A name of the archive; `of` says in an error whose it is.
  Result<std::string> Clean(std::string_view raw, const std::string& of) const;
  Result<Inode> ToInode(archive_entry* entry, const std::string& path, Type type);
  Result<Content> ToContent(archive_entry* entry, const std::string& path);
  std::string At(const std::string& path) const { return name_ + ": '" + Quoted(path) + "'"; }

  archive* const reader_;
  const std::string& name_;
  const int layer_;
  Tree& tree_;
  Loading& loading_;
};

Result<std::string> Application::Clean(std::string_view raw, const std::string& of) const {
  // Some makers of layers, ko among them, write names as they are in the container.
  if (layer_ > 0) raw.remove_prefix(std::min(raw.find_first_not_of('/'), raw.size()));
  auto clean = CleanPath(raw);
  if (!clean) clean.error().detail = name_ + ": " + of + clean.error().detail;
  return clean;
}

Result<Content> Application::ToContent(archive_entry* entry, const std::string& path) {
  if (archive_entry_size_is_set(entry) != 0 &&
      archive_entry_size(entry) > static_cast<int64_t>(kMaxFileBytes)) {
    return Fail("tar", EFBIG, fmt::format("{} has {} bytes", At(path), archive_entry_size(entry)));
  }
  BERTH_ASSIGN(Spool::Writer writer, loading_.spool.Create());
  const auto claimed = static_cast<uint64_t>(archive_entry_size(entry));
  uint64_t at = 0;
  while (true) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int code = archive_read_data_block(reader_, &data, &size, &offset);
    if (code == ARCHIVE_EOF) break;
    if (code < ARCHIVE_WARN || offset < static_cast<la_int64_t>(at)) {
      const char* const why = archive_error_string(reader_);
      return Fail("tar", EBADMSG, At(path) + ": " + (why != nullptr ? why : "overlapping data"),
                  kBrokenArchive);
    }
    BERTH_TRY(writer.AppendZeros(static_cast<uint64_t>(offset) - at));
    BERTH_TRY(writer.Append(std::span(static_cast<const std::byte*>(data), size)));
    at = static_cast<uint64_t>(offset) + size;
    BERTH_TRY(loading_.cancel.Check());
  }
  if (claimed > at) BERTH_TRY(writer.AppendZeros(claimed - at));  // a hole at its end
  return writer.Finish();
}

Result<Inode> Application::ToInode(archive_entry* entry, const std::string& path, Type type) {
  Inode inode;
  inode.type = type;
  inode.mode = type == Type::kSymlink ? 0777 : archive_entry_perm(entry) & 07777;
  const int64_t uid = archive_entry_uid(entry);
  const int64_t gid = archive_entry_gid(entry);
  if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX) {
    return Fail("tar", ERANGE, fmt::format("{} is owned by {}:{}", At(path), uid, gid));
  }
  inode.uid = static_cast<uint32_t>(uid);
  inode.gid = static_cast<uint32_t>(gid);
  inode.mtime = archive_entry_mtime(entry);
  if (type == Type::kCharDevice || type == Type::kBlockDevice) {
    inode.major = static_cast<uint32_t>(archive_entry_rdevmajor(entry));
    inode.minor = static_cast<uint32_t>(archive_entry_rdevminor(entry));
    if (inode.major > 0xfff || inode.minor > 0xfffff) {  // what a dev_t of Linux can tell apart
      return Fail("tar", ERANGE,
                  fmt::format("{} is device {}:{}", At(path), inode.major, inode.minor));
    }
  }
  if (type == Type::kSymlink) {
    const char* const target = archive_entry_symlink(entry);
    if (target == nullptr || *target == '\0' || std::string_view(target).size() > kMaxTargetBytes) {
      return Fail("tar", EINVAL, At(path) + " is a symbolic link to nowhere, or too far",
                  kBrokenArchive);
    }
    inode.target = target;
  }
  archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    BERTH_TRY(AddXattr(inode, path, name, std::string(static_cast<const char*>(value), size)));
  }
  constexpr int kPosixAcls = ARCHIVE_ENTRY_ACL_TYPE_ACCESS | ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
  if ((archive_entry_acl_types(entry) & kPosixAcls) != 0) {
    loading_.warnings.Add("access control list left out: " + Quoted(path));
  }
  return inode;
}

Result<> Application::One(archive_entry* entry) {
  const char* const raw = archive_entry_pathname(entry);
  if (raw == nullptr) return Fail("tar", EILSEQ, name_ + ": a name that cannot be read");
  BERTH_ASSIGN(const std::string path, Clean(raw, {}));
  if (layer_ > 0) {
    BERTH_ASSIGN(const Mark mark, MarkOf(path));
    if (mark.kind == Mark::kWhiteout) tree_.Whiteout(mark.path, layer_);
    if (mark.kind == Mark::kOpaque) tree_.Opaque(mark.path, layer_);
    if (mark.kind != Mark::kNone) return {};
  }
  if (const char* const target = archive_entry_hardlink(entry); target != nullptr) {
    BERTH_ASSIGN(const std::string to, Clean(target, "hard link '" + Quoted(path) + "' to "));
    auto linked = tree_.Link(path, to, layer_);
    if (!linked) linked.error().detail = name_ + ": " + linked.error().detail;
    return linked;
  }
  Type type = Type::kFile;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      break;
    case AE_IFDIR:
      type = Type::kDirectory;
      break;
    case AE_IFLNK:
      type = Type::kSymlink;
      break;
    case AE_IFCHR:
      type = Type::kCharDevice;
      break;
    case AE_IFBLK:
      type = Type::kBlockDevice;
      break;
    case AE_IFIFO:
      type = Type::kFifo;
      break;
    default:
      loading_.warnings.Add("left out, being of no known type: " + Quoted(path));
      return {};
  }
  BERTH_ASSIGN(Inode inode, ToInode(entry, path, type));
  if (type == Type::kFile) {
    BERTH_ASSIGN(inode.content, ToContent(entry, path));
  }
  return tree_.Put(path, std::move(inode), layer_);
}

}  // namespace

void SupportCompressions(archive* reader) {
  for (const auto support :
       {archive_read_support_filter_bzip2, archive_read_support_filter_compress,
        archive_read_support_filter_gzip, archive_read_support_filter_lz4,
        archive_read_support_filter_lzip, archive_read_support_filter_lzma,
        archive_read_support_filter_xz, archive_read_support_filter_zstd}) {
    // A libarchive built without the library for it answers ARCHIVE_WARN, and would run a program.
    const Reader probe(archive_read_new(), archive_read_free);
    if (support(probe.get()) == ARCHIVE_OK) support(reader);
  }
}

Result<> ApplyTar(HashedFile& file, int layer, Tree& tree, Loading& loading) {
  const std::string& name = file.name();
  Input input{file, std::nullopt};
  const Reader reader(archive_read_new(), archive_read_free);
  SupportCompressions(reader.get());
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_empty(reader.get());
  if (archive_read_open(reader.get(), &input, nullptr, Input::Read, nullptr) != ARCHIVE_OK) {
    if (input.error) return std::unexpected(*input.error);
    return Fail("tar", EBADMSG, name + ": " + archive_error_string(reader.get()), kBrokenArchive);
  }
  Application application(reader.get(), name, layer, tree, loading);
  while (true) {
    BERTH_TRY(loading.cancel.Check());
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(reader.get(), &entry);
    if (code == ARCHIVE_EOF) return {};
    if (code < ARCHIVE_WARN) {
      if (input.error) return std::unexpected(*input.error);
      return Fail("tar", EBADMSG, name + ": " + archive_error_string(reader.get()), kBrokenArchive);
    }
    if (code == ARCHIVE_WARN && !IsOfNames(archive_error_string(reader.get()))) {
      loading.warnings.Add(archive_error_string(reader.get()));
    }
    BERTH_TRY(application.One(entry));
  }
}

}  // namespace berth::image
