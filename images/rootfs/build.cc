// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "images/rootfs/inject.h"
#include "images/rootfs/limits.h"
#include "images/rootfs/manifest.h"
#include "images/rootfs/modules.h"
#include "images/rootfs/service_toml.h"
#include "images/rootfs/tool.h"
#include "images/rootfs/work_dir.h"
#include "protocol/base/io.h"
#include "supervisor/hypervisor/image.h"

namespace berth::image {
namespace {

using nlohmann::json;

constexpr std::string_view kConfigInTree = "etc/berth/init.toml";
constexpr size_t kMaxModulesLoadBytes = 64 * 1024;
// Why each word stands there: docs/images.md.
constexpr const char* kBaseCmdline = "console=ttyS0 quiet reboot=t panic=-1 cryptomgr.notests";
constexpr size_t kMaxNameChars = 63;

class Builder {
 public:
  Builder(const BuildOptions& options, WorkDir& work)
      : options_(options),
        work_(work),
        spool_(work.spool(), options.cancel),
        loading_{spool_, warnings_, options.cancel} {}

  Result<json> Run();

 private:
  Result<> Prepare();
  Result<> Configure();
  Result<> MakeRoot();
  Result<> MakeInitramfs();
  Result<> MakeKernel();
  Result<> Describe();
  Result<> AddModulesTo(Tree& tree);
  Result<> PutImage(const std::string& name, const json& document) const;

