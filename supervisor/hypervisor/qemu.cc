// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/qemu.h"

#include <cstdlib>

#include "supervisor/hypervisor/find_program.h"
#include "supervisor/hypervisor/qmp.h"
#include "supervisor/hypervisor/tsc.h"

namespace berth {
namespace {

namespace asio = boost::asio;
using nlohmann::json;

constexpr const char* kDefaultProgram = "qemu-system-x86_64";
constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

asio::awaitable<Result<json>> Ask(VmPaths paths, std::string command, Deadline deadline) {
  auto client = co_await qmp::Client::Connect(paths.QmpSocket(), deadline);
  if (!client) co_return std::unexpected(std::move(client.error()));
  co_return co_await (*client)->Execute(std::move(command), json::object(), deadline);
}

asio::awaitable<Result<>> Tell(VmPaths paths, std::string command, Deadline deadline) {
  auto reply = co_await Ask(std::move(paths), std::move(command), deadline);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  co_return Result<>();
}

RunState ParseRunState(const json& reply) {
  const auto status = reply.is_object() ? reply.find("status") : reply.end();
  if (status == reply.end() || !status->is_string()) return RunState::kOther;
  const auto& name = status->get_ref<const std::string&>();
  if (name == "running") return RunState::kRunning;
  if (name == "paused" || name == "prelaunch" || name == "suspended") return RunState::kPaused;
  if (name == "shutdown" || name == "guest-panicked") return RunState::kShuttingDown;
  return RunState::kOther;
}

}  // namespace

SpecMistakes QemuBackend::Validate(const VmSpec& spec) const {
  SpecMistakes mistakes;
  if (spec.machine == Machine::kMicrovm && spec.disks.size() > kMaxMicrovmDisks) {
    mistakes.push_back({"disks", "a microvm has room for " + std::to_string(kMaxMicrovmDisks) +
                                     " disks: use fewer, or machine q35"});
  }
  return mistakes;
}

Result<std::string> QemuBackend::FindProgram(const std::string& wanted) const {
  const char* path = std::getenv("PATH");
  auto found = FindProgramIn(wanted.empty() ? kDefaultProgram : wanted,
                             path == nullptr ? kDefaultPath : path);
  if (found) return found;
  return Fail("find-hypervisor", found.error().errnum, found.error().detail,
              "install it (Debian: apt install qemu-system-x86), or name its path in the VM's "
              "\"hypervisor\"");
}

std::string ParseQemuVersion(std::string_view output) {
  constexpr std::string_view kPrefix = "QEMU emulator version ";
  if (!output.starts_with(kPrefix)) return {};
  output.remove_prefix(kPrefix.size());
  return std::string(output.substr(0, output.find_first_not_of("0123456789.")));
}

Result<HypervisorInfo> QemuBackend::Describe(const std::string& program, Deadline deadline) const {
  constexpr size_t kMaxVersionBytes = 4096;
  auto output = OutputOf({program, "--version"}, kMaxVersionBytes, deadline);
  if (!output) {
    return Fail("describe-hypervisor", output.error().errnum, output.error().detail,
                "try it by hand: " + program + " --version");
  }
  HypervisorInfo info{program, ParseQemuVersion(*output)};
  if (!info.version.empty()) return info;
  return Fail("describe-hypervisor", 0, program + " --version does not answer as QEMU does",
              "name a QEMU in the VM's \"hypervisor\"");
}

Result<Launch> QemuBackend::BuildLaunch(const LaunchInputs& inputs) const {
  const VmSpec& spec = inputs.spec;
  // The image's disks count too, and only here are they known.
  if (spec.machine == Machine::kMicrovm && inputs.boot.disks.size() > kMaxMicrovmDisks) {
    return Fail("disks", E2BIG,
                "image and spec have " + std::to_string(inputs.boot.disks.size()) +
                    " disks, a microvm has room for " + std::to_string(kMaxMicrovmDisks),
                "use machine q35");
  }
  if (inputs.paths.dir.size() > kMaxVmDirBytes) {
    return Fail("vm-dir", ENAMETOOLONG,
                inputs.paths.dir + ": sockets in it would have names over " +
                    std::to_string(kMaxSocketPathBytes) + " bytes",
                "use a shorter state directory or VM name");
  }
  BERTH_ASSIGN(AccelChoice accel, ChooseAccel(spec.accel, inputs.host.kvm));
  BERTH_ASSIGN(const std::string cmdline,
               QemuCmdline(spec, inputs.boot.cmdline, accel.accel, inputs.host.tsc_khz));
  Launch launch;
  launch.accel = std::move(accel);
  launch.spec.vm = spec.name;
  launch.spec.cid = spec.cid;
  launch.spec.hypervisor = QemuArgs(inputs, launch.accel.accel, cmdline);
  launch.spec.vsock = VsockDeviceArgs(inputs.vsock_program, inputs.paths, spec.cid);
  launch.spec.paths = inputs.paths;
  launch.spec.launch_timeout = spec.timeouts.launch;
  return launch;
}

asio::awaitable<Result<>> QemuBackend::Quit(VmPaths paths, Deadline deadline) const {
  auto told = co_await Tell(std::move(paths), "quit", deadline);
  // QEMU may be gone before its reply is read: then it has done as told.
  if (!told && told.error().errnum == ECONNRESET && told.error().step == Step("qmp")) {
    co_return Result<>();
  }
  co_return told;
}

asio::awaitable<Result<>> QemuBackend::PowerButton(VmPaths paths, Deadline deadline) const {
  return Tell(std::move(paths), "system_powerdown", deadline);
}

asio::awaitable<Result<>> QemuBackend::Pause(VmPaths paths, Deadline deadline) const {
  return Tell(std::move(paths), "stop", deadline);
}

asio::awaitable<Result<>> QemuBackend::Resume(VmPaths paths, Deadline deadline) const {
  return Tell(std::move(paths), "cont", deadline);
}

asio::awaitable<Result<RunState>> QemuBackend::QueryRunState(VmPaths paths,
                                                             Deadline deadline) const {
  auto reply = co_await Ask(std::move(paths), "query-status", deadline);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  co_return ParseRunState(*reply);
}

const Backend& BackendFor(const VmSpec&) {
  static const QemuBackend qemu;
  return qemu;
}

HostFacts GatherHostFacts() {
  return HostFacts{.kvm = ProbeKvm(kKvmProbeTimeout), .tsc_khz = MeasureTscKhz()};
}

}  // namespace berth
