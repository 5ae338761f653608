// SPDX-License-Identifier: Apache-2.0
//
// An OCI image layout as a source: finds the manifest, applies the layers from the lowest up. A
// blob is checked against its digest as it is read: one that is not what it should be ends the
// build.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "images/rootfs/limits.h"
#include "images/rootfs/source.h"
#include "protocol/base/io.h"

namespace berth::image {
namespace {

constexpr const char* kDamagedBlob = "the layout is damaged: copy the image again";

struct Layout {
  std::string dir;
  const Cancel& cancel;

  std::string BlobPath(const Descriptor& blob) const { return dir + "/blobs/sha256/" + blob.hex; }
  // A blob of the size that is stated; its digest is looked at once it is read.
  Result<HashedFile> Open(const Descriptor& blob, std::string name) const;
  Result<> CheckDigest(const Descriptor& blob, HashedFile& file) const;
  Result<std::string> Read(const Descriptor& blob) const;
};

Result<HashedFile> Layout::Open(const Descriptor& blob, std::string name) const {
  const std::string path = BlobPath(blob);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoError("oci", path, kDamagedBlob);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return Fail("oci", EINVAL, path + " is not a regular file", kDamagedBlob);
  }
  if (static_cast<uint64_t>(st.st_size) != blob.bytes) {
    return Fail("oci", EBADMSG,
                fmt::format("{} has {} bytes, {} are stated", path, st.st_size, blob.bytes),
                kDamagedBlob);
  }
  return HashedFile(std::move(fd), std::move(name), cancel);
}

Result<> Layout::CheckDigest(const Descriptor& blob, HashedFile& file) const {
  BERTH_ASSIGN(const std::string actual, file.Finish());
  if (actual == blob.hex) return {};
  return Fail("oci", EBADMSG, BlobPath(blob) + " has sha256 " + actual, kDamagedBlob);
}

Result<std::string> Layout::Read(const Descriptor& blob) const {
  if (blob.bytes > kMaxOciJsonBytes) return Fail("oci", EFBIG, BlobPath(blob), kDamagedBlob);
  BERTH_ASSIGN(HashedFile file, Open(blob, BlobPath(blob)));
  std::string text;
  while (text.size() <= kMaxOciJsonBytes) {
    BERTH_ASSIGN(const auto piece, file.Read());
    if (piece.empty()) break;
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  BERTH_TRY(CheckDigest(blob, file));
  return text;
}

}  // namespace

Result<Source> LoadOci(const std::string& dir, const std::string& tag, Loading& loading) {
  const Layout layout{dir, loading.cancel};
  const std::string index_path = dir + "/index.json";
  auto index = ReadFile(index_path.c_str(), kMaxOciJsonBytes);
  if (!index) {
    return Fail("oci", index.error().errnum, index_path,
                "an OCI image layout is a folder with an index.json; "
                "make one with: skopeo copy docker://IMAGE oci:LAYOUT:TAG");
  }
  BERTH_ASSIGN(auto descriptors, ParseIndex(*index));
  BERTH_ASSIGN(Descriptor chosen, Choose(descriptors, tag));
  for (size_t depth = 0; IsIndex(chosen); ++depth) {
    if (depth == kMaxIndexDepth) return Fail("oci", ELOOP, dir + ": indexes within indexes");
    BERTH_ASSIGN(const std::string text, layout.Read(chosen));
    BERTH_ASSIGN(descriptors, ParseIndex(text));
    BERTH_ASSIGN(chosen, Choose(descriptors, ""));
  }

  Source source;
  source.kind = "oci";
  source.digest = "sha256:" + chosen.hex;
  BERTH_ASSIGN(const std::string manifest_text, layout.Read(chosen));
  BERTH_ASSIGN(const OciManifest manifest, ParseOciManifest(manifest_text));
  BERTH_ASSIGN(const std::string config_text, layout.Read(manifest.config));
  BERTH_ASSIGN(source.main, ParseOciConfig(config_text));
  if (source.main->exposes_ports) {
    loading.warnings.Add("ExposedPorts of the OCI image mean nothing here and are left out");
  }
  int number = 0;
  for (const Descriptor& layer : manifest.layers) {
    BERTH_ASSIGN(HashedFile file, layout.Open(layer, "layer sha256:" + layer.hex.substr(0, 12)));
    const auto applied = ApplyTar(file, ++number, source.tree, loading);
    // First, for a blob that is not what it should be explains whatever else is wrong with it.
    BERTH_TRY(layout.CheckDigest(layer, file));
    BERTH_TRY(applied);
  }
  return source;
}

}  // namespace berth::image
