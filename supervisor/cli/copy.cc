// SPDX-License-Identifier: Apache-2.0
//
// berth cp SRC… DST: files and trees between this host and a VM. One copy for each SRC, one
// connection for each copy; this process reads and writes the host's files with its own rights.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "protocol/base/text.h"
#include "protocol/files/entry.h"
#include "supervisor/cli/command.h"
#include "supervisor/cli/copy_path.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/guest/copy_client.h"
#include "supervisor/guest/terminal.h"

namespace berth::cli {
namespace {

constexpr auto kProgressEvery = std::chrono::milliseconds(200);
constexpr size_t kNarrowTerminal = 80;

struct CopyOptions {
  std::vector<std::string> operands;
  bool archive = false;
  bool follow = false;
  bool recursive = true;  // always
  uint64_t max_entries = wire::kMaxCopyEntries;
  uint64_t max_bytes = wire::kMaxCopyBytes;
};

// One line on stderr that is written over, where stderr is a terminal.
class ProgressLine {
 public:
  explicit ProgressLine(bool wanted) : shown_(wanted && isatty(STDERR_FILENO) == 1) {}
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(const guest::CopyProgress& now) {
    if (!shown_ || !next_.Passed()) return;
    next_ = Deadline::In(kProgressEvery);
    const double seconds = Seconds();
    const auto rate =
        static_cast<uint64_t>(static_cast<double>(now.bytes) / std::max(seconds, 0.1));
    const auto size = guest::SizeOfTerminal(STDERR_FILENO);
    const size_t width = size && size->columns > 1 ? size->columns - 1 : kNarrowTerminal;
    std::string line = fmt::format("{:>10}  {:>10}/s  ", ByteCount(now.bytes), ByteCount(rate));
    if (line.size() < width) line += Printable(now.path, width - line.size());
    fmt::print(stderr, "\r{}\x1b[K", line);
    std::fflush(stderr);
    dirty_ = true;
  }
  void Clear() {
    if (std::exchange(dirty_, false)) fmt::print(stderr, "\r\x1b[K");
  }
  double Seconds() const { return static_cast<double>(MonotonicNs() - begin_ns_) / 1e9; }

