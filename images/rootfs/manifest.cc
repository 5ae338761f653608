// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/manifest.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "images/rootfs/filesystem.h"
#include "images/rootfs/limits.h"
#include "images/rootfs/tool.h"
#include "protocol/base/io.h"
#include "supervisor/hypervisor/bounded_json.h"
#include "supervisor/hypervisor/image.h"

namespace berth::image {
namespace {

using nlohmann::json;

constexpr size_t kMaxFilesOfImage = 64;
constexpr size_t kMaxManifestValues = 64 * 1024;
constexpr const char* kNoImage = "berth image build makes images, each with a manifest.json";

bool IsPlainName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes && !name.starts_with('.') &&
         !name.contains('/');
}

// The checker of a file system's own tools; "%" is the file.
struct Checker {
  std::string_view file;
  std::vector<std::string> argv;
};
const std::array<Checker, 3>& Checkers() {
  static const std::array<Checker, 3> checkers{{
      {"rootfs.erofs", {"fsck.erofs", "--extract", "%"}},
      {"rootfs.ext4", {"e2fsck", "-fn", "%"}},
      {"rootfs.squashfs", {"unsquashfs", "-s", "%"}},
  }};
  return checkers;
}

Result<> CheckFileSystem(const std::string& dir, const std::string& name, const Cancel& cancel,
                         std::vector<Finding>& findings) {
  for (const Checker& checker : Checkers()) {
    if (checker.file != name) continue;
    const std::string what = name + ": " + checker.argv.front();
    if (!HaveTool(checker.argv.front())) {
      findings.push_back({what, Finding::kNotChecked, "the program is not installed"});
      continue;
    }
    std::vector<std::string> argv = checker.argv;
    std::ranges::replace(argv, std::string("%"), dir + "/" + name);
    BERTH_ASSIGN(const Ended ended,
                 RunTool({.argv = std::move(argv), .timeout = kToolTimeout}, cancel));
    findings.push_back(
        {what, ended.code == 0 ? Finding::kOk : Finding::kDamaged,
         ended.code == 0 ? "" : fmt::format("ended with {}: {}", ended.code, ended.output)});
  }
  return {};
}

// As `berth create` will look at it. What its digests are of has been hashed: they must be those of
// the manifest.
Finding CheckImageJson(const std::string& dir, const json& files) {
  Finding finding{"image.json", Finding::kOk, {}};
  const auto image = LoadImage(dir);
  if (!image) return {finding.what, Finding::kDamaged, image.error().Message()};
  for (const auto& [path, stated] : image->sha256) {
    const std::string name(NameOf(std::string_view(path)));
    if (files.contains(name) && files[name]["sha256"] == stated) continue;
    return {finding.what, Finding::kDamaged, "its sha256 of " + name + " is not the manifest's"};
  }
  return finding;
}

}  // namespace

Result<json> ParseManifest(std::string_view text, const std::string& path) {
  auto document =
      ParseBounded(text, {.max_bytes = kMaxManifestBytes, .max_values = kMaxManifestValues});
  if (!document || !document->is_object()) {
    return Fail("manifest", EINVAL,
                path + ": " + (document ? "not a JSON object" : document.error().detail), kNoImage);
  }
  FieldMistakes mistakes;
  FieldReader reader(*document, "", mistakes);
  int64_t version = 0;
  reader.Require("berth_image");
  reader.Number("berth_image", kManifestVersion, kManifestVersion, version);
  reader.Require("files");
  if (const json* files = reader.Object("files")) {
    if (files->size() > kMaxFilesOfImage) reader.Add("files", "has too many entries");
    for (const auto& [name, file] : files->items()) {
      const bool good = IsPlainName(name) && file.is_object() && file.contains("sha256") &&
                        file["sha256"].is_string();
      if (!good) reader.Add("files", "must hold names in the folder, each with a sha256");
    }
  }
  if (!mistakes.empty()) {
    return Fail("manifest", EINVAL, path + ": " + Join(mistakes), kNoImage);
  }
  return document;
}

