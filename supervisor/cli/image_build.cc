// SPDX-License-Identifier: Apache-2.0
//
// berth image build: from a directory, a tar archive or an OCI layout to an image folder.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "images/rootfs/build.h"
#include "supervisor/cli/image.h"
#include "supervisor/cli/spec_options.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/guest/signal_capture.h"

namespace berth::cli {
namespace {

// One line that is written over on a terminal; elsewhere one line for each step.
class Progress {
 public:
  explicit Progress(bool shown) : shown_(shown), terminal_(isatty(STDERR_FILENO) == 1) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { End(); }

  void Step(std::string_view step, int percent) {
    if (!shown_) return;
    const std::string text = OneLine(std::string(step));
    if (terminal_) {
      fmt::print(stderr, "\r\033[K{:3} % {}", percent, text);
      open_ = true;
      if (percent == 100) End();
    } else {
      fmt::print(stderr, "berth: image: {}\n", text);
    }
  }
  void End() {
    if (open_) fmt::print(stderr, "\n");
    open_ = false;
  }

 private:
  const bool shown_;
  const bool terminal_;
  bool open_ = false;
};

// https://reproducible-builds.org/specs/source-date-epoch/
std::optional<int64_t> SourceDateEpoch() {
  const char* const text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr || *text == '\0') return 1;
  constexpr int64_t kLatest = 0xffffffff;  // 32 bits without sign, in squashfs and newc
  int64_t epoch = 0;
  const std::string_view view(text);
  const auto parsed = std::from_chars(view.begin(), view.end(), epoch);
  if (parsed.ec != std::errc() || parsed.ptr != view.end() || epoch < 0 || epoch > kLatest) {
    return std::nullopt;
  }
  return epoch;
}

int Run(const Shared& shared, image::BuildOptions options) {
  const auto epoch = SourceDateEpoch();
  if (!epoch) {
    fmt::print(stderr,
               "berth: image build: SOURCE_DATE_EPOCH is no number of seconds since 1970\n");
    return daemon::kExitUsage;
  }
  options.epoch = *epoch;
  guest::SignalCapture signals({SIGINT, SIGTERM, SIGHUP});
  options.cancel.fd = signals.fd();
  Progress progress(!shared.quiet && !shared.json);
  options.progress = [&](std::string_view step, int percent) { progress.Step(step, percent); };
  const auto built = image::Build(options);
  progress.End();
  if (!built) return ReportImage("build", built.error(), signals.Take());
  if (shared.json) {
    fmt::print("{}\n", json{{"out", built->out}, {"manifest", built->manifest}}.dump(2));
    return 0;
  }
  if (!shared.quiet) {
    for (const json& warning : built->manifest["warnings"]) {
      fmt::print(stderr, "berth: image: warning: {}\n", OneLine(warning.get<std::string>()));
    }
  }
  return 0;
}

}  // namespace

uint64_t ParseSize(const std::string& text) {
  try {
    return ParseMemoryMib(text) << 20;
  } catch (const CLI::ValidationError&) {
    throw CLI::ValidationError("'" + text + "' is no size of a file system: 64M, 2G, or MiB alone");
  }
}

int ReportImage(const std::string& what, const Error& error, std::optional<int> signal) {
  if (error.errnum == ECANCELED && signal) {
    fmt::print(stderr, "berth: image {}: stopped; nothing is left of it\n", what);
    return daemon::kExitSignalBase + *signal;
  }
  constexpr int kBadImage = 9;
  static_assert(daemon::Info(daemon::Kind::kBadImage).exit_code == kBadImage);
  return Report("image " + what,
                ToFailure(error.step == Step("options") ? daemon::kExitUsage : kBadImage, error));
}

void AddImageBuild(CLI::App& image, Shared& shared) {
  auto options = std::make_shared<image::BuildOptions>();
  CLI::App* command = AddCommand(image, shared, "build",
                                 "make an image from a directory, a tar archive or an OCI layout",
                                 [&shared, options] { return Run(shared, *options); });
  command->add_option("--from", options->from, "DIR, TAR or oci:LAYOUT[:TAG]")->required();
  command->add_option("-o,--out", options->out, "folder to make; an older image there is replaced")
      ->required();
  command
      ->add_option_function<std::string>(
          "--format",
          [options](const std::string& name) {
            const auto format = image::FormatNamed(name);
            if (!format) {
              throw CLI::ValidationError("--format " + name +
                                         " is not erofs, ext4, squashfs or initramfs");
            }
            options->format = *format;
          },
          "erofs, ext4, squashfs or initramfs; default: erofs")
      ->type_name("FORMAT");
  command->add_option("--config", options->config, "init.toml; default: the source's own");
  command->add_option("--kernel", options->kernel,
                      "vmlinuz; without it the image is a root file system alone");
  command->add_option("--modules", options->modules, "the kernel's lib/modules/RELEASE, or above");
  command->add_option("--init", options->init, "berth-init; default: $BERTH_GUEST_DIR's");
  command->add_option("--agent", options->agent, "berth-agent; default: $BERTH_GUEST_DIR's");
  command->add_option("--name", options->name, "the image's name; default: the folder's");
  command->add_option("--cmdline", options->cmdline, "more for the kernel's command line");
  command
      ->add_option_function<std::string>(
          "--size", [options](const std::string& text) { options->bytes = ParseSize(text); },
          "of an ext4: 64M, 2G, a bare number in MiB; default: what is in it, and room")
      ->type_name("SIZE");
  command->add_option("--modules-load", options->modules_load, "modules.load; default: built in");
  command->add_option("--without", options->without, "kernel module to leave out; may be repeated");
  command->add_flag("--keep-signatures", options->keep_signatures, "leave modules signed");
  command->add_flag("--compress-initramfs", options->compress_initramfs, "with zstd");
  command->add_flag("--modules-in-rootfs", options->modules_in_rootfs,
                    "modules in the root file system too");
  command->add_flag("--all-root", options->all_root, "every file is owned by root");
}

}  // namespace berth::cli
