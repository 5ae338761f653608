// SPDX-License-Identifier: Apache-2.0
//
// Which kernel modules to load, and in which order: parsers of modules.dep, modules.builtin and
// /etc/berth/modules.load, and the ordering. Pure; module_loader.h does the loading.
//
//   modules.dep      kernel/fs/erofs/erofs.ko: kernel/lib/libcrc32c.ko      (depmod's)
//   modules.builtin  kernel/fs/ext4/ext4.ko                                 (the kernel's)
//   modules.load     virtio_pci when=/sys/bus/pci/devices/0000:00:00.0      (Berth's)
//                    virtio_rng when=virtio:4
#ifndef BERTH_INIT_MODULES_H_
#define BERTH_INIT_MODULES_H_

#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace berth::init {

inline constexpr size_t kMaxModulesDepBytes = 4 * 1024 * 1024;
inline constexpr size_t kMaxModules = 20'000;  // a distribution's full kernel has some 4000
inline constexpr size_t kMaxModulesLoadBytes = 64 * 1024;

// "kernel/drivers/char/hw_random/virtio-rng.ko.xz" -> "virtio_rng".
std::string ModuleName(std::string_view path);

class ModuleIndex {
 public:
  ModuleIndex() = default;
  ModuleIndex(ModuleIndex&&) = default;
  ModuleIndex& operator=(ModuleIndex&&) = default;

  // Empty texts are an index without modules: a kernel that has all it needs built in.
  static Result<ModuleIndex> Parse(std::string dep_text, std::string_view builtin_text);

  // Paths as modules.dep has them, dependencies first, each once; empty where the module is built
  // in. ENOENT where the kernel does not have it, ELOOP where dependencies form a cycle.
  Result<std::vector<std::string>> LoadOrder(std::string_view name) const;

  bool empty() const { return modules_.empty(); }

 private:
  struct Module {
    std::string name;
    std::string_view path;   // into text_
    std::string_view needs;  // into text_: paths parted by blanks
  };
  enum class Mark : char { kNew, kOpen, kDone };

  const Module* Find(std::string_view name) const;
  Result<> Visit(const Module& module, std::vector<Mark>& marks, int depth,
                 std::vector<std::string>& order) const;

  // A vector, not a string: a move leaves its bytes, and so the views, where they are.
  std::vector<char> text_;
  std::vector<Module> modules_;       // sorted by name
  std::vector<std::string> builtin_;  // sorted
};

// One line of modules.load.
struct ModuleRow {
  enum class When { kAlways, kPathExists, kVirtioDevice };
  std::string name;
  When when = When::kAlways;
  std::string path;     // kPathExists
  unsigned virtio = 0;  // kVirtioDevice: the device id of the virtio specification, chapter 5

  friend bool operator==(const ModuleRow&, const ModuleRow&) = default;
};

// '#' starts a comment. A line that does not parse is an error that names its number.
Result<std::vector<ModuleRow>> ParseModulesLoad(std::string_view text);

}  // namespace berth::init

#endif  // BERTH_INIT_MODULES_H_