Result<json> ReadManifest(const std::string& dir) {
  const std::string path = dir + "/" + kManifestName;
  auto text = ReadFile(path.c_str(), kMaxManifestBytes);
  if (!text) return Fail("manifest", text.error().errnum, path, kNoImage);
  return ParseManifest(*text, path);
}

std::string RenderMode(const Inode& inode) {
  constexpr std::string_view kTypes = "-dlcbp";
  std::string mode(1, kTypes[static_cast<size_t>(inode.type)]);
  constexpr std::string_view kBits = "rwxrwxrwx";
  for (size_t i = 0; i < kBits.size(); ++i) {
    mode += (inode.mode & (0400U >> i)) != 0 ? kBits[i] : '-';
  }
  const auto special = [&](mode_t bit, size_t at, char with_x, char without_x) {
    if ((inode.mode & bit) != 0) mode[at] = mode[at] == 'x' ? with_x : without_x;
  };
  special(S_ISUID, 3, 's', 'S');
  special(S_ISGID, 6, 's', 'S');
  special(S_ISVTX, 9, 't', 'T');
  return mode;
}

std::string RenderList(const Tree& tree) {
  std::string list;
  std::map<const Inode*, std::string_view> first_names;
  for (const auto& [path, entry] : tree.entries()) {
    const Inode& inode = *entry.inode;
    const auto [first, fresh] = first_names.try_emplace(&inode, path);
    const bool device = inode.type == Type::kCharDevice || inode.type == Type::kBlockDevice;
    list += fmt::format("{}\t{}\t{}\t{}\t{}\t/{}", RenderMode(inode), inode.uid, inode.gid,
                        device ? fmt::format("{},{}", inode.major, inode.minor)
                               : std::to_string(inode.type == Type::kSymlink ? inode.target.size()
                                                                             : inode.content.bytes),
                        inode.mtime, Quoted(path));
    if (inode.type == Type::kSymlink) list += "\t-> " + Quoted(inode.target);
    if (!fresh) list += "\t= /" + Quoted(first->second);
    list += '\n';
  }
  return list;
}

Result<> DigestFiles(const std::string& dir, const Cancel& cancel, json& files) {
  std::error_code code;
  for (const auto& each : std::filesystem::directory_iterator(dir, code)) {
    const std::string name = each.path().filename().string();
    if (files.contains(name)) continue;
    BERTH_ASSIGN(std::string sha256,
                 Sha256OfFile(each.path().string(), [&] { return cancel.Check(); }));
    files[name] = {{"sha256", std::move(sha256)}, {"bytes", each.file_size()}};
  }
  if (code) return Fail("manifest", code.value(), dir);
  return {};
}

Result<std::vector<Finding>> VerifyBuilt(const std::string& dir, const Cancel& cancel) {
  BERTH_ASSIGN(const json manifest, ReadManifest(dir));
  std::vector<Finding> findings;
  for (const auto& [name, file] : manifest["files"].items()) {
    const std::string path = dir + "/" + name;
    Finding finding{name + ": sha256", Finding::kOk, {}};
    struct stat st{};
    const auto actual = lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)
                            ? Sha256OfFile(path, [&] { return cancel.Check(); })
                            : Fail("manifest", ENOENT, path + " is no regular file");
    BERTH_TRY(cancel.Check());
    if (!actual) {
      finding = {finding.what, Finding::kDamaged, actual.error().Message()};
    } else if (*actual != file["sha256"].get<std::string>()) {
      finding = {finding.what, Finding::kDamaged, "it is " + *actual + ", not what was built"};
    }
    const bool good = finding.verdict == Finding::kOk;
    findings.push_back(std::move(finding));
    if (good) BERTH_TRY(CheckFileSystem(dir, name, cancel, findings));
  }
  if (manifest.contains("kernel")) findings.push_back(CheckImageJson(dir, manifest["files"]));
  return findings;
}

}  // namespace berth::image
