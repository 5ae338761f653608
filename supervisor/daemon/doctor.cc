// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/doctor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "protocol/base/io.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/hypervisor/backend.h"

namespace berth::daemon {
namespace {

constexpr size_t kMaxKnobBytes = 4096;
constexpr uint64_t kWantedFreeBytes = 1024ULL * 1024 * 1024;
constexpr uint64_t kNeededFreeBytes = 64ULL * 1024 * 1024;
// The first QEMU that this release is tested with.
constexpr int kTestedQemuMajor = 7;

Check Ok(std::string name, std::string found) {
  return {std::move(name), Verdict::kOk, std::move(found), {}};
}
Check Warn(std::string name, std::string found, std::string mend) {
  return {std::move(name), Verdict::kWarning, std::move(found), std::move(mend)};
}
Check Bad(std::string name, std::string found, std::string mend) {
  return {std::move(name), Verdict::kFailed, std::move(found), std::move(mend)};
}

Check CheckKvm() {
  const KvmProbe probe = ProbeKvm(kKvmProbeTimeout);
  if (probe.state == KvmState::kUsable) return Ok("kvm", probe.text);
  // VMs run without it, an order of magnitude slower.
  return Warn("kvm", probe.text, probe.hint.empty() ? "VMs run under TCG" : probe.hint);
}

std::vector<Check> CheckHypervisor(Deadline deadline) {
  const Backend& backend = BackendFor(VmSpec{});
  const auto program = backend.FindProgram("");
  if (!program) {
    return {Bad("hypervisor", program.error().Message(), "apt install qemu-system-x86")};
  }
  const auto info = backend.Describe(*program, deadline);
  if (!info) return {Bad("hypervisor", info.error().Message(), "reinstall qemu-system-x86")};
  const std::string found = fmt::format("{} {}", info->program, info->version);
  if (std::atoi(info->version.c_str()) < kTestedQemuMajor) {
    return {Warn("hypervisor", found,
                 fmt::format("Berth is tested with QEMU {} and later", kTestedQemuMajor))};
  }
  return {Ok("hypervisor", found)};
}

Check CheckKernel() {
  utsname name{};
  uname(&name);
  int major = 0;
  int minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  // pidfd_open, close_range and CLONE_PIDFD are all there from 5.9 on.
  if (major < 5 || (major == 5 && minor < 9)) {
    return Bad("kernel", name.release, "Berth needs Linux 5.9 or later");
  }
  return Ok("kernel", fmt::format("Linux {}", name.release));
}

Check CheckPidfd() {
  const UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (fd) return Ok("pidfd", "pidfd_open works");
  return Bad("pidfd", "pidfd_open: " + ErrnoName(errno),
             "a seccomp filter around berthd may forbid it");
}

Check CheckCgroups() {
  const auto controllers = ReadFile("/sys/fs/cgroup/cgroup.controllers", kMaxKnobBytes);
  if (!controllers) {
    return Warn("cgroups", "no cgroup v2 at /sys/fs/cgroup",
                "boot with systemd.unified_cgroup_hierarchy=1; limits per VM need it");
  }
  std::string missing;
  for (const std::string_view wanted : {"memory", "pids", "cpu", "io"}) {
    const std::string padded = " " + controllers->substr(0, controllers->find('\n')) + " ";
    if (padded.find(" " + std::string(wanted) + " ") == std::string::npos) {
      missing += (missing.empty() ? "" : ", ") + std::string(wanted);
    }
  }
  if (missing.empty()) return Ok("cgroups", "v2 with memory, pids, cpu, io");
  return Warn("cgroups", "v2 without " + missing,
              "cgroup v1 may hold them: boot with systemd.unified_cgroup_hierarchy=1");
}

Check CheckUserNamespaces() {
  const auto limit = ReadFile("/proc/sys/user/max_user_namespaces", kMaxKnobBytes);
  if (!limit) return Warn("user-namespaces", "this kernel has none", "the jail will do without");
  if (std::atol(limit->c_str()) == 0) {
    return Warn("user-namespaces", "user.max_user_namespaces is 0",
                "sysctl user.max_user_namespaces=16384");
  }
  return Ok("user-namespaces", "there");
}

Check CheckLandlock() {
  // LANDLOCK_CREATE_RULESET_VERSION: asks for the ABI and makes nothing.
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U);
  if (abi > 0) return Ok("landlock", fmt::format("ABI {}", abi));
  return Warn("landlock", "landlock_create_ruleset: " + ErrnoName(errno),
              "a kernel from 5.13 on with lsm=landlock,…; the jail will do without");
}

Check CheckVhostVsock() {
  if (access("/dev/vhost-vsock", R_OK | W_OK) == 0) return Ok("vhost-vsock", "/dev/vhost-vsock");
  return Ok("vhost-vsock",
            fmt::format("no /dev/vhost-vsock ({}); berth-vsock does without", ErrnoName(errno)));
}

// The directory itself, or the nearest one above it that exists.
std::string Existing(std::string path) {
  while (path.size() > 1 && access(path.c_str(), F_OK) != 0) {
    path = std::filesystem::path(path).parent_path();
    if (path.empty()) return ".";
  }
  return path;
}

std::vector<Check> CheckStateDir(const std::string& path) {
  const std::string dir = Existing(path);
  std::vector<Check> checks;
  if (access(dir.c_str(), R_OK | W_OK | X_OK) == 0) {
    checks.push_back(Ok("state-dir", path + (dir == path ? "" : " can be made in " + dir)));
  } else {
    checks.push_back(Bad("state-dir", fmt::format("{}: {}", dir, ErrnoName(errno)),
                         "run berthd as root, or give it a --state-dir of your own"));
  }
  struct statvfs status{};
  if (statvfs(dir.c_str(), &status) != 0) return checks;
  const uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
  const std::string found = fmt::format("{} MiB free in {}", free >> 20, dir);
  if (free < kNeededFreeBytes) {
    checks.push_back(Bad("disk-space", found, "make room, or move --state-dir"));
  } else if (free < kWantedFreeBytes) {
    checks.push_back(Warn("disk-space", found, "each VM keeps some MiB of logs"));
  } else {
    checks.push_back(Ok("disk-space", found));
  }
  return checks;
}

Check CheckUser() {
  if (geteuid() == 0) return Ok("user", "root");
  return Warn("user", fmt::format("uid {}", geteuid()),
              "berthd as a plain user runs VMs with that user's rights, and cannot jail them");
}

Check CheckJail() {
  return Warn("jail", "this release runs hypervisors without a jail, with the rights of berthd",
              "run only guests that you trust not to break out of QEMU");
}

Check CheckPrograms(const std::string& dir) {
  std::string missing;
  for (const std::string name : {"berth-shim", "berth-vsock"}) {
    if (access((dir + "/" + name).c_str(), X_OK) != 0) {
      missing += (missing.empty() ? "" : ", ") + name + " (" + ErrnoName(errno) + ")";
    }
  }
  if (missing.empty()) return Ok("programs", "berth-shim and berth-vsock in " + dir);
  return Bad("programs", "not in " + dir + ": " + missing,
             "install them beside berthd, or set BERTH_LIBEXEC_DIR");
}

}  // namespace

std::string_view Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarning:
      return "warning";
    case Verdict::kFailed:
      return "failed";
  }
  return "unknown";
}

std::vector<Check> Examine(const DoctorInputs& inputs, Deadline deadline) {
  std::vector<Check> checks;
  const auto add = [&](std::vector<Check> more) {
    checks.insert(checks.end(), more.begin(), more.end());
  };
  checks.push_back(CheckKernel());
  checks.push_back(CheckPidfd());
  checks.push_back(CheckKvm());
  add(CheckHypervisor(deadline));
  checks.push_back(CheckVhostVsock());
  checks.push_back(CheckCgroups());
  checks.push_back(CheckUserNamespaces());
  checks.push_back(CheckLandlock());
  add(CheckStateDir(inputs.state_dir));
  checks.push_back(CheckUser());
  checks.push_back(CheckPrograms(inputs.libexec_dir));
  checks.push_back(CheckJail());
  return checks;
}

Verdict Worst(const std::vector<Check>& checks) {
  Verdict worst = Verdict::kOk;
  for (const Check& check : checks) worst = std::max(worst, check.verdict);
  return worst;
}

}  // namespace berth::daemon
