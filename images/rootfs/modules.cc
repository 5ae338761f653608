// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/modules.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "images/rootfs/inject.h"
#include "images/rootfs/limits.h"
#include "protocol/base/io.h"

namespace berth::image {
namespace {

// Those that a root file system may be of, and what stands over it.
constexpr std::array<std::string_view, 4> kRootFileSystems = {"erofs", "overlay", "squashfs",
                                                              "ext4"};
constexpr std::string_view kSignatureMagic = "~Module signature appended~\n";
constexpr size_t kSignatureInfoBytes = 12;

// "kernel/fs/virtio-fs.ko.xz" -> "virtio_fs"
std::string ModuleNameOf(std::string_view path) {
  std::string name(NameOf(path));
  name.resize(std::min(name.size(), name.find('.')));
  std::ranges::replace(name, '-', '_');
  return name;
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  constexpr std::string_view kBlank = " \t\r";
  for (size_t at = text.find_first_not_of(kBlank); at != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kBlank, at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(kBlank, end);
  }
  return words;
}

template <typename F>
void ForLines(std::string_view text, F&& each) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    each(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
}

struct DepRow {
  std::string path;
  std::vector<std::string> needs;
};

std::string Uncompressed(std::string path) {
  for (const std::string_view suffix : {".xz", ".zst", ".gz"}) {
    if (path.ends_with(".ko" + std::string(suffix))) path.resize(path.size() - suffix.size());
  }
  return path;
}

class Chooser {
 public:
  Chooser(std::string_view dep, const std::vector<std::string>& without) {
    ForLines(dep, [this](std::string_view line) {
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos) return;
      const std::string path(line.substr(0, colon));
      rows_[ModuleNameOf(path)] = DepRow{path, Words(line.substr(colon + 1))};
    });
    for (const std::string& name : without) out_.insert(ModuleNameOf(name));
  }

  bool Knows(const std::string& name) const { return rows_.contains(name); }

  bool LeftOut(const std::string& name) const {
    if (out_.contains(name)) return true;
    const auto row = rows_.find(name);
    return row != rows_.end() && std::ranges::any_of(row->second.needs, [this](const auto& path) {
             return out_.contains(ModuleNameOf(path));
           });
  }

  // A cycle ends where it began, for a module counts as taken from the start.
  void Take(const std::string& name, ModuleChoice& choice, std::vector<std::string>& dep) {
    const auto row = rows_.find(name);
    if (row == rows_.end() || !taken_.insert(name).second) return;
    std::string line = Uncompressed(row->second.path) + ":";
    for (const std::string& path : row->second.needs) {
      Take(ModuleNameOf(path), choice, dep);
      line += " " + Uncompressed(path);
    }
    choice.files.push_back(row->second.path);
    dep.push_back(line + "\n");
  }

 private:
  std::map<std::string, DepRow> rows_;
  std::set<std::string> out_;
  std::set<std::string> taken_;
};

// The whole of a module, out of whatever compression it has.
Result<std::string> ReadModule(const std::string& path) {
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
  SupportCompressions(reader.get());
  archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  constexpr size_t kBlock = 64 * 1024;
  if (archive_read_open_filename(reader.get(), path.c_str(), kBlock) != ARCHIVE_OK ||
      archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) {
    return Fail("modules", archive_errno(reader.get()),
                path + ": " + archive_error_string(reader.get()));
  }
  std::string module;
  char buffer[kBlock];
  while (true) {
    const la_ssize_t n = archive_read_data(reader.get(), buffer, sizeof(buffer));
    if (n < 0) {
      return Fail("modules", archive_errno(reader.get()),
                  path + ": " + archive_error_string(reader.get()));
    }
    if (n == 0) return module;
    module.append(buffer, static_cast<size_t>(n));
    if (module.size() > kMaxModuleBytes) return Fail("modules", EFBIG, path);
  }
}

bool IsFile(const std::string& path) {
  struct stat st{};
  return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

}  // namespace

Result<std::string> KernelRelease(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("kernel", path, "--kernel names the kernel itself, a vmlinuz");
  // Linux Documentation/arch/x86/boot.rst: "HdrS" at 0x202, kernel_version at 0x20e, less 0x200.
  std::array<unsigned char, 0x210> header{};
  if (pread(fd.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()) ||
      std::string_view(reinterpret_cast<const char*>(header.data()) + 0x202, 4) != "HdrS") {
    return std::string();
  }
  const off_t at = 0x200 + (header[0x20e] | header[0x20f] << 8);
  char text[256] = {};
  if (pread(fd.get(), text, sizeof(text) - 1, at) <= 0) return std::string();
  const std::string version = text;
  return version.substr(0, version.find(' '));
}

Result<ModuleTree> FindModules(const std::string& dir, const std::string& release) {
  const char* const hint =
      "--modules takes lib/modules/RELEASE of the kernel, or a folder with lib/modules; "
      "modules.dep comes from depmod";
  std::error_code ignored;
  if (IsFile(dir + "/modules.dep")) {
    std::string path = dir;
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    ModuleTree found{path, std::string(NameOf(std::string_view(path)))};
    if (!release.empty() && found.release != release) {
      return Fail("modules", EINVAL,
                  fmt::format("{} is for kernel {}, --kernel is {}", dir, found.release, release),
                  hint);
    }
    return found;
  }
  std::vector<ModuleTree> found;
  std::string names;
  for (const std::string& above : {dir, dir + "/lib/modules", dir + "/usr/lib/modules"}) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(above.c_str()), closedir);
    while (const dirent* const entry = folder ? readdir(folder.get()) : nullptr) {
      const std::string name = entry->d_name;
      if (name.starts_with('.') || !IsFile(above + "/" + name + "/modules.dep")) continue;
      names += (names.empty() ? "" : ", ") + name;
      if (release.empty() || name == release) found.push_back({above + "/" + name, name});
    }
  }
  if (found.size() == 1) return found.front();
  return Fail("modules", found.empty() ? ENOENT : EINVAL,
              fmt::format("{}: modules of kernel {}; there are: {}", dir,
                          release.empty() ? "(unknown)" : release, names.empty() ? "none" : names),
              hint);
}

