// SPDX-License-Identifier: Apache-2.0
//
// What Berth itself puts into an image: its two guest binaries, a configuration, mount points.
#ifndef BERTH_IMAGES_ROOTFS_INJECT_H_
#define BERTH_IMAGES_ROOTFS_INJECT_H_

#include <string>
#include <string_view>

#include "images/rootfs/source.h"

namespace berth::image {

// A file of root's at a path of the tree, links above it followed inside the tree.
Result<> PutText(Tree& tree, std::string_view path, std::string_view content, mode_t mode,
                 Loading& loading);
// As PutText; nothing is changed where something is there.
Result<> PutDirectoryIfMissing(Tree& tree, std::string_view path, mode_t mode);
Result<> PutLinkIfMissing(Tree& tree, std::string_view path, std::string_view target);

struct GuestBinary {
  std::string path;
  std::string sha256;
  std::string build_id;  // of its ELF note; empty where it has none
};
// `option` where it says something, else `name` of $BERTH_GUEST_DIR, of ../lib/berth/guest beside
// this program, of the build tree's guest/bin. Step "guest-binary".
Result<GuestBinary> FindGuestBinary(const std::string& option, const std::string& name);
// "a1b2…" of NT_GNU_BUILD_ID in an ELF file's bytes; empty where there is none. For any bytes.
std::string BuildIdOf(std::string_view elf);

// Runs `INIT --check FILE`: what berth-init itself says of the configuration that it will be given.
Result<> CheckConfig(const GuestBinary& init, const std::string& path, const std::string& shown_as,
                     const Cancel& cancel);

// Mount points, the binaries, the names that PID 1 is called by where the image has none.
Result<> InjectRoot(const GuestBinary& init, const GuestBinary& agent, Tree& tree,
                    Loading& loading);
// /init, for a root file system that is itself the initramfs: the kernel starts that name.
Result<> LinkInit(Tree& tree);
// The small one that leads to another root: /init, the agent, mount points.
Result<> InjectInitramfs(const GuestBinary& init, const GuestBinary& agent, Tree& tree,
                         Loading& loading);

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_INJECT_H_
