// SPDX-License-Identifier: Apache-2.0
//
// The exec sessions of a guest: what runs there, orders to it, and the way back into one.
#include <algorithm>

#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/handlers.h"
#include "supervisor/guest/call.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

namespace {

constexpr auto kAttachTimeout = std::chrono::seconds(10);  // to reach the guest's agent

Outcome<> CheckSessionId(const std::string& id) {
  const bool fine = id.size() == wire::kSessionIdBytes && std::ranges::all_of(id, [](char c) {
                      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                    });
  if (fine) return {};
  return lifecycle::Refuse(Kind::kFailed, "session", EINVAL,
                           "'" + Printable(id, wire::kMaxNameBytes) + "' is no session's id",
                           "8 hexadecimal digits, as berth session VM ls shows them");
}

Outcome<v1::SessionsCall> SessionsCallOf(const json& params) {
  const auto refuse = [](const std::string& what, const std::string& hint = {}) {
    return lifecycle::Refuse(Kind::kFailed, "session", EINVAL, what, hint);
  };
  v1::SessionsCall call;
  const std::string verb = params["verb"];
  if (verb == "ls") {
    call.set_verb(v1::SessionsCall::LIST);
  } else if (verb == "end") {
    call.set_verb(v1::SessionsCall::END);
  } else if (verb == "signal") {
    call.set_verb(v1::SessionsCall::SIGNAL);
  } else {
    return refuse("'" + Printable(verb, wire::kMaxNameBytes) + "' is no verb", "ls, end or signal");
  }
  call.set_session(params.value("session", ""));
  const bool list = call.verb() == v1::SessionsCall::LIST;
  if (list && !call.session().empty()) return refuse("ls takes no session");
  if (!list) {
    if (auto fine = CheckSessionId(call.session()); !fine) return std::unexpected(fine.error());
  }
  const auto signal = params.value("signal", uint64_t{0});
  const bool takes_signal = call.verb() == v1::SessionsCall::SIGNAL;
  if (takes_signal ? signal < 1 || signal > static_cast<uint64_t>(wire::kMaxSignal) : signal != 0) {
    return refuse(takes_signal ? "signal is a number from 1 to 64" : verb + " takes no signal");
  }
  call.set_signal(static_cast<uint32_t>(signal));
  return call;
}

json SessionsJson(const v1::SessionsReply& reply) {
  json rows = json::array();
  for (const auto& each : reply.sessions()) {
    json row = {{"session", Printable(each.id(), wire::kSessionIdBytes)},
                {"pid", each.pid()},
                {"command", Printable(each.command(), wire::kMaxCommandBytes)},
                {"tty", each.tty()},
                {"detach", each.detach()},
                {"attached", each.attached()},
                {"start_ms", static_cast<double>(each.start_us()) / 1000},
                {"end_ms", nullptr},
                {"exit", nullptr}};
    if (each.end_us() != 0) row["end_ms"] = static_cast<double>(each.end_us()) / 1000;
    if (each.has_code()) row["exit"] = {{"code", each.code()}};
    if (each.has_signal()) row["exit"] = {{"signal", each.signal()}};
    rows.push_back(std::move(row));
  }
  return {{"sessions", std::move(rows)},
          {"guest_ms", static_cast<double>(reply.monotonic_us()) / 1000}};
}

}  // namespace

HandlerResult VmAttach(Service& service, json params, Caller caller) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  v1::Envelope request;
  v1::ExecAttach& attach = *request.mutable_exec_attach();
  attach.set_session(params["session"].get<std::string>());
  if (auto fine = CheckSessionId(attach.session()); !fine) {
    co_return std::unexpected(fine.error());
  }
  const auto cells = [&](const char* name) {
    return static_cast<uint32_t>(std::min<uint64_t>(params.value(name, uint64_t{0}), 9999));
  };
  attach.set_rows(cells("rows"));
  attach.set_columns(cells("columns"));
  auto speaking = SpeakingInstance(*vm, "attach");
  if (!speaking) co_return std::unexpected(speaking.error());
  vm->Note(lifecycle::EntryKind::kExec, caller.Text() + ": attach " + attach.session());
  auto fd = co_await (*speaking)->OpenStream(std::move(request), Deadline::In(kAttachTimeout));
  if (!fd) co_return std::unexpected(fd.error());
  co_return Answer{{{"handover", true}}, std::move(*fd)};
}

HandlerResult VmSessions(Service& service, json params, Caller caller) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  const auto call = SessionsCallOf(params);
  if (!call) co_return std::unexpected(call.error());
  auto speaking = SpeakingInstance(*vm, "session");
  if (!speaking) co_return std::unexpected(speaking.error());
  if (call->verb() != v1::SessionsCall::LIST) {
    vm->Note(lifecycle::EntryKind::kExec, caller.Text() + ": " + params["verb"].get<std::string>() +
                                              " session " + call->session());
  }
  v1::Envelope request;
  *request.mutable_sessions_call() = *call;
  const auto answer =
      co_await (*speaking)->Call(std::move(request), wire::kOperatorGeneration,
                                 v1::Envelope::kSessionsReply, Deadline::In(wire::kCallTimeout));
  if (!answer) co_return std::unexpected(answer.error());
  if (auto good = guest::CheckSessionsReply(answer->sessions_reply()); !good) {
    co_return std::unexpected(ToFault(Kind::kAgentUnreachable, good.error()));
  }
  co_return Answer{SessionsJson(answer->sessions_reply()), {}};
}

}  // namespace berth::daemon
