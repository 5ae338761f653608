// SPDX-License-Identifier: Apache-2.0
//
// An OCI image layout as a source: finds the manifest, checks each blob against its digest, applies
// the layers from the lowest up.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

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
  // The blob, whose digest was checked on the descriptor that is handed out.
  Result<UniqueFd> Open(const Descriptor& blob) const;
  Result<std::string> Read(const Descriptor& blob) const;
};

Result<UniqueFd> Layout::Open(const Descriptor& blob) const {
  const std::string path = BlobPath(blob);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoError("oci", path, kDamagedBlob);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return Fail("oci", EINVAL, path + " is not a regular file", kDamagedBlob);
  }
  Sha256 sha256;
  std::vector<std::byte> buffer(size_t{256} * 1024);
  while (true) {
    BERTH_TRY(cancel.Check());
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("oci", path);
    if (n == 0) break;
    sha256.Update(std::span(buffer).first(static_cast<size_t>(n)));
  }
  const std::string actual = sha256.HexDigest();
  if (actual != blob.hex) {
    return Fail("oci", EBADMSG, path + " has sha256 " + actual, kDamagedBlob);
  }
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return ErrnoError("oci", path);
  return fd;
}

Result<std::string> Layout::Read(const Descriptor& blob) const {
  BERTH_ASSIGN(const UniqueFd fd, Open(blob));
  return ReadFile(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), kMaxOciJsonBytes);
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
    BERTH_ASSIGN(const UniqueFd fd, layout.Open(layer));
    BERTH_TRY(ApplyTar(fd.get(), "layer sha256:" + layer.hex.substr(0, 12), ++number, source.tree,
                       loading));
  }
  return source;
}

}  // namespace berth::image
