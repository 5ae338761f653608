// SPDX-License-Identifier: Apache-2.0
//
// The bounds of what an image is made of. Archives and layouts come from anywhere: each bound is
// checked before anything is allocated or written for what it bounds.
#ifndef BERTH_IMAGES_ROOTFS_LIMITS_H_
#define BERTH_IMAGES_ROOTFS_LIMITS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace berth::image {

inline constexpr size_t kMaxEntries = 1'000'000;  // files, directories and so on; a node is ~300 B
// Of all names, targets of links and extended attributes, those that were replaced included.
inline constexpr uint64_t kMaxTreeMetadataBytes = uint64_t{512} << 20;
inline constexpr uint64_t kMaxFileBytes = uint64_t{16} << 30;
inline constexpr uint64_t kMaxTreeBytes = uint64_t{64} << 30;  // of content, holes included
inline constexpr size_t kMaxNameBytes = 255;                   // NAME_MAX of every format
inline constexpr size_t kMaxPathBytes = 3500;  // PATH_MAX, less what a tool puts before it
inline constexpr size_t kMaxDepth = 200;       // directories; a walk holds one descriptor for each
inline constexpr size_t kMaxTargetBytes = 4095;  // of a symbolic link
inline constexpr size_t kMaxLinksFollowed = 40;  // as the kernel's

// fakeroot's message to its daemon holds 1024 bytes: name and value of one, names of all.
inline constexpr size_t kMaxXattrBytes = 1000;

inline constexpr size_t kMaxOciJsonBytes = 4 * 1024 * 1024;  // as registries bound manifests
inline constexpr size_t kMaxOciLayers = 512;
inline constexpr size_t kMaxOciManifests = 1024;  // of one index
inline constexpr size_t kMaxIndexDepth = 4;       // an index in an index in …
inline constexpr size_t kMaxOciArguments = 4096;  // ENTRYPOINT and CMD, and ENV

inline constexpr size_t kMaxConfigBytes = 256 * 1024;  // an init.toml, as berth-init bounds it
inline constexpr size_t kMaxGuestBinaryBytes = 64 * 1024 * 1024;
inline constexpr size_t kMaxModulesDepBytes = 4 * 1024 * 1024;
inline constexpr size_t kMaxModuleBytes = 256 * 1024 * 1024;
inline constexpr size_t kMaxWarnings = 100;  // the rest are counted
inline constexpr size_t kMaxManifestBytes = 4 * 1024 * 1024;
inline constexpr size_t kMaxListBytes = 512 * 1024 * 1024;

// A file system maker that hangs; generous, for a big tree on a slow disk.
inline constexpr auto kToolTimeout = std::chrono::hours(2);
inline constexpr auto kCheckTimeout = std::chrono::seconds(30);
inline constexpr size_t kMaxToolOutputBytes = 64 * 1024;

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_LIMITS_H_
