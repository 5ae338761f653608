// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/image.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "protocol/base/io.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/hypervisor/bounded_json.h"
#include "supervisor/hypervisor/sha256.h"

namespace berth {
namespace {

using nlohmann::json;

constexpr const char* kImageHint =
    "an image is a directory with an image.json; see docs/hypervisors.md";
constexpr size_t kMaxDigests = 64;

bool IsHexDigest(const json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.size() == 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// "a/b", not "/a", "../a" or "a/../../b": openat2 with RESOLVE_BENEATH judges it, links included.
Result<std::string> FileInside(int dir_fd, const std::string& dir, const std::string& name) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH;
  const UniqueFd fd(
      static_cast<int>(syscall(SYS_openat2, dir_fd, name.c_str(), &how, sizeof(how))));
  std::string path = dir + "/" + name;
  if (!fd && errno == EXDEV) {
    return Fail("image-file", EXDEV, path + " leads out of the image",
                "image.json may only name files below its own directory");
  }
  if (!fd) {
    return ErrnoError("image-file", path + ", named by image.json",
                      "the image is incomplete: build or copy it again");
  }
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return ErrnoError("image-file", path);
  if (!S_ISREG(st.st_mode)) return Fail("image-file", EINVAL, path + " is not a regular file");
  return path;
}

Result<> CheckFile(const std::string& path, bool may_be_device) {
  struct stat st{};
  if (stat(path.c_str(), &st) != 0) return ErrnoError("boot-file", path);
  if (S_ISREG(st.st_mode) || (may_be_device && S_ISBLK(st.st_mode))) return {};
  return Fail(
      "boot-file", EINVAL,
      path + (may_be_device ? " is neither a file nor a block device" : " is not a regular file"));
}

// The document's own form, before any of its files is looked at.
FieldMistakes ReadDocument(const json& document, Image& image) {
  FieldMistakes mistakes;
  FieldReader reader(document, "", mistakes);
  int64_t format = 1;
  reader.Require("format");
  reader.Number("format", 1, 1, format);
  reader.Require("kernel");
  reader.Text("name", kMaxVmNameBytes, image.name);
  reader.Text("kernel", kMaxSpecPathBytes, image.kernel);
  reader.Text("initrd", kMaxSpecPathBytes, image.initrd);
  reader.Text("cmdline", kMaxCmdlineBytes, image.cmdline);
  if (const json* disks = reader.Array("disks", kMaxDisks)) {
    for (size_t i = 0; i < disks->size(); ++i) {
      const std::string name = "disks[" + std::to_string(i) + "]";
      if (!(*disks)[i].is_object()) {
        reader.Add(name, "must be an object");
        continue;
      }
      image.disks.push_back(DiskFromJson((*disks)[i], name + ".", mistakes));
      if (image.disks.back().path.empty()) reader.Add(name + ".path", "is missing");
    }
  }
  if (const json* digests = reader.Object("sha256")) {
    if (digests->size() > kMaxDigests) reader.Add("sha256", "has too many entries");
    for (const auto& [name, digest] : digests->items()) {
      if (!IsHexDigest(digest)) {
        reader.Add("sha256", "must hold digests of 64 lower-case hex digits");
        break;
      }
      image.sha256[name] = digest.get<std::string>();
    }
  }
  // Unknown fields are let be: a later image.json may say more about what this one still can boot.
  return mistakes;
}

}  // namespace

Result<> CheckKernel(const std::string& path) {
  constexpr size_t kHeaderBytes = 0x210;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("kernel", path);
  char header[kHeaderBytes] = {};
  const ssize_t n = pread(fd.get(), header, sizeof(header), 0);
  if (n < 0) return ErrnoError("kernel", path);
  // Linux Documentation/arch/x86/boot.rst: boot_flag at 0x1fe, "HdrS" at 0x202.
  const bool bzimage = n == static_cast<ssize_t>(sizeof(header)) &&
                       std::memcmp(header + 0x1fe, "\x55\xaa", 2) == 0 &&
                       std::memcmp(header + 0x202, "HdrS", 4) == 0;
  const bool elf = n > 64 && std::memcmp(header,
                                         "\x7f"
                                         "ELF",
                                         4) == 0;
  if (bzimage || elf) return {};
  return Fail("kernel", ENOEXEC, path + " is neither a bzImage nor an ELF file",
              "name the kernel itself (vmlinuz-*), not an archive or a link to one");
}

Result<Image> ParseImage(std::string_view text, const std::string& dir) {
  const std::string path = dir + "/image.json";
  const auto document = ParseBounded(text, {.max_bytes = kMaxImageJsonBytes});
  if (!document || !document->is_object()) {
    return Fail("image", EINVAL,
                path + ": " + (document ? "not a JSON object" : document.error().detail),
                kImageHint);
  }
  Image image;
  image.dir = dir;
  if (const FieldMistakes mistakes = ReadDocument(*document, image); !mistakes.empty()) {
    return Fail("image", EINVAL, path + ": " + Join(mistakes), kImageHint);
  }
  return image;
}

Result<Image> LoadImage(const std::string& dir) {
  const UniqueFd dir_fd(open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir_fd) return ErrnoError("image", dir, kImageHint);
  const std::string path = dir + "/image.json";
  auto text = ReadFile(path.c_str(), kMaxImageJsonBytes);
  if (!text) {
    return Fail("image", text.error().errnum,
                text.error().errnum == ENOENT ? dir + " is not an image: it has no image.json"
                                              : text.error().detail,
                kImageHint);
  }
  BERTH_ASSIGN(Image image, ParseImage(*text, dir));
  BERTH_ASSIGN(image.kernel, FileInside(dir_fd.get(), dir, image.kernel));
  BERTH_TRY(CheckKernel(image.kernel));
  if (!image.initrd.empty()) {
    BERTH_ASSIGN(image.initrd, FileInside(dir_fd.get(), dir, image.initrd));
  }
  for (DiskSpec& disk : image.disks) {
    BERTH_ASSIGN(disk.path, FileInside(dir_fd.get(), dir, disk.path));
  }
  std::map<std::string, std::string> digests;
  for (const auto& [name, digest] : image.sha256) {
    BERTH_ASSIGN(std::string file, FileInside(dir_fd.get(), dir, name));
    digests[file] = digest;
  }
  image.sha256 = std::move(digests);
  return image;
}

Result<> VerifyImage(const Image& image) {
  for (const auto& [path, stated] : image.sha256) {
    const auto actual = Sha256OfFile(path);
    if (!actual) return Fail("image-sha256", actual.error().errnum, path);
    if (*actual != stated) {
      return Fail("image-sha256", EILSEQ,
                  path + " has sha256 " + *actual + ", image.json states " + stated,
                  "the image is damaged or was changed: build or copy it again");
    }
  }
  return {};
}

Result<BootFiles> ResolveBootFiles(const VmSpec& spec) {
  BootFiles boot;
  if (!spec.image.empty()) {
    BERTH_ASSIGN(Image image, LoadImage(spec.image));
    boot = BootFiles{std::move(image.kernel), std::move(image.initrd), std::move(image.cmdline),
                     std::move(image.disks)};
  }
  if (!spec.kernel.empty()) {
    BERTH_TRY(CheckFile(spec.kernel, false));
    BERTH_TRY(CheckKernel(spec.kernel));
    boot.kernel = spec.kernel;
  }
  if (!spec.initrd.empty()) {
    BERTH_TRY(CheckFile(spec.initrd, false));
    boot.initrd = spec.initrd;
  }
  for (const DiskSpec& disk : spec.disks) {
    BERTH_TRY(CheckFile(disk.path, true));
    boot.disks.push_back(disk);
  }
  if (!spec.cmdline.empty()) {
    if (!boot.cmdline.empty()) boot.cmdline += ' ';
    boot.cmdline += spec.cmdline;
  }
  return boot;
}

}  // namespace berth
