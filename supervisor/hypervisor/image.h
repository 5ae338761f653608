// SPDX-License-Identifier: Apache-2.0
//
// Images: a directory with an image.json that names a kernel, an initrd, a command line and disks.
//
//   {"format": 1, "name": "demo", "kernel": "vmlinuz", "initrd": "initrd.img", "cmdline": "...",
//    "disks": [{"path": "rootfs.erofs", "format": "raw", "read_only": true}],
//    "sha256": {"vmlinuz": "<64 hex digits>"}}
//
// Paths are relative to the directory and stay inside it: image.json comes from an image author,
// who has no say over other files of the host. Reads files; any thread that may block.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_IMAGE_H_
#define BERTH_SUPERVISOR_HYPERVISOR_IMAGE_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "supervisor/hypervisor/vm_spec.h"

namespace berth {

inline constexpr size_t kMaxImageJsonBytes = 256 * 1024;

struct Image {
  std::string dir;
  std::string name;
  std::string kernel;  // absolute from here on
  std::string initrd;  // empty: none
  std::string cmdline;
  std::vector<DiskSpec> disks;
  std::map<std::string, std::string> sha256;  // absolute path → lower-case hex
};

// What a hypervisor boots: absolute paths that existed when this was made.
struct BootFiles {
  std::string kernel;
  std::string initrd;
  std::string cmdline;
  std::vector<DiskSpec> disks;
};

// What an image.json says, names as they stand there; `dir` is where it lies. Error::step "image".
Result<Image> ParseImage(std::string_view text, const std::string& dir);

// Reads image.json and checks that every file it names is there, is a regular file, and that the
// kernel is one. Error::step: "image" (no such directory, no image.json, not what it should be),
// "image-file" (a file it names), "kernel".
Result<Image> LoadImage(const std::string& dir);

// Reads every file with a stated sha256 and compares; step "image-sha256". Slow: once per create,
// not per start.
Result<> VerifyImage(const Image& image);

// Whether `path` is something that QEMU can boot: an x86 bzImage, or an ELF kernel with a PVH note
// left to QEMU to find. Step "kernel".
Result<> CheckKernel(const std::string& path);

// The spec's own files over those of its image (see VmSpec::image), all checked to exist. Called
// before each start: files may have gone since the last.
Result<BootFiles> ResolveBootFiles(const VmSpec& spec);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_IMAGE_H_
