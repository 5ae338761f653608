// SPDX-License-Identifier: Apache-2.0
//
// Loads kernel modules of the running kernel with finit_module(2), dependencies first.
#ifndef BERTH_INIT_MODULE_LOADER_H_
#define BERTH_INIT_MODULE_LOADER_H_

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "init/cmdline.h"
#include "init/modules.h"
#include "protocol/base/result.h"

namespace berth::init {

inline constexpr const char* kModulesLoadPath = "/etc/berth/modules.load";

class ModuleLoader {
 public:
  // Reads modules.dep of the running kernel. A kernel without a folder in /lib/modules is one with
  // everything built in, unless another kernel's folder stands there: then that is said.
  static ModuleLoader Open(const Options& options);

  // Loads one module and what it depends on. Success where it is loaded or built in already.
  Result<> Load(std::string_view name);

  // The modules of the command line and of modules.load whose condition holds. A module that fails
  // is a warning: what needs it will say so, and know what for.
  void LoadListed(const Options& options);

  // A module by the file system's name, where the kernel does not know that file system yet.
  Result<> LoadFilesystem(std::string_view fstype);

 private:
  Result<> LoadFile(const std::string& path);

  std::string folder_;  // "/lib/modules/6.1.0-cloud-amd64/"
  ModuleIndex index_;
  std::vector<ModuleParameter> parameters_;
  std::set<std::string, std::less<>> loaded_;
};

}  // namespace berth::init

#endif  // BERTH_INIT_MODULE_LOADER_H_
