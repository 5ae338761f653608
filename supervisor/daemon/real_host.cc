// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/real_host.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "protocol/base/io.h"
#include "supervisor/daemon/off_thread.h"
#include "supervisor/daemon/shim_instance.h"
#include "supervisor/hypervisor/image.h"
#include "supervisor/hypervisor/tsc.h"
#include "supervisor/shim/start.h"

namespace berth::daemon {

namespace asio = boost::asio;
using asio::awaitable;
using lifecycle::Fault;
using lifecycle::Kind;
using lifecycle::Outcome;

namespace {

constexpr auto kDoctorTimeout = std::chrono::seconds(20);
constexpr size_t kMaxVerified = 256;  // images remembered; more are hashed again

// Changes whenever one of the files that have a stated hash does.
std::string Identity(const Image& image) {
  std::string identity;
  for (const auto& [path, hash] : image.sha256) {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0) return {};
    identity += fmt::format("{} {} {} {} {}.{} {}.{}\n", path, hash, status.st_ino, status.st_size,
                            status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
                            status.st_ctim.tv_nsec);
  }
  return identity;
}

std::unexpected<Fault> BadImage(const Error& error) {
  return std::unexpected(ToFault(Kind::kBadImage, error));
}

}  // namespace

RealHost::RealHost(asio::any_io_executor executor, const StateDir& state_dir, LogArchive& logs,
                   std::string libexec_dir)
    : executor_(std::move(executor)),
      state_dir_(state_dir),
      logs_(logs),
      libexec_dir_(std::move(libexec_dir)) {}

Outcome<> RealHost::Check(const VmSpec& spec) {
  SpecMistakes mistakes = Validate(spec);
  for (SpecMistake& each : BackendFor(spec).Validate(spec)) mistakes.push_back(std::move(each));
  if (!mistakes.empty()) {
    return std::unexpected(ToFault(Kind::kInvalidSpec, ToError(mistakes)));
  }
  if (state_dir_.PathsOf(spec.name).dir.size() > kMaxVmDirBytes) {
    return lifecycle::Refuse(Kind::kInvalidSpec, "vm-dir", ENAMETOOLONG, spec.name,
                             "use a shorter state directory or VM name");
  }
  if (const auto files = ResolveBootFiles(spec); !files) return BadImage(files.error());
  return {};
}

awaitable<Result<>> RealHost::Verify(Image image) {
  const std::string identity = Identity(image);
  if (!identity.empty() && verified_[image.dir] == identity) co_return Result<>{};
  verified_.erase(image.dir);
  auto verified = co_await OffThread(pool_, [&image] { return VerifyImage(image); });
  if (verified) {
    if (verified_.size() >= kMaxVerified) verified_.clear();
    verified_[image.dir] = identity;
  }
  co_return verified;
}

awaitable<Outcome<>> RealHost::Provision(VmSpec spec) {
  if (auto space = state_dir_.CheckSpace(kVmDiskBytes); !space) {
    co_return std::unexpected(ToFault(Kind::kNoResources, space.error()));
  }
  if (!spec.image.empty()) {
    auto image = LoadImage(spec.image);
    if (!image) co_return BadImage(image.error());
    if (auto verified = co_await Verify(std::move(*image)); !verified) {
      co_return BadImage(verified.error());
    }
  }
  if (auto made = state_dir_.MakeVmDir(spec.name); !made) {
    co_return std::unexpected(ToFault(Kind::kFailed, made.error()));
  }
  const VmPaths paths = state_dir_.PathsOf(spec.name);
  if (auto written = WriteFileAtomic(paths.Spec(), ToJson(spec).dump(2) + "\n", 0600); !written) {
    co_return std::unexpected(ToFault(Kind::kFailed, written.error()));
  }
  co_return Outcome<>{};
}

Outcome<> RealHost::Deprovision(const std::string& name) {
  logs_.Forget(name);
  if (auto gone = state_dir_.RemoveVmDir(name); !gone) {
    return std::unexpected(ToFault(Kind::kFailed, gone.error()));
  }
  return {};
}

awaitable<HostFacts> RealHost::Facts(Accel asked) {
  if (facts_) co_return *facts_;
  if (asked == Accel::kTcg) {
    // KVM is out of the question: no need to wait for the probe.
    if (tsc_khz_ == 0) tsc_khz_ = co_await OffThread(pool_, MeasureTscKhz);
    HostFacts facts;
    facts.tsc_khz = tsc_khz_;
    co_return facts;
  }
  const HostFacts facts = co_await OffThread(pool_, GatherHostFacts);
  if (!facts_) {
    spdlog::info("KVM: {}", facts.kvm.text);
    facts_ = facts;
  }
  co_return facts;
}

awaitable<Outcome<std::shared_ptr<lifecycle::Instance>>> RealHost::Launch(
    VmSpec spec, std::function<void()> changed, Deadline /*deadline*/) {
  const Backend& backend = BackendFor(spec);
  const VmPaths paths = state_dir_.PathsOf(spec.name);
  const auto failed = [](Kind kind, const Error& error) {
    return std::unexpected(ToFault(kind, error));
  };
  auto boot = ResolveBootFiles(spec);
  if (!boot) co_return BadImage(boot.error());
  auto program = backend.FindProgram(spec.hypervisor);
  if (!program) co_return failed(Kind::kStartFailed, program.error());
  const HostFacts facts = co_await Facts(spec.accel);
  auto launch = backend.BuildLaunch({.spec = spec,
                                     .boot = *boot,
                                     .paths = paths,
                                     .host = facts,
                                     .hypervisor_program = *program,
                                     .vsock_program = libexec_dir_ + "/berth-vsock"});
  if (!launch) co_return failed(Kind::kStartFailed, launch.error());
  launch->spec.launch_timeout = spec.timeouts.launch;

  // It listens before the guest can ring.
  auto ready = guest::ReadyListener::Bind(executor_, paths.VsockSocket());
  if (!ready) co_return failed(Kind::kStartFailed, ready.error());
  auto shim = shim::StartShim(libexec_dir_ + "/berth-shim", launch->spec);
  if (!shim) co_return failed(Kind::kStartFailed, shim.error());
  auto instance = std::make_shared<ShimInstance>(
      executor_,
      ShimInstance::Parts{
          backend, paths, fmt::format("{} ({})", Name(launch->accel.accel), launch->accel.reason),
          std::move(*shim), std::move(*ready), spec.guest_config, spec.health, logs_.Of(spec)},
      std::move(changed));
  instance->Start();
  std::erase_if(instances_, [](const auto& each) { return each.expired(); });
  instances_.push_back(instance);
  co_return std::shared_ptr<lifecycle::Instance>(std::move(instance));
}

void RealHost::ClockChanged() {
  for (const auto& each : instances_) {
    if (const auto instance = each.lock()) instance->HostClockChanged();
  }
}

awaitable<std::vector<daemon::Check>> RealHost::Doctor(std::string socket) {
  DoctorInputs inputs{state_dir_.path(), std::move(socket), libexec_dir_};
  co_return co_await OffThread(pool_, [inputs = std::move(inputs)] {
    return Examine(inputs, Deadline::In(kDoctorTimeout));
  });
}

}  // namespace berth::daemon