Result<ModuleChoice> ChooseModules(std::string_view dep, std::string_view builtin,
                                   std::string_view load, const std::vector<std::string>& without) {
  Chooser chooser(dep, without);
  ModuleChoice choice;
  std::vector<std::string> dep_lines;
  std::set<std::string> asked;
  std::set<std::string> in_kernel;
  ForLines(builtin, [&](std::string_view line) { in_kernel.insert(ModuleNameOf(line)); });
  for (const std::string& name : without) {
    if (!chooser.Knows(ModuleNameOf(name))) choice.unknown_without.push_back(name);
  }
  ForLines(load, [&](std::string_view line) {
    const std::vector<std::string> words = Words(line.substr(0, line.find('#')));
    if (words.empty()) return;
    const std::string name = ModuleNameOf(words.front());
    if (chooser.LeftOut(name)) return;
    if (!chooser.Knows(name) && !in_kernel.contains(name)) {
      choice.unknown_load.push_back(words.front());
    }
    for (size_t i = 0; i < words.size(); ++i) choice.load += (i == 0 ? "" : " ") + words[i];
    choice.load += '\n';
    asked.insert(name);
    chooser.Take(name, choice, dep_lines);
  });
  for (const std::string_view file_system : kRootFileSystems) {
    const std::string name(file_system);
    if (chooser.LeftOut(name)) continue;
    asked.insert(name);
    chooser.Take(name, choice, dep_lines);
  }
  std::ranges::sort(dep_lines);
  for (const std::string& line : dep_lines) choice.dep += line;
  ForLines(builtin, [&](std::string_view line) {
    if (asked.contains(ModuleNameOf(line))) choice.builtin += std::string(line) + "\n";
  });
  return choice;
}

void StripSignature(std::string& module) {
  if (!module.ends_with(kSignatureMagic)) return;
  const size_t tail = kSignatureInfoBytes + kSignatureMagic.size();
  if (module.size() < tail) return;
  size_t length = 0;  // big-endian, the last four bytes before the magic
  for (size_t i = module.size() - kSignatureMagic.size() - 4;
       i < module.size() - kSignatureMagic.size(); ++i) {
    length = length << 8 | static_cast<unsigned char>(module[i]);
  }
  if (length + tail <= module.size()) module.resize(module.size() - length - tail);
}

Result<std::vector<AddedModule>> AddModules(const ModuleOptions& options, Tree& tree,
                                            Loading& loading) {
  BERTH_ASSIGN(const ModuleTree found, FindModules(options.dir, options.release));
  BERTH_ASSIGN(const std::string dep,
               ReadFile((found.dir + "/modules.dep").c_str(), kMaxModulesDepBytes));
  // A kernel without built-in modules has no such file, nor one whose builder left it out.
  const std::string builtin =
      ReadFile((found.dir + "/modules.builtin").c_str(), kMaxModulesDepBytes).value_or("");
  BERTH_ASSIGN(
      const ModuleChoice choice,
      ChooseModules(dep, builtin, options.load_text ? *options.load_text : DefaultModulesLoad(),
                    options.without));
  for (const std::string& name : choice.unknown_without) {
    loading.warnings.Add("--without: the kernel has no module " + Quoted(name));
  }
  // The built-in list is for every kernel.
  if (options.load_text) {
    for (const std::string& name : choice.unknown_load) {
      loading.warnings.Add("--modules-load: the kernel has no module " + Quoted(name));
    }
  }
  std::vector<AddedModule> added;
  const std::string base = "lib/modules/" + found.release;
  for (const std::string& file : choice.files) {
    BERTH_TRY(loading.cancel.Check());
    BERTH_ASSIGN(const std::string name, CleanPath(file));
    BERTH_ASSIGN(const std::string digest, Sha256OfFile(found.dir + "/" + name));
    BERTH_ASSIGN(std::string module, ReadModule(found.dir + "/" + name));
    if (!options.keep_signatures) StripSignature(module);
    BERTH_TRY(PutText(tree, base + "/" + Uncompressed(name), module, 0644, loading));
    added.push_back({name, digest});
  }
  BERTH_TRY(PutText(tree, base + "/modules.dep", choice.dep, 0644, loading));
  BERTH_TRY(PutText(tree, base + "/modules.builtin", choice.builtin, 0644, loading));
  BERTH_TRY(PutText(tree, "etc/berth/modules.load", choice.load, 0644, loading));
  return added;
}

}  // namespace berth::image
