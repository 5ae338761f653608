// SPDX-License-Identifier: Apache-2.0
//
// From a source to an image folder as `berth create` takes it: the order of the steps, each of
// which has a file of its own. Needs no right that an ordinary user lacks. Blocks, for as long as
// it takes; one thread.
#ifndef BERTH_IMAGES_ROOTFS_BUILD_H_
#define BERTH_IMAGES_ROOTFS_BUILD_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "images/rootfs/filesystem.h"
#include "images/rootfs/source.h"

namespace berth::image {

struct BuildOptions {
  std::string from;
  Format format = Format::kErofs;
  std::string out;
  std::string config;   // an init.toml; empty: the source's own
  std::string kernel;   // a vmlinuz; empty: a root file system alone, no image.json
  std::string modules;  // needed with a kernel that has modules
  std::string init;     // empty: found, see FindGuestBinary
  std::string agent;
  std::string name;          // empty: the last part of `out`
  std::string cmdline;       // behind the image's own
  std::string modules_load;  // a file in place of the built-in one
  std::vector<std::string> without;
  bool keep_signatures = false;
  bool compress_initramfs = false;
  bool modules_in_rootfs = false;
  bool all_root = false;
  uint64_t bytes = 0;  // of an ext4
  int64_t epoch = 1;   // SOURCE_DATE_EPOCH
  Cancel cancel;
  std::function<void(std::string_view step, int percent)> progress = [](auto, auto) {};
};

struct Built {
  std::string out;
  nlohmann::json manifest;
};

// On failure nothing is at `out` that was not there before. Error::step names what failed.
Result<Built> Build(const BuildOptions& options);

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_BUILD_H_
