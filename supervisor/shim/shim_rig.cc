// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/shim_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

#include "protocol/base/io.h"
#include "supervisor/shim/start.h"

namespace berth::shim {
namespace {

using std::chrono_literals::operator""s;

constexpr auto kPatience = 30s;
constexpr int kGates = 3;

// Speaks just enough QMP: every command is written down and agreed to.
constexpr std::string_view kFakeHypervisor = R"sh(#!/bin/bash
# A fake hypervisor. $1: descriptor of the shim's monitor, $2: directory of the test.
q=$1 dir=$2
answer() { local id=${line##*'"id":'}; echo "{\"return\":$1,\"id\":${id%%[,\}]*}}" >&$q; }
event() { echo "{\"event\":\"$1\",\"data\":${2:-{\}}}" >&$q; }
asked=0
serve_one() {
  read -r -u "$q" line || return 1
  local name=${line#*'"execute":"'}; name=${name%%'"'*}
  echo "$name" >> "$dir/commands"
  case $name in
    stop) event STOP; answer '{}' ;;
    cont) event RESUME; answer '{}' ;;
    query-chardev)
      # In turn: the old connection is still there, it is gone, the new one is there.
      case $((asked++ % 4)) in
        1) answer '[{"label":"vsock","filename":"disconnected:unix:x"}]' ;;
        *) answer '[{"label":"vsock","filename":"unix:x"}]' ;;
      esac ;;
    *) answer '{}' ;;
  esac
}
serve() { while serve_one; do :; done; }
wait_go() { read -r go < "$dir/go$1"; }
echo '{"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":0}}}}' >&$q
)sh";

constexpr std::string_view kFakeDevice = R"sh(#!/bin/bash
# A fake vsock device. $1: descriptor to say ready on, $2: directory of the test.
notify=$1 dir=$2
ready() { echo ready >&$notify; }
hang() { exec sleep 1000; }
wait_go() { read -r go < "$dir/go$1"; }
)sh";

}  // namespace

RigClient::RigClient(const std::string& path)
    : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  EXPECT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
      << path << ": " << ErrnoName(errno);
}

void RigClient::Send(std::string_view text) {
  EXPECT_TRUE(WriteFull(fd_.get(), text, Deadline::In(kPatience)).has_value());
}

Result<Event> RigClient::Next() {
  for (;;) {
    if (const auto line = lines_.Next()) return ParseEvent(*line);
    BERTH_TRY(PollFor(fd_.get(), POLLIN, Deadline::In(kPatience)));
    std::array<char, 4096> chunk;
    const ssize_t n = read(fd_.get(), chunk.data(), chunk.size());
    if (n < 0) return ErrnoError("read");
    if (n == 0) return Fail("read", ECONNRESET, "the shim closed");
    lines_.Append(std::string_view(chunk.data(), static_cast<size_t>(n)));
  }
}

ShimRig::ShimRig() {
  launch.vm = "demo";
  launch.cid = 3;
  launch.paths.dir = dir.path();
  launch.launch_timeout = std::chrono::milliseconds(20'000);
  launch.hypervisor = {dir.path() + "/fake-hypervisor", "{shim-qmp-fd}", dir.path()};
  launch.vsock = {dir.path() + "/fake-vsock", "{notify-fd}", dir.path()};
  Hypervisor("serve");
  Device("ready; hang");
  for (int i = 1; i <= kGates; ++i) {
    EXPECT_EQ(mkfifo((dir.path() + "/go" + std::to_string(i)).c_str(), 0600), 0);
  }
}

void ShimRig::Go(int gate) const {
  const UniqueFd fifo(
      open((dir.path() + "/go" + std::to_string(gate)).c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_TRUE(WriteFull(fifo.get(), "go\n", Deadline::In(kPatience)).has_value());
}

ShimRig::~ShimRig() {
  if (!shim_) return;
  kill(shim_->pid, SIGKILL);
  waitpid(shim_->pid, nullptr, 0);
}

void ShimRig::Hypervisor(const std::string& code) {
  dir.PutScript("fake-hypervisor", std::string(kFakeHypervisor) + "serve_one\n" + code + "\n");
}

void ShimRig::Device(const std::string& code) {
  dir.PutScript("fake-vsock", std::string(kFakeDevice) + code + "\n");
}

void ShimRig::Start() {
  auto shim = StartShim(BERTH_SHIM_PROGRAM, launch);
  ASSERT_TRUE(shim.has_value()) << shim.error().Message();
  shim_ = std::move(*shim);
}

ShimRig::End ShimRig::WaitForShim() {
  End end;
  if (!EndsInTime(shim_->pidfd.get())) ADD_FAILURE() << "the shim runs on";
  kill(shim_->pid, SIGKILL);
  wait4(shim_->pid, &end.wait_status, 0, &end.usage);
  shim_.reset();
  return end;
}

std::string ShimRig::FileText(const std::string& path) const {
  return ReadFile(path.c_str(), 16 * 1024 * 1024).value_or("");
}

UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

bool EndsInTime(int pidfd) { return PollFor(pidfd, POLLIN, Deadline::In(kPatience)).has_value(); }

}  // namespace berth::shim
