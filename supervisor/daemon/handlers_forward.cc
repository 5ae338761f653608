// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/text.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/handlers.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

namespace {

constexpr auto kReachTimeout = std::chrono::seconds(10);  // the guest's agent
// Targets of one connection to the API that are remembered as recorded. Whoever asks for more of
// them is recorded each time.
constexpr size_t kMaxRecorded = 64;

// The target, and how it is shown.
struct Target {
  v1::Forward forward;
  std::string text;
};

Outcome<Target> TargetOf(const json& params) {
  const auto refuse = [](const std::string& what) {
    return lifecycle::Refuse(Kind::kFailed, "forward", EINVAL, what);
  };
  Target target;
  if (params.contains("path") == params.contains("port")) {
    return refuse("a target is a port, or a path");
  }
  if (params.contains("path")) {
    const std::string path = params["path"];
    if (params.contains("host")) return refuse("a path has no host");
    if (!path.starts_with('/') || path.find('\0') != std::string::npos) {
      return refuse("path: not an absolute path");
    }
    if (path.size() > wire::kMaxUnixPathBytes) {
      return refuse("path: a Unix socket's has at most " + std::to_string(wire::kMaxUnixPathBytes) +
                    " bytes");
    }
    target.forward.set_unix_path(path);
    target.text = Printable(path);
    return target;
  }
  const uint64_t port = params["port"];
  const std::string host = params.value("host", "localhost");
  if (port < 1 || port > UINT16_MAX) return refuse("port: 1 to 65535");
  if (host.empty() || host.size() > wire::kMaxForwardHostBytes ||
      host.find('\0') != std::string::npos) {
    return refuse("host: an address has 1 to " + std::to_string(wire::kMaxForwardHostBytes) +
                  " bytes");
  }
  target.forward.mutable_tcp()->set_host(host);
  target.forward.mutable_tcp()->set_port(static_cast<uint32_t>(port));
  const bool v6 = host.find(':') != std::string::npos;
  target.text = (v6 ? "[" : "") + Printable(host) + (v6 ? "]:" : ":") + std::to_string(port);
  return target;
}

// True where it is to be recorded: the first time.
bool Remember(const Caller& caller, const std::string& what) {
  if (!caller.recorded) return true;
  if (caller.recorded->contains(what)) return false;
  if (caller.recorded->size() < kMaxRecorded) caller.recorded->insert(what);
  return true;
}

}  // namespace

HandlerResult VmForward(Service& service, json params, Caller caller) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  auto target = TargetOf(params);
  if (!target) co_return std::unexpected(target.error());
  auto instance = SpeakingInstance(*vm, "forward");
  if (!instance) co_return std::unexpected(instance.error());
  // Recorded before it happens. A client makes thousands of connections: the log has who may reach
  // what, and not how often it did.
  if (Remember(caller, vm->name() + " " + target->text)) {
    vm->Note(lifecycle::EntryKind::kForward, caller.Text() + ": " + target->text);
  }
  v1::Envelope request;
  *request.mutable_forward() = std::move(target->forward);
  auto fd = co_await (*instance)->OpenStream(std::move(request), Deadline::In(kReachTimeout));
  if (!fd) co_return std::unexpected(fd.error());
  co_return Answer{{{"handover", true}}, std::move(*fd)};
}

}  // namespace berth::daemon
