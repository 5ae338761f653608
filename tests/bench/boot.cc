// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/boot.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <optional>

#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "supervisor/shim/control_protocol.h"
#include "supervisor/shim/start.h"
#include "tests/bench/vsock_client.h"

namespace berth::bench {
namespace {

using std::chrono_literals::operator""s;

constexpr auto kBootTimeout = 120s;

UniqueFd ConnectUnix(const std::string& path, bool listen_there) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) Die("path too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (listen_there) unlink(path.c_str());
  const bool ok = listen_there
                      ? bind(fd.get(), generic, sizeof(address)) == 0 && listen(fd.get(), 1) == 0
                      : connect(fd.get(), generic, sizeof(address)) == 0;
  if (!ok) Die(path + ": " + ErrnoName(errno));
  return fd;
}

// Reads the shim's events until it says started; returns when the hypervisor was exec'd.
int64_t WaitForStarted(int shim, Deadline deadline) {
  std::string line;
  for (;;) {
    char c = 0;
    if (const auto read = ReadFull(shim, std::as_writable_bytes(std::span(&c, 1)), deadline);
        !read) {
      Die("shim: " + read.error().Message());
    }
    if (c != '\n') {
      line += c;
      continue;
    }
    const auto event = shim::ParseEvent(line);
    if (!event) Die("shim: " + event.error().Message());
    if (const auto* started = std::get_if<shim::Started>(&*event))
      return started->exec_monotonic_ns;
    if (const auto* failure = std::get_if<shim::Failure>(&*event)) Die(failure->Message());
    if (std::holds_alternative<shim::ExitRecord>(*event)) Die("the VM ended: " + line);
    line.clear();
  }
}

// Ends the VM with the scope, also where the benchmark fails.
class RunningShim {
 public:
  explicit RunningShim(Spawned shim) : shim_(std::move(shim)) {}
  RunningShim(const RunningShim&) = delete;
  RunningShim& operator=(const RunningShim&) = delete;
  ~RunningShim() {
    kill(shim_.pid, SIGTERM);
    waitpid(shim_.pid, nullptr, 0);
  }

 private:
  Spawned shim_;
};

}  // namespace

double BootOnce(const BootInputs& inputs) {
  const Deadline deadline = Deadline::In(kBootTimeout);
  VmSpec spec;
  spec.name = "bench";
  spec.image = inputs.image;
  const VmPaths paths{inputs.work_dir};
  std::filesystem::create_directories(paths.dir);
  const auto boot = ResolveBootFiles(spec);
  if (!boot) Die(boot.error().Message());
  const Backend& backend = BackendFor(spec);
  const auto program = backend.FindProgram("");
  if (!program) Die(program.error().Message());
  const auto launch = backend.BuildLaunch({.spec = spec,
                                           .boot = *boot,
                                           .paths = paths,
                                           .host = inputs.host,
                                           .hypervisor_program = *program,
                                           .vsock_program = inputs.bin_dir + "/berth-vsock"});
  if (!launch) Die(launch.error().Message());

  // An agent always finds its bell: one that has to try again would be in the way of what is
  // measured.
  const UniqueFd bell = ConnectUnix(paths.ReadySocket(), true);
  UniqueFd service;
  if (inputs.ready_port != kBellPort) {
    service = ConnectUnix(paths.VsockSocket() + "_" + std::to_string(inputs.ready_port), true);
  }
  const UniqueFd& ready = service ? service : bell;
  auto started = shim::StartShim(inputs.bin_dir + "/berth-shim", launch->spec);
  if (!started) Die(started.error().Message());
  std::optional<RunningShim> shim(std::in_place, std::move(*started));
  const UniqueFd control = ConnectUnix(paths.ShimSocket(), false);
  const int64_t exec_ns = WaitForStarted(control.get(), deadline);
  if (!PollFor(ready.get(), POLLIN, deadline)) {
    Die(inputs.image + " did not come up; see " + paths.ConsoleLog());
  }
  const UniqueFd guest(accept4(ready.get(), nullptr, nullptr, SOCK_CLOEXEC));
  std::array<std::byte, 1> first;
  if (!ReadFull(guest.get(), first, deadline)) Die("the guest said nothing");
  const int64_t ready_ns = MonotonicNs();

  shim.reset();
  std::filesystem::remove_all(paths.dir);
  return static_cast<double>(ready_ns - exec_ns) / 1e6;
}

}  // namespace berth::bench