  const BuildOptions& options_;
  WorkDir& work_;
  Spool spool_;
  Warnings warnings_;
  Loading loading_;
  GuestBinary init_;
  GuestBinary agent_;
  std::string release_;  // of the kernel
  Source source_;
  std::string source_digest_;
  std::string config_sha256_;
  std::vector<AddedModule> modules_;
  json manifest_;
};

std::string ImageNameOf(const BuildOptions& options) {
  if (!options.name.empty()) return options.name;
  auto path = std::filesystem::path(options.out).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

std::string CmdlineOf(const BuildOptions& options) {
  std::string cmdline = kBaseCmdline;
  if (options.format != Format::kInitramfs) {
    // Many VMs may boot the one file: changes go to memory, whatever the format.
    cmdline += " berth.root=/dev/vda berth.rootfstype=" + std::string(NameOf(options.format)) +
               " berth.overlay=tmpfs";
  }
  return options.cmdline.empty() ? cmdline : cmdline + " " + options.cmdline;
}

Result<> CheckOptions(const BuildOptions& options) {
  const std::string name = ImageNameOf(options);
  const bool named =
      !name.empty() && name.size() <= kMaxNameChars && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
      });
  if (!named) {
    return Fail("options", EINVAL, "'" + Quoted(name) + "' is no name for an image",
                "--name takes letters, digits, '.', '_' and '-'");
  }
  const bool printable = std::ranges::all_of(options.cmdline, [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f;
  });
  if (!printable) return Fail("options", EINVAL, "--cmdline holds what is not printable ASCII");
  if (const size_t bytes = CmdlineOf(options).size(); bytes > kMaxCmdlineBytes) {
    return Fail("options", E2BIG,
                fmt::format("with --cmdline the kernel's command line has {} bytes", bytes),
                fmt::format("a kernel reads {}", kMaxCmdlineBytes));
  }
  std::error_code code;
  const auto source = std::filesystem::canonical(options.from, code);
  if (!code && std::filesystem::is_directory(source, code)) {
    const std::string out = std::filesystem::weakly_canonical(options.out, code).string() + "/";
    if (out.starts_with(source.string() + "/")) {
      return Fail("options", EINVAL, options.out + " is in the directory that --from names",
                  "an image would be made of itself; name a folder elsewhere");
    }
  }
  if (options.kernel.empty() && options.format == Format::kInitramfs) {
    return Fail("options", EINVAL, "--format initramfs without --kernel",
                "an initramfs is booted with its kernel and modules: name them with --kernel and "
                "--modules");
  }
  if (options.kernel.empty() &&
      (!options.cmdline.empty() || (!options.modules.empty() && !options.modules_in_rootfs))) {
    return Fail("options", EINVAL, "--modules and --cmdline mean nothing without --kernel");
  }
  if (options.modules.empty() && (options.modules_in_rootfs || options.keep_signatures ||
                                  !options.without.empty() || !options.modules_load.empty())) {
    return Fail("options", EINVAL,
                "--modules-in-rootfs, --keep-signatures, --without and --modules-load mean nothing "
                "without --modules");
  }
  if (options.bytes != 0 && options.format != Format::kExt4) {
    return Fail("options", EINVAL, "--size is for ext4 alone; the others are as big as they are");
  }
  return {};
}

Result<> Builder::Prepare() {
  BERTH_TRY(NeedToolsFor(options_.format));
  BERTH_ASSIGN(init_, FindGuestBinary(options_.init, "berth-init"));
  BERTH_ASSIGN(agent_, FindGuestBinary(options_.agent, "berth-agent"));
  if (options_.kernel.empty()) return {};
  BERTH_TRY(CheckKernel(options_.kernel));
  BERTH_ASSIGN(release_, KernelRelease(options_.kernel));
  if (options_.modules.empty()) {
    warnings_.Add("no --modules: the kernel must have all it needs built in");
    return {};
  }
  // Before the long part, so that a wrong folder is told at once.
  BERTH_TRY(FindModules(options_.modules, release_));
  return {};
}

Result<> Builder::Configure() {
  std::string text;
  std::string shown_as = options_.config;
  BERTH_ASSIGN(const std::string path, source_.tree.Resolve(kConfigInTree));
  const Inode* const own = source_.tree.Find(path);
  if (!options_.config.empty()) {
    BERTH_ASSIGN(text, ReadFile(options_.config.c_str(), kMaxConfigBytes));
    if (own != nullptr) warnings_.Add("--config replaces the source's own /etc/berth/init.toml");
  } else if (own != nullptr) {
    if (own->type != Type::kFile) {
      return Fail("config", EINVAL, "/etc/berth/init.toml of the source is no file",
                  "a link there is not followed: make it a file, or name it with --config");
    }
    shown_as = "/etc/berth/init.toml of the source";
    BERTH_ASSIGN(text, ReadFile(spool_.Path(own->content).c_str(), kMaxConfigBytes));
  } else if (source_.main) {
    shown_as = "the init.toml made from the OCI image";
  } else {
    return {};  // berth-init needs none
  }
  if (source_.main) {
    BERTH_ASSIGN(std::string merged, MergeConfig(text, *source_.main, warnings_));
    if (merged != text && !text.empty()) shown_as += " with the OCI image's main service";
    text = std::move(merged);
    if (!source_.main->working_dir.starts_with("/..")) {
      // As container runtimes do: a WORKDIR that no layer has is made.
      const std::string cwd = source_.main->working_dir;
      if (cwd.starts_with('/') && cwd.size() > 1) {
        BERTH_ASSIGN(const std::string clean, CleanPath(cwd.substr(1)));
        BERTH_TRY(PutDirectoryIfMissing(source_.tree, clean, 0755));
      }
    }
  }
  if (text.empty() && options_.config.empty()) return {};
  const std::string check_path = work_.path() + "/init.toml";
  BERTH_TRY(WriteFileAtomic(check_path, text, 0600));
  BERTH_TRY(CheckConfig(init_, check_path, shown_as, options_.cancel));
  BERTH_ASSIGN(config_sha256_, Sha256OfFile(check_path));
  return PutText(source_.tree, kConfigInTree, text, 0644, loading_);
}

Result<> Builder::AddModulesTo(Tree& tree) {
  if (options_.modules.empty()) return {};
  ModuleOptions options{options_.modules, release_, std::nullopt, options_.without,
                        options_.keep_signatures};
  if (!options_.modules_load.empty()) {
    BERTH_ASSIGN(options.load_text, ReadFile(options_.modules_load.c_str(), kMaxModulesLoadBytes));
  }
  BERTH_ASSIGN(modules_, AddModules(options, tree, loading_));
  return {};
}

Result<> Builder::MakeRoot() {
  const std::string image = work_.image();
  Tree& tree = source_.tree;
  BERTH_TRY(InjectRoot(init_, agent_, tree, loading_));
  const bool in_memory = options_.format == Format::kInitramfs;
  if (in_memory) BERTH_TRY(LinkInit(tree));
  if (in_memory || options_.modules_in_rootfs) BERTH_TRY(AddModulesTo(tree));
  if (options_.all_root) tree.OwnedByRoot();
  tree.ClampTimes(options_.epoch);
  const std::string digest = DigestOf(tree);
  manifest_["root"] = {{"entries", tree.entries().size()},
                       {"bytes", tree.content_bytes()},
                       {"digest", "sha256:" + digest},
                       {"list", kListName}};
  BERTH_TRY(WriteFileAtomic(image + "/" + kListName, RenderList(tree), 0644));
  if (in_memory) {
    return WriteInitramfs(tree, spool_, options_.compress_initramfs, image + "/initrd.img",
                          warnings_, options_.cancel);
  }
  const MakeOptions options{work_.path(), options_.epoch, UuidOf(digest), options_.bytes};
  return MakeFileSystem(options_.format, tree, spool_, options,
                        image + "/rootfs." + std::string(NameOf(options_.format)), options_.cancel);
}

Result<> Builder::MakeInitramfs() {
  Tree tree;
  BERTH_TRY(InjectInitramfs(init_, agent_, tree, loading_));
  BERTH_TRY(AddModulesTo(tree));
  tree.ClampTimes(options_.epoch);
  return WriteInitramfs(tree, spool_, options_.compress_initramfs, work_.image() + "/initrd.img",
                        warnings_, options_.cancel);
}

Result<> Builder::PutImage(const std::string& name, const json& document) const {
  return WriteFileAtomic(work_.image() + "/" + name, document.dump(2) + "\n", 0644);
}

Result<> Builder::MakeKernel() {
  const std::string copy = work_.image() + "/vmlinuz";
  std::error_code code;
  std::filesystem::copy_file(options_.kernel, copy, code);
  if (code) return Fail("kernel", code.value(), options_.kernel);
  json disks = json::array();
  if (options_.format != Format::kInitramfs) {
    const std::string format(NameOf(options_.format));
    disks.push_back({{"path", "rootfs." + format}, {"format", "raw"}, {"read_only", true}});
  }
  json& files = manifest_["files"];
  BERTH_TRY(DigestFiles(work_.image(), options_.cancel, files));
  json digests = json::object();
  for (const auto& [name, file] : files.items()) {
    if (name != kListName) digests[name] = file["sha256"];
  }
  manifest_["kernel"] = {{"release", release_}, {"sha256", files["vmlinuz"]["sha256"]}};
  return PutImage("image.json", {{"format", 1},
                                 {"name", ImageNameOf(options_)},
                                 {"kernel", "vmlinuz"},
                                 {"initrd", "initrd.img"},
                                 {"cmdline", CmdlineOf(options_)},
                                 {"disks", disks},
                                 {"sha256", digests}});
}

Result<> Builder::Describe() {
  manifest_["berth_image"] = kManifestVersion;
  manifest_["name"] = ImageNameOf(options_);
  manifest_["format"] = NameOf(options_.format);
  manifest_["source_date_epoch"] = options_.epoch;
  manifest_["source"] = {{"kind", source_.kind}, {"digest", source_.digest}};
  if (!config_sha256_.empty()) manifest_["config"] = {{"sha256", config_sha256_}};
  for (const auto& [name, binary] : {std::pair{"berth-init", &init_}, {"berth-agent", &agent_}}) {
    manifest_["guest"][name] = {{"sha256", binary->sha256}, {"build_id", binary->build_id}};
  }
  json modules = json::array();
  for (const AddedModule& each : modules_) {
    modules.push_back({{"file", each.name}, {"sha256", each.sha256}});
  }
  manifest_["modules"] = modules;
  manifest_["warnings"] = warnings_.List();
  BERTH_ASSIGN(manifest_["tools"], ToolVersions(options_.format, options_.cancel));
  BERTH_TRY(DigestFiles(work_.image(), options_.cancel, manifest_["files"]));
  return PutImage(kManifestName, manifest_);
}

Result<json> Builder::Run() {
  BERTH_TRY(Prepare());
  options_.progress("reading " + options_.from, 0);
  BERTH_ASSIGN(source_, LoadSource(options_.from, loading_));
  if (source_.digest.empty()) {
    // A directory has no bytes of its own to hash: what is in it counts, its times as they are
    // kept.
    source_.tree.ClampTimes(options_.epoch);
    source_.digest = "sha256:" + DigestOf(source_.tree);
  }
  if (const Inode& root = *source_.tree.Find(""); root.uid != 0 && !options_.all_root) {
    warnings_.Add(
        fmt::format("/ of the image is owned by user {}: --all-root gives all to root", root.uid));
  }
  options_.progress("checking the configuration", 40);
  BERTH_TRY(Configure());
  options_.progress(
      fmt::format("writing {}, {} files", NameOf(options_.format), source_.tree.entries().size()),
      50);
  BERTH_TRY(MakeRoot());
  if (!options_.kernel.empty()) {
    options_.progress("writing the initramfs and the kernel", 80);
    if (options_.format != Format::kInitramfs) BERTH_TRY(MakeInitramfs());
    BERTH_TRY(MakeKernel());
  }
  options_.progress("writing the manifest", 90);
  BERTH_TRY(Describe());
  // As `berth create` will look at it.
  if (!options_.kernel.empty()) BERTH_TRY(LoadImage(work_.image()));
  BERTH_TRY(options_.cancel.Check());
  return manifest_;
}

}  // namespace

Result<Built> Build(const BuildOptions& options) {
  BERTH_TRY(CheckOptions(options));
  BERTH_ASSIGN(WorkDir work, WorkDir::Make(options.out));
  BERTH_ASSIGN(json manifest, Builder(options, work).Run());
  BERTH_TRY(work.Commit());
  options.progress(options.out + " is ready", 100);
  return Built{options.out, std::move(manifest)};
}

}  // namespace berth::image
