// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/host.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "protocol/base/io.h"
#include "protocol/base/result.h"
#include "protocol/base/unix_address.h"

namespace berth::e2e {
namespace {

constexpr auto kDaemonStartTimeout = 30s;
// berthd stops its VMs on SIGTERM: each has a graceful stop and a kill within that time.
constexpr auto kDaemonStopTimeout = 90s;

// Set by berth-bench, which is told where things are; else what the build made.
std::string EnvOr(const char* name, const char* otherwise) {
  const char* value = getenv(name);
  return value != nullptr ? value : otherwise;
}

}  // namespace

std::string BinDir() { return EnvOr("BERTH_BIN_DIR", BERTH_BUILT_BIN_DIR); }

std::string Image(const std::string& name) {
  if (name.starts_with('/')) return name;
  return EnvOr("BERTH_IMAGES_DIR", BERTH_BUILT_IMAGES_DIR) + "/" + name;
}

std::string GuestBinDir() { return BERTH_BUILT_GUEST_BIN_DIR; }
std::string SourceDir() { return BERTH_SOURCE_DIR; }
bool GuestIsSanitized() { return std::filesystem::exists(GuestBinDir() + "/libraries"); }

Host::Host(std::string state_dir, std::vector<std::string> berthd_args) {
  std::string pattern = "/tmp/be2e-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "mkdtemp: " << ErrnoName(errno);
  dir_ = pattern;
  state_dir_ = state_dir.empty() ? dir_ + "/s" : std::move(state_dir);
  berthd_args_ = std::move(berthd_args);
  StartDaemon();
}

void Host::StartDaemon() {
  std::vector<std::string> argv = {BinDir() + "/berthd", "--state-dir", state_dir_, "--socket",
                                   socket()};
  argv.insert(argv.end(), berthd_args_.begin(), berthd_args_.end());
  daemon_ = std::make_unique<Process>(std::move(argv));
  EXPECT_TRUE(daemon_->WaitForOutput("listening on", Deadline::In(kDaemonStartTimeout)))
      << daemon_->so_far();
}

Host::~Host() {
  daemon_->Signal(SIGTERM);
  const Outcome end = daemon_->Wait(Deadline::In(kDaemonStopTimeout));
  EXPECT_EQ(end.code, 0) << "berthd's end: " << end;
  EXPECT_EQ(AliveBelow(dir_), "") << "something outlives berthd";
  std::ifstream mounts("/proc/self/mounts");
  const std::string mounted{std::istreambuf_iterator<char>(mounts), {}};
  if (state_dir_.starts_with(dir_)) EXPECT_FALSE(mounted.contains(dir_)) << mounted;
  EXPECT_FALSE(std::filesystem::exists(socket())) << "berthd leaves its socket";
  if (GuestIsSanitized()) {
    // On the consoles and in the logs of the VMs that are left.
    const Outcome reports =
        RunCommand({"grep", "-raE", "AddressSanitizer|runtime error: ", state_dir_ + "/vms"});
    EXPECT_EQ(reports.out, "") << "a program of the guest has mistakes";
  }
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

std::vector<std::string> Host::Argv(std::vector<std::string> args) const {
  std::vector<std::string> argv = {BinDir() + "/berth", "--socket", socket()};
  argv.insert(argv.end(), std::make_move_iterator(args.begin()),
              std::make_move_iterator(args.end()));
  return argv;
}

Outcome Host::Berth(std::vector<std::string> args, RunOptions options) {
  return RunCommand(Argv(std::move(args)), std::move(options));
}

std::unique_ptr<Process> Host::StartBerth(std::vector<std::string> args, RunOptions options) {
  return std::make_unique<Process>(Argv(std::move(args)), std::move(options));
}

void Host::Up(const std::string& vm, const std::string& image,
              std::vector<std::string> create_args) {
  std::vector<std::string> create = {"create", vm, "--image", Image(image), "--accel", "tcg"};
  create.insert(create.end(), create_args.begin(), create_args.end());
  const Outcome created = Berth(std::move(create));
  ASSERT_EQ(created.code, 0) << created;
  const Outcome started = Berth({"start", vm});
  ASSERT_EQ(started.code, 0) << started << "\nberthd: " << daemon_->so_far();
}

pid_t Host::Pid(const std::string& vm, const std::string& field) {
  const auto json = nlohmann::json::parse(Berth({"status", vm, "--json"}).out, nullptr, false);
  return json.is_object() && json.contains(field) ? json[field].get<pid_t>() : -1;
}

std::string Host::State(const std::string& vm) {
  const Outcome status = Berth({"status", vm, "--json"});
  const auto json = nlohmann::json::parse(status.out, nullptr, false);
  if (!json.is_object() || !json.contains("state")) {
    ADD_FAILURE() << "status " << vm << ": " << status;
    return {};
  }
  return json["state"].get<std::string>();
}

UniqueFd Converse(const std::string& path, std::string_view request, std::string_view awaited) {
  const Deadline deadline = Deadline::In(30s);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = UnixAddress("connect", path);
  if (!address ||
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    ADD_FAILURE() << path << ": " << ErrnoName(errno);
    return {};
  }
  std::string said;
  auto spoken = WriteFull(fd.get(), request, deadline);
  while (spoken && !said.contains(awaited)) {
    spoken = PollFor(fd.get(), POLLIN, deadline);
    char text[512];
    const ssize_t n = spoken ? read(fd.get(), text, sizeof(text)) : 0;
    if (n <= 0) break;
    said.append(text, static_cast<size_t>(n));
  }
  if (said.contains(awaited)) return fd;
  ADD_FAILURE() << path << " answered \"" << said << "\" to " << request;
  return {};
}

std::vector<pid_t> ProcessesNaming(const std::string& text) {
  std::vector<pid_t> pids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (!std::ranges::all_of(name, [](unsigned char c) { return isdigit(c) != 0; })) continue;
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    const std::string cmdline{std::istreambuf_iterator<char>(file), {}};
    if (cmdline.contains(text)) pids.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return pids;
}

std::string AliveBelow(const std::string& dir) {
  std::string alive;
  for (const pid_t pid : ProcessesNaming(dir)) alive += "process " + std::to_string(pid) + "\n";
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    if (line.contains(dir + "/")) alive += "socket " + line.substr(line.find('/')) + "\n";
  }
  return alive;
}

}  // namespace berth::e2e
