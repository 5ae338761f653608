// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/tool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/rootfs/limits.h"
#include "protocol/base/io.h"
#include "protocol/base/spawn.h"

namespace berth::image {
namespace {

constexpr auto kDaemonStart = std::chrono::seconds(10);
constexpr const char* kFakeRootLibrary = "libfakeroot-sysv.so";
// Where Debian and Fedora put it; the loader searches them in this order.
constexpr const char* kFakeRootFolders =
    "/usr/lib/x86_64-linux-gnu/libfakeroot:/usr/lib64/libfakeroot:/usr/lib/libfakeroot";

struct Pipe {
  UniqueFd read, write;
};
Result<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoError("tool", "pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

Result<Spawned> Launch(const Tool& tool, int in, int out, int death_signal) {
  std::vector<std::string> env = {std::string("PATH=") + kToolPath, "LC_ALL=C", "TZ=UTC"};
  env.insert(env.end(), tool.env.begin(), tool.env.end());
  const auto argv = Pointers(tool.argv);
  const auto envp = Pointers(env);
  const SpawnFd fds[] = {{in, 0}, {out, 1}, {out, 2}};
  SpawnPlan plan;
  plan.program = tool.argv.front().c_str();
  plan.search_path = kToolPath;
  plan.argv = argv.data();
  plan.envp = envp.data();
  plan.cwd = tool.cwd.empty() ? nullptr : tool.cwd.c_str();
  plan.fds = fds;
  plan.parent_death_signal = death_signal;
  return Spawn(plan);
}

int Reap(int pidfd) {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) != 0 && errno == EINTR) {
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void KeepTail(std::string& output, std::string_view more) {
  output += more;
  if (output.size() > kMaxToolOutputBytes) output.erase(0, output.size() - kMaxToolOutputBytes);
}

// Ends a child that is still there when its owner gives up on it.
class Child {
 public:
  explicit Child(UniqueFd pidfd) : pidfd_(std::move(pidfd)) {}
  ~Child() {
    if (!pidfd_) return;
    syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    Reap(pidfd_.get());
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  int fd() const { return pidfd_.get(); }
  int Wait() {
    const int code = Reap(pidfd_.get());
    pidfd_.Reset();
    return code;
  }

 private:
  UniqueFd pidfd_;
};

}  // namespace

bool HaveTool(const std::string& program) {
  if (program.contains('/')) return access(program.c_str(), X_OK) == 0;
  std::string_view folders = kToolPath;
  while (!folders.empty()) {
    const size_t colon = folders.find(':');
    const std::string path = std::string(folders.substr(0, colon)) + "/" + program;
    if (access(path.c_str(), X_OK) == 0) return true;
    folders = colon == std::string_view::npos ? std::string_view() : folders.substr(colon + 1);
  }
  return false;
}

Result<> NeedTool(const std::string& program, const std::string& package) {
  if (HaveTool(program)) return {};
  return Fail("tool", ENOENT, program, "install Debian's package " + package);
}

Result<Ended> RunTool(const Tool& tool, const Cancel& cancel) {
  const Deadline deadline = Deadline::In(tool.timeout);
  const std::string& name = tool.argv.front();
  BERTH_ASSIGN(Pipe pipe, MakePipe());
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return ErrnoError("tool", "/dev/null");
  UniqueFd file;
  if (!tool.output_file.empty()) {
    file.Reset(open(tool.output_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return ErrnoError("tool", tool.output_file);
  }
  auto spawned = Launch(tool, tool.stdin_fd >= 0 ? tool.stdin_fd : null.get(),
                        file ? file.get() : pipe.write.get(), SIGKILL);
  if (!spawned) {
    return Fail("tool", spawned.error().errnum, name, "is it installed? see docs/images.md");
  }
  Child child(std::move(spawned->pidfd));
  pipe.write.Reset();

  Ended ended;
  bool open_output = true;
  bool running = true;
  while (running || open_output) {
    // Once it has ended, what it wrote is in the pipe: a grandchild that holds the other end open
    // keeps nobody waiting.
    pollfd fds[] = {{open_output ? pipe.read.get() : -1, POLLIN, 0},
                    {running ? child.fd() : -1, POLLIN, 0},
                    {cancel.fd, POLLIN, 0}};
    const int ready = poll(fds, 3, running ? deadline.PollTimeoutMs() : 0);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return ErrnoError("tool", name);
    if (fds[2].revents != 0) return Fail("tool", ECANCELED, name + " stopped by a signal");
    if (ready == 0 && running) return Fail("tool", ETIMEDOUT, name + " did not end");
    if (fds[0].revents != 0) {
      char buffer[4096];
      const ssize_t n = read(pipe.read.get(), buffer, sizeof(buffer));
      if (n > 0) {
        KeepTail(ended.output, std::string_view(buffer, static_cast<size_t>(n)));
      } else if (n == 0 || errno != EINTR) {
        open_output = false;
      }
    } else if (!running) {
      break;
    }
    if (fds[1].revents != 0) running = false;
  }
  ended.code = child.Wait();
  // Ctrl-C reaches it as well as us, and it may well be the first to end.
  BERTH_TRY(cancel.Check());
  return ended;
}

Result<std::string> MustRun(const Tool& tool, const Cancel& cancel) {
  BERTH_ASSIGN(Ended ended, RunTool(tool, cancel));
  if (ended.code == 0) return std::move(ended.output);
  constexpr size_t kShown = 2000;
  std::string last =
      ended.output.substr(ended.output.size() > kShown ? ended.output.size() - kShown : 0);
  while (last.ends_with('\n')) last.pop_back();
  return Fail("tool", 0, fmt::format("{} ended with {}: {}", tool.argv.front(), ended.code, last));
}

Result<FakeRoot> FakeRoot::Start(const std::string& state, const std::string& work_dir,
                                 const Cancel& cancel) {
  BERTH_TRY(NeedTool("faked-sysv", "fakeroot"));
  const std::string state_path = work_dir + "/fakeroot.state";
  BERTH_TRY(WriteFileAtomic(state_path, state, 0600));
  const UniqueFd in(open(state_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) return ErrnoError("tool", state_path);
  BERTH_ASSIGN(Pipe pipe, MakePipe());
  const Tool daemon{.argv = {"faked-sysv", "--foreground", "--load"}, .timeout = kDaemonStart};
  // SIGTERM lets it remove its message queues.
  auto spawned = Launch(daemon, in.get(), pipe.write.get(), SIGTERM);
  if (!spawned) return Fail("tool", spawned.error().errnum, "faked-sysv");
  pipe.write.Reset();
  FakeRoot session(std::move(spawned->pidfd), {});
  // "KEY:PID\n", once it has read the state and its queues are there.
  const Deadline deadline = Deadline::In(kDaemonStart);
  while (!session.key_.ends_with('\n')) {
    BERTH_TRY(cancel.Check());
    BERTH_TRY(PollFor(pipe.read.get(), POLLIN, deadline));
    char c = 0;
    const ssize_t n = read(pipe.read.get(), &c, 1);
    if (n <= 0 || session.key_.size() > 64) {
      return Fail("tool", 0, "faked-sysv ended: " + session.key_,
                  "does this machine let it have System V message queues (ipcs -l)?");
    }
    session.key_ += c;
  }
  session.key_.resize(session.key_.find_first_not_of("0123456789"));
  if (session.key_.empty()) return Fail("tool", EINVAL, "faked-sysv told no key");
  return session;
}

FakeRoot::~FakeRoot() {
  if (!pidfd_) return;
  syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGTERM, nullptr, 0);
  Reap(pidfd_.get());
}

std::vector<std::string> FakeRoot::env() const {
  return {"FAKEROOTKEY=" + key_, "FAKED_MODE=unknown-is-root",
          std::string("LD_LIBRARY_PATH=") + kFakeRootFolders,
          std::string("LD_PRELOAD=") + kFakeRootLibrary};
}

}  // namespace berth::image
