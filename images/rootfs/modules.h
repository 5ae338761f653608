// SPDX-License-Identifier: Apache-2.0
//
// Kernel modules for an initramfs: which, from a tree as depmod leaves it, and put into a Tree as
// berth-init wants them (docs/init.md): unpacked, without signatures, with a modules.dep, a
// modules.builtin and a modules.load of their own.
#ifndef BERTH_IMAGES_ROOTFS_MODULES_H_
#define BERTH_IMAGES_ROOTFS_MODULES_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "images/rootfs/source.h"

namespace berth::image {

// "6.1.0-56-cloud-amd64" of a bzImage; empty where it is none. Step "kernel" where it cannot be
// read.
Result<std::string> KernelRelease(const std::string& path);

struct ModuleOptions {
  std::string dir;                       // a folder with a modules.dep, or one above such folders
  std::string release;                   // the kernel's; empty: unknown
  std::optional<std::string> load_text;  // modules.load; none: the built-in one
  std::vector<std::string> without;      // left out, and what needs them
  bool keep_signatures = false;
};

struct ModuleTree {
  std::string dir;      // that holds modules.dep
  std::string release;  // its name
};
// The folder of the kernel's release at or below `dir`. ENOENT, EINVAL where it is another's.
Result<ModuleTree> FindModules(const std::string& dir, const std::string& release);

// What depmod and modules.load say, chosen from. Pure.
struct ModuleChoice {
  std::vector<std::string> files;            // as modules.dep names them, dependencies first
  std::string dep;                           // modules.dep of those
  std::string builtin;                       // of modules.builtin, those asked for
  std::string load;                          // modules.load without comments and what was left out
  std::vector<std::string> unknown_load;     // of `load`, what is in neither list
  std::vector<std::string> unknown_without;  // of `without`, what modules.dep has not
};
Result<ModuleChoice> ChooseModules(std::string_view dep, std::string_view builtin,
                                   std::string_view load, const std::vector<std::string>& without);

// Cuts the signature off a module (the kernel's include/linux/module_signature.h), where one is.
void StripSignature(std::string& module);

struct AddedModule {
  std::string name;    // path in modules.dep
  std::string sha256;  // of the file as it was found
};
// Puts lib/modules/RELEASE and etc/berth/modules.load into the tree.
Result<std::vector<AddedModule>> AddModules(const ModuleOptions& options, Tree& tree,
                                            Loading& loading);

// images/rootfs/modules.load, built in.
std::string_view DefaultModulesLoad();

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_MODULES_H_
