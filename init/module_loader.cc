// SPDX-License-Identifier: Apache-2.0
#include "init/module_loader.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>

#include "init/console.h"
#include "protocol/base/io.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

constexpr const char* kModulesFolder = "/lib/modules/";
constexpr int kModuleInitCompressedFile = 4;  // MODULE_INIT_COMPRESSED_FILE, Linux 5.17

std::string TextOrEmpty(const std::string& path) {
  auto text = ReadFile(path.c_str(), kMaxModulesDepBytes);
  return text ? std::move(*text) : std::string();
}

// A name in /lib/modules, or nothing: an initramfs made for another kernel is a common mistake.
std::string AnyKernelFolder() {
  std::string found;
  DIR* dir = opendir(kModulesFolder);
  if (dir == nullptr) return found;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') found = entry->d_name;
  }
  closedir(dir);
  return found;
}

bool HasVirtioDevice(unsigned wanted) {
  constexpr const char* kDevices = "/sys/bus/virtio/devices/";
  bool found = false;
  DIR* dir = opendir(kDevices);
  if (dir == nullptr) return false;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] == '.') continue;
    const auto id = ReadFile((std::string(kDevices) + entry->d_name + "/device").c_str(), 64);
    if (id && std::strtoul(id->c_str(), nullptr, 0) == wanted) found = true;
  }
  closedir(dir);
  return found;
}

bool Wanted(const ModuleRow& row) {
  switch (row.when) {
    case ModuleRow::When::kAlways:
      return true;
    case ModuleRow::When::kPathExists:
      return access(row.path.c_str(), F_OK) == 0;
    case ModuleRow::When::kVirtioDevice:
      return HasVirtioDevice(row.virtio);
  }
  return true;
}

}  // namespace

ModuleLoader ModuleLoader::Open(const Options& options) {
  ModuleLoader loader;
  loader.parameters_ = options.module_parameters;
  utsname kernel{};
  uname(&kernel);
  loader.folder_ = std::string(kModulesFolder) + kernel.release + "/";
  std::string dep = TextOrEmpty(loader.folder_ + "modules.dep");
  const std::string builtin = TextOrEmpty(loader.folder_ + "modules.builtin");
  if (dep.empty() && builtin.empty()) {
    const std::string other = AnyKernelFolder();
    if (!other.empty()) {
      Warn(std::string("modules: the kernel is ") + kernel.release + ", /lib/modules has " + other +
           "; build the image with this kernel's modules");
    }
    return loader;
  }
  auto index = ModuleIndex::Parse(std::move(dep), builtin);
  if (index) {
    loader.index_ = std::move(*index);
  } else {
    Warn(index.error());
  }
  return loader;
}

Result<> ModuleLoader::Load(std::string_view name) {
  if (index_.empty()) return {};  // all is built in; what is not, its user will miss
  BERTH_ASSIGN(const std::vector<std::string> order, index_.LoadOrder(name));
  for (const std::string& path : order) {
    if (loaded_.contains(path)) continue;
    BERTH_TRY(LoadFile(path));
    loaded_.insert(path);
  }
  return {};
}

Result<> ModuleLoader::LoadFile(const std::string& path) {
  const std::string file = folder_ + path;
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("load-module", file);
  std::string settings;
  const std::string name = ModuleName(path);
  for (const ModuleParameter& parameter : parameters_) {
    if (parameter.module == name) settings += parameter.setting + " ";
  }
  const int flags = path.ends_with(".ko") ? 0 : kModuleInitCompressedFile;
  if (syscall(SYS_finit_module, fd.get(), settings.c_str(), flags) == 0) return {};
  const int errnum = errno;
  if (errnum == EEXIST) return {};
  return Fail("load-module", errnum, file,
              errnum == EOPNOTSUPP ? "this kernel takes uncompressed modules only" : "");
}

void ModuleLoader::LoadListed(const Options& options) {
  const auto load = [this](std::string_view name) {
    if (auto loaded = Load(name); !loaded) Warn(loaded.error());
  };
  for (const std::string& name : options.modules) load(name);
  auto text = ReadFile(kModulesLoadPath, kMaxModulesLoadBytes);
  if (!text) {
    if (text.error().errnum != ENOENT) Warn(text.error());
    return;
  }
  const auto rows = ParseModulesLoad(*text);
  if (!rows) return Warn(rows.error());
  // A condition is asked when its row's turn comes: the rows before may have made its device.
  for (const ModuleRow& row : *rows) {
    if (Wanted(row)) load(row.name);
  }
}

Result<> ModuleLoader::LoadFilesystem(std::string_view fstype) {
  if (index_.empty()) return {};
  const auto known = ReadFile("/proc/filesystems", 64 * 1024);
  if (known && known->find("\t" + std::string(fstype) + "\n") != std::string::npos) return {};
  return Load(fstype);
}

}  // namespace berth::init
