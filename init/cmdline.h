// SPDX-License-Identifier: Apache-2.0
//
// The kernel command line as berth-init reads it. A pure parser: one text in, one value out.
//
// docs/init.md lists the keys; the table in cmdline.cc is what both follow. They are those that are
// needed before init.toml can be read. Every other "berth." word is one of init.toml's keys, and is
// passed on to its decoder (config_decode.h), which also knows what is none. A key without the
// "berth." prefix is the kernel's own and is read where distributions honour it too (root=,
// rootfstype=, ro, rw). The last of several equal keys wins, as it does in the kernel.
#ifndef BERTH_INIT_CMDLINE_H_
#define BERTH_INIT_CMDLINE_H_

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace berth::init {

// What stands on top of a root file system.
enum class Overlay {
  kAuto,  // tmpfs over a file system that cannot be written, none over one that can
  kNone,
  kTmpfs,
  kDevice,  // a block device with a file system that keeps what is written
};

struct ModuleParameter {
  std::string module;   // '-' read as '_', as the kernel does
  std::string setting;  // "name=value", or "name"
};

struct Options {
  std::string root;         // device path, or virtiofs tag; empty: the initramfs is the root
  std::string root_fstype;  // empty: told from the superblock
  std::string root_flags;   // file system options, as mount(2) takes them
  bool read_only = false;
  Overlay overlay = Overlay::kAuto;
  std::string overlay_device;
  std::string overlay_size;  // of the tmpfs, as tmpfs(5) takes it; empty: half of the memory
  std::chrono::milliseconds root_wait{10'000};
  std::string init;       // a program to exec as PID 1 in place of berth-init, once root is mounted
  std::string agent;      // empty: kAgentPath
  bool timeline = false;  // say on the console when each phase of the boot began
  std::vector<std::string> modules;                // loaded before those of modules.load
  std::vector<ModuleParameter> module_parameters;  // module.name=value
  std::vector<std::string> config_words;           // "berth.KEY=VALUE" of init.toml's keys
  std::vector<std::string> mistakes;               // one sentence each, for the console
};

inline constexpr size_t kMaxCmdlineBytes = 16 * 1024;  // COMMAND_LINE_SIZE is 2 to 4 KiB
inline constexpr size_t kMaxCmdlineWords = 1024;       // words after that are not read

// Cuts `text` into words as the kernel does: blanks part them, double quotes hold blanks together
// and are dropped. A word "--" ends the kernel's part, and with it the list.
std::vector<std::string> CmdlineWords(std::string_view text);

Options ParseCmdline(std::string_view text);

// The keys after "berth." that are read here: what an unknown one may have been meant to be.
std::vector<std::string_view> EarlyKeys();

}  // namespace berth::init

#endif  // BERTH_INIT_CMDLINE_H_
