// SPDX-License-Identifier: Apache-2.0
//
// compute.vm.copy: the connection goes to the caller, who reads and writes the files of this host
// under rights of its own. berthd touches none.
#include "protocol/base/text.h"
#include "protocol/files/entry.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/handlers.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

namespace {

constexpr auto kCopyOpenTimeout = std::chrono::seconds(10);  // to reach the guest's agent
constexpr size_t kMaxShownCopyBytes = 512;

}  // namespace

HandlerResult VmCopy(Service& service, json params, Caller caller) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  const std::string direction = params["direction"];
  const bool to_guest = direction == "to-guest";
  if (!to_guest && direction != "from-guest") {
    co_return lifecycle::Refuse(
        Kind::kFailed, "copy", EINVAL,
        "'" + Printable(direction, wire::kMaxNameBytes) + "' is no direction",
        "to-guest or from-guest");
  }
  v1::Envelope request;
  v1::CopyStart& start = *request.mutable_copy_start();
  start.set_direction(to_guest ? v1::CopyStart::TO_GUEST : v1::CopyStart::FROM_GUEST);
  start.set_path(params["path"].get<std::string>());
  start.set_follow(params.value("follow", false));
  start.set_name(params.value("source_name", ""));
  start.set_content(params.value("content", false));
  start.set_into_directory(params.value("into_directory", false));
  start.set_keep_owner(params.value("keep_owner", false));
  // What the guest would refuse anyway, said before it is bothered.
  if (const auto good = files::CheckCopyStart(start); !good) {
    co_return std::unexpected(ToFault(Kind::kFailed, good.error()));
  }
  auto speaking = SpeakingInstance(*vm, "copy");
  if (!speaking) co_return std::unexpected(speaking.error());
  const lifecycle::InstancePtr instance = *speaking;
  // Recorded before it happens: who asked for what.
  vm->Note(lifecycle::EntryKind::kCopy, caller.Text() + ": " +
                                            (to_guest ? "to the guest's " : "from the guest's ") +
                                            Printable(start.path(), kMaxShownCopyBytes));
  auto fd = co_await instance->OpenStream(std::move(request), Deadline::In(kCopyOpenTimeout));
  if (!fd) co_return std::unexpected(fd.error());
  co_return Answer{{{"handover", true}}, std::move(*fd)};
}

}  // namespace berth::daemon