 private:
  bool shown_;
  bool dirty_ = false;
  int64_t begin_ns_ = MonotonicNs();
  Deadline next_ = Deadline::In(kProgressEvery);
};

int ExitCodeOfCopy(const Error& error) {
  if (error.step.name() == "write-output" && error.errnum == EPIPE) {
    return daemon::kExitSignalBase + SIGPIPE;
  }
  if (error.step.name() == "interrupted") {
    const size_t space = error.detail.rfind(' ');
    return daemon::kExitSignalBase + std::atoi(error.detail.c_str() + space + 1);
  }
  if (error.errnum == ETIMEDOUT) return daemon::Info(lifecycle::Kind::kTimedOut).exit_code;
  return daemon::Info(lifecycle::Kind::kFailed).exit_code;
}

json ParamsOf(const CopyPath& from, const CopyPath& to, const CopyOptions& options,
              const files::SplitPath& source, bool several) {
  if (!from.vm.empty()) {
    return {{"name", from.vm},
            {"direction", "from-guest"},
            {"path", from.path},
            // Nobody reads a link from a pipe.
            {"follow", options.follow || to.stream}};
  }
  return {{"name", to.vm},
          {"direction", "to-guest"},
          {"path", to.path},
          {"source_name", source.name},
          {"content", !from.stream && source.name.empty()},
          {"into_directory", several || to.path.ends_with('/')},
          {"keep_owner", options.archive}};
}

// Carries one copy to its end over a connection that is open.
Result<v1::CopyDone> RunCopy(UniqueFd connection, const CopyPath& from, const CopyPath& to,
                             const CopyOptions& options, const files::SplitPath& source,
                             bool several, const guest::CopyHooks& hooks) {
  if (!to.vm.empty()) {
    if (from.stream) {
      return guest::CopyToGuest(std::move(connection), files::TreeReader::OfStream(STDIN_FILENO),
                                STDIN_FILENO, hooks);
    }
    BERTH_ASSIGN(auto reader, files::TreeReader::Open(from.path, options.follow));
    return guest::CopyToGuest(std::move(connection), std::move(reader), -1, hooks);
  }
  files::WriteOptions into{.path = to.path,
                           .name = source.name,
                           .content = source.name.empty() && !to.stream,
                           .into_directory = several,
                           // Only root can give a file to somebody else.
                           .keep_owner = options.archive && geteuid() == 0,
                           .stream = to.stream,
                           .max_entries = options.max_entries,
                           .max_bytes = options.max_bytes};
  return guest::CopyFromGuest(std::move(connection), std::move(into),
                              to.stream ? STDOUT_FILENO : -1, hooks);
}

int CopyOne(Shared& shared, const CopyPath& from, const CopyPath& to, const CopyOptions& options,
            const std::string& shown, bool several) {
  const std::string what = "cp " + Printable(shown);
  const files::SplitPath source = files::Split(from.path);
  if (Utf8(source.name) != source.name && !to.vm.empty()) {
    return Report(what, {1,
                         "its name is no UTF-8; name the new file in DST, and copy it by way of "
                         "standard input"});
  }
  // Before the guest is bothered: most mistakes are here.
  if (!from.stream && from.vm.empty()) {
    if (const auto there = files::TreeReader::Open(from.path, options.follow); !there) {
      return Report(what, ToFailure(1, there.error()));
    }
  }
  auto client = shared.Connect();
  if (!client) return Report(what, client.error());
  auto connection = client->CallForFd(
      "compute.vm.copy", ParamsOf(from, to, options, source, several), Deadline::In(kQuickCall));
  if (!connection) return Report(what, connection.error());

  ProgressLine line(!shared.quiet && !shared.json);
  const guest::CopyHooks hooks{
      .progress = [&](const guest::CopyProgress& now) { line.Show(now); },
      .note =
          [&](const files::Note& note) {
            line.Clear();
            std::string why = Printable(note.detail, wire::kMaxFailureBytes);
            if (note.errnum != 0) why = ErrnoText(note.errnum) + (why.empty() ? "" : ": ") + why;
            fmt::print(stderr, "berth: {}: {} {}: {}\n", what,
                       note.harmless ? "note:" : "left out:", files::Shown(note.path), why);
          }};
  const auto done = RunCopy(std::move(*connection), from, to, options, source, several, hooks);
  line.Clear();
  if (!done) {
    const int code = ExitCodeOfCopy(done.error());
    // Nobody is there to read it, or the person knows: it was their key.
    if (code >= daemon::kExitSignalBase) return code;
    return Report(what, ToFailure(code, done.error()));
  }
  const double seconds = line.Seconds();
  if (shared.json) {
    const json out = {{"entries", done->entries()},
                      {"bytes", done->bytes()},
                      {"left_out", done->left_out()},
                      {"checksum", fmt::format("{:016x}", done->checksum())},
                      {"seconds", seconds}};
    fmt::print(to.stream ? stderr : stdout, "{}\n", out.dump());
  } else if (!shared.quiet && (!to.stream || isatty(STDERR_FILENO) == 1)) {
    fmt::print(stderr, "{}: {} {}, {} in {:.1f} s\n", Printable(shown), done->entries(),
               done->entries() == 1 ? "entry" : "entries", ByteCount(done->bytes()), seconds);
  }
  if (done->left_out() == 0) return 0;
  return Report(what, {1, fmt::format("{} entries of the source were left out", done->left_out())});
}

}  // namespace

void AddCopy(CLI::App& app, Shared& shared) {
  auto options = std::make_shared<CopyOptions>();
  CLI::App* command =
      AddCommand(app, shared, "cp", "copy files between this host and a VM", [&shared, options] {
        if (options->operands.size() < 2) {
          throw CLI::ValidationError("DST", "berth cp SRC… DST, one side of them VM:PATH");
        }
        std::vector<std::string> sources(options->operands.begin(), options->operands.end() - 1);
        std::vector<CopyPath> from;
        from.reserve(sources.size());
        for (const std::string& each : sources) from.push_back(ParseCopyPath(each));
        const CopyPath to = ParseCopyPath(options->operands.back());
        if (const auto good = CheckCopyPaths(from, to); !good) {
          throw CLI::ValidationError("cp", good.error());
        }
        const bool several = sources.size() > 1;
        int worst = 0;
        for (size_t i = 0; i < sources.size(); ++i) {
          const int code = CopyOne(shared, from[i], to, *options, sources[i], several);
          if (worst == 0) worst = code;
          // A person who interrupts one means all.
          if (code >= daemon::kExitSignalBase) return code;
        }
        return worst;
      });
  command->add_option("PATHS", options->operands, "SRC… DST; '-' is stdin or stdout")->required();
  command->add_flag("-a,--archive", options->archive,
                    "keep owners by number, setuid and setgid; from a VM for root alone");
  command->add_flag("-L,--follow-link", options->follow,
                    "where SRC is a symbolic link, what it leads to");
  command->add_flag("-r,--recursive", options->recursive,
                    "as other cp's have it; trees are always copied whole");
  command->add_option("--max-entries", options->max_entries,
                      "files and directories to take from a VM at most; default: 10000000");
  command
      ->add_option("--max-size", options->max_bytes,
                   "bytes to take from a VM at most (1G, 4T), holes counted; default: 1T")
      ->transform(CLI::AsSizeValue(false));
  command->footer(
      "berth cp VM:/var/log ./here; berth cp ./app VM:/srv/. SRC/. is the content of SRC. "
      "docs/operators.md says what is kept.");
}

}  // namespace berth::cli
