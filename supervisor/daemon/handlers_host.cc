// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/clock.h"
#include "protocol/wire/handshake.h"
#include "supervisor/daemon/handlers.h"
#include "supervisor/daemon/log_tail.h"
#include "supervisor/hypervisor/vm_paths.h"

namespace berth::daemon {

namespace {

constexpr size_t kMaxConsoleBytes = 256 * 1024;

}  // namespace

HandlerResult HostDoctor(Service& service, json /*params*/, Caller /*caller*/) {
  json checks = json::array();
  for (const Check& check : co_await service.doctor()) {
    checks.push_back({{"name", check.name},
                      {"verdict", Name(check.verdict)},
                      {"found", check.found},
                      {"mend", check.mend}});
  }
  co_return Answer{std::move(checks), {}};
}

HandlerResult HostInfo(Service& service, json /*params*/, Caller /*caller*/) {
  json states = json::object();
  for (const lifecycle::StateInfo& info : lifecycle::kStateInfo) states[std::string(info.name)] = 0;
  for (const auto& [name, vm] : service.fleet.vms()) {
    json& count = states[std::string(lifecycle::Name(vm->state()))];
    count = count.get<int>() + 1;
  }
  co_return Answer{{{"version", wire::BuildId()},
                    {"generation", wire::kGeneration},
                    {"oldest_generation", wire::kOldestGeneration},
                    {"pid", getpid()},
                    {"uptime_ms", (MonotonicNs() - service.started_monotonic_ns) / 1'000'000},
                    {"state_dir", service.state_dir},
                    {"socket", service.socket},
                    {"vms", std::move(states)}},
                   {}};
}

HandlerResult VmConsole(Service& service, json params, Caller /*caller*/) {
  auto vm = service.fleet.Find(params["name"]);
  if (!vm) co_return std::unexpected(vm.error());
  const uint64_t wanted = params.value("max_bytes", uint64_t{kMaxConsoleBytes});
  const VmPaths paths{service.state_dir + "/vms/" + (*vm)->name()};
  auto tail = ReadLogTail(paths.ConsoleLog(), std::min<uint64_t>(wanted, kMaxConsoleBytes));
  if (!tail && tail.error().errnum == ENOENT) {
    co_return lifecycle::Refuse(Kind::kWrongState, "console", ENOENT,
                                (*vm)->name() + " has not been started yet");
  }
  if (!tail) co_return std::unexpected(ToFault(Kind::kFailed, tail.error()));
  co_return Answer{{{"text", std::move(tail->text)}, {"truncated", tail->truncated}}, {}};
}

}  // namespace berth::daemon
