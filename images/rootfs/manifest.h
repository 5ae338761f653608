// SPDX-License-Identifier: Apache-2.0
//
// manifest.json: what went into an image, and what it should be. It names no path of the machine
// that built it and no time, so that it is the same wherever the same was built.
//
//   {"berth_image": 1, "format": "erofs", "source": {...}, "guest": {...}, "kernel": {...},
//    "root": {"entries": N, "bytes": N, "digest": "…", "list": "rootfs.list"},
//    "files": {"rootfs.erofs": {"sha256": "…", "bytes": N}}, "warnings": [...], "tools": {...}}
//
// rootfs.list has a line for each name of the root file system, parted by tabs: type and mode as ls
// shows them, uid, gid, bytes or device, seconds since the epoch, path, and for a link its target;
// bytes that a terminal would act on, backslashes included, as \xNN.
#ifndef BERTH_IMAGES_ROOTFS_MANIFEST_H_
#define BERTH_IMAGES_ROOTFS_MANIFEST_H_

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "images/rootfs/source.h"

namespace berth::image {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kListName = "rootfs.list";
inline constexpr int kManifestVersion = 1;

// Checked: version, and that the files are plain names with a sha256 each.
Result<nlohmann::json> ParseManifest(std::string_view text, const std::string& path);
Result<nlohmann::json> ReadManifest(const std::string& dir);

std::string RenderList(const Tree& tree);
// "drwxr-xr-x"
std::string RenderMode(const Inode& inode);

// Adds {"sha256": …, "bytes": …} of each file of a folder that `files` has not.
Result<> DigestFiles(const std::string& dir, const Cancel& cancel, nlohmann::json& files);

struct Finding {
  std::string what;  // "rootfs.erofs: sha256"
  enum Verdict { kOk, kDamaged, kNotChecked } verdict = kOk;
  std::string detail;
};
// Every file against its sha256, the file system by its own checker, and image.json, where there is
// a kernel.
Result<std::vector<Finding>> VerifyBuilt(const std::string& dir, const Cancel& cancel);

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_MANIFEST_H_
