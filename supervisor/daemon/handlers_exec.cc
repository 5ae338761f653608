// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/text.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/handlers.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

using lifecycle::Running;
using lifecycle::State;

namespace {

constexpr auto kOpenTimeout = std::chrono::seconds(10);  // to reach the guest's agent
constexpr size_t kMaxShownCommandBytes = 200;
constexpr uint64_t kMaxTimeoutMs = 1000ULL * 3600 * 24 * 365;

void Append(google::protobuf::RepeatedPtrField<std::string>* field, const json& params,
            const char* name) {
  if (!params.contains(name)) return;
  for (const json& each : params[name]) *field->Add() = each.get<std::string>();
}

v1::ExecStart StartOf(const json& params) {
  v1::ExecStart start;
  Append(start.mutable_argv(), params, "argv");
  Append(start.mutable_env(), params, "env");
  Append(start.mutable_groups(), params, "groups");
  if (params.contains("term")) start.add_env("TERM=" + params["term"].get<std::string>());
  start.set_cwd(params.value("cwd", ""));
  start.set_user(params.value("user", ""));
  start.set_group(params.value("group", ""));
  start.set_tty(params.value("tty", false));
  start.set_rows(
      static_cast<uint32_t>(std::min<uint64_t>(params.value("rows", uint64_t{0}), 9999)));
  start.set_columns(
      static_cast<uint32_t>(std::min<uint64_t>(params.value("columns", uint64_t{0}), 9999)));
  start.set_stdin_open(params.value("stdin", false));
  start.set_detach(params.value("detach", false));
  start.set_timeout_ms(std::min(params.value("timeout_ms", uint64_t{0}), kMaxTimeoutMs));
  start.set_kill_grace_ms(std::min(params.value("kill_grace_ms", uint64_t{0}), kMaxTimeoutMs));
  return start;
}

// What the guest would refuse anyway, said before it is bothered.
Outcome<> CheckStart(const v1::ExecStart& start) {
  const auto refuse = [](const std::string& what) {
    return lifecycle::Refuse(Kind::kFailed, "exec", EINVAL, what);
  };
  if (start.argv().empty()) return refuse("argv is empty");
  if (start.argv_size() > wire::kMaxArgs) return refuse("argv has too many elements");
  if (start.env_size() > wire::kMaxEnv) return refuse("env has too many elements");
  if (start.groups_size() > wire::kMaxGroups) return refuse("groups has too many elements");
  if (start.cwd().size() > wire::kMaxPathBytes) return refuse("cwd is too long");
  for (const std::string& each : start.env()) {
    if (each.find('=') == std::string::npos || each.front() == '=') {
      return refuse("env: '" + each + "' is not NAME=value");
    }
  }
  for (const auto* texts : {&start.argv(), &start.env()}) {
    for (const std::string& each : *texts) {
      if (each.find('\0') != std::string::npos) return refuse("a null byte in argv or env");
    }
  }
  return {};
}

}  // namespace

Outcome<lifecycle::InstancePtr> SpeakingInstance(const lifecycle::Vm& vm, const std::string& step) {
  const auto* running = std::get_if<Running>(&vm.body());
  if (running == nullptr) {
    return lifecycle::Refuse(
        Kind::kWrongState, step, 0, vm.name() + " is " + std::string(lifecycle::Name(vm.state())),
        vm.state() == State::kStarting ? "wait until it is Running (berth wait)"
                                       : "start it first: berth start " + vm.name());
  }
  if (running->instance->view().paused) {
    return lifecycle::Refuse(Kind::kWrongState, step, 0, vm.name() + " is paused",
                             "let it go on: berth resume " + vm.name());
  }
  return running->instance;
}

HandlerResult VmExec(Service& service, json params, Caller caller) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  v1::Envelope request;
  const v1::ExecStart& start = *request.mutable_exec_start() = StartOf(params);
  if (auto fine = CheckStart(start); !fine) co_return std::unexpected(fine.error());
  auto speaking = SpeakingInstance(*vm, "exec");
  if (!speaking) co_return std::unexpected(speaking.error());
  const lifecycle::InstancePtr instance = *speaking;
  std::string shown;
  for (const std::string& each : start.argv()) shown += (shown.empty() ? "" : " ") + each;
  // Recorded before it happens: who asked for what.
  vm->Note(lifecycle::EntryKind::kExec,
           caller.Text() + ": " + Printable(shown, kMaxShownCommandBytes));
  auto fd = co_await instance->OpenStream(std::move(request), Deadline::In(kOpenTimeout));
  if (!fd) co_return std::unexpected(fd.error());
  co_return Answer{{{"handover", true}}, std::move(*fd)};
}

}  // namespace berth::daemon
