// SPDX-License-Identifier: Apache-2.0
//
// The documents of an OCI image layout, and the names that whiteouts have in its layers. Pure: text
// in, values out. https://github.com/opencontainers/image-spec v1.1: image-layout.md,
// image-index.md, manifest.md, config.md, layer.md.
//
//   LAYOUT/index.json -> (index ->) manifest -> config, layers; all of them LAYOUT/blobs/sha256/HEX
#ifndef BERTH_IMAGES_ROOTFS_OCI_H_
#define BERTH_IMAGES_ROOTFS_OCI_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace berth::image {

struct Descriptor {
  std::string media_type;
  std::string hex;  // of "sha256:HEX", which is the one digest taken
  uint64_t bytes = 0;
  std::string ref_name;      // org.opencontainers.image.ref.name
  std::string os;            // of `platform`; empty where it has none
  std::string architecture;  // "amd64"
};

bool IsIndex(const Descriptor& descriptor);

// Descriptors of an index, in its order. Step "oci".
Result<std::vector<Descriptor>> ParseIndex(std::string_view text);

// The one that is meant: by tag where there is one (the topmost index), else by platform
// linux/amd64, else the only one. ENOENT and the names to choose from where there is none.
Result<Descriptor> Choose(const std::vector<Descriptor>& descriptors, const std::string& tag);

struct OciManifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};
Result<OciManifest> ParseOciManifest(std::string_view text);

// What an image says about the program it is for.
struct OciConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::pair<std::string, std::string>> env;
  std::string user;  // "name", "name:group", numbers
  std::string working_dir;
  std::string stop_signal;  // "SIGTERM", "15"
  bool exposes_ports = false;
};
// ENOEXEC where it is for anything but linux/amd64.
Result<OciConfig> ParseOciConfig(std::string_view text);

// What a name in a layer means. "a/.wh.b" hides "a/b", "a/.wh..wh..opq" hides what is in "a".
struct Mark {
  enum Kind { kNone, kWhiteout, kOpaque, kIgnored };
  Kind kind = kNone;
  std::string path;
};
// `path` is clean (tree.h). EINVAL for a whiteout of nothing, or with something below it.
Result<Mark> MarkOf(std::string_view path);

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_OCI_H_
