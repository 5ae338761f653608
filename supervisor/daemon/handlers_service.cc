// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/handlers.h"
#include "supervisor/daemon/render_service.h"
#include "supervisor/guest/call.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

using boost::asio::experimental::awaitable_operators::operator||;
using std::chrono::milliseconds;

namespace {

// PID 1 keeps the deadline of the order, the agent waits somewhat longer for its answer, and this
// is for the way there and back.
constexpr auto kSlack = std::chrono::seconds(15);
// Service calls to one guest at once: its PID 1 has few places, and the guest uses them too.
constexpr int kMaxServiceCalls = 8;

// One of them, while it is on its way.
class Place {
 public:
  explicit Place(int& taken) : taken_(taken) { ++taken_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { --taken_; }

 private:
  int& taken_;
};

Outcome<v1::ServiceCall> CallOf(const json& params) {
  const auto refuse = [](const std::string& what, const std::string& hint = {}) {
    return lifecycle::Refuse(Kind::kFailed, "service", EINVAL, what, hint);
  };
  const std::string word = params["verb"];
  const auto verb = ServiceVerbNamed(word);
  if (!verb) {
    return refuse("'" + Printable(word, wire::kMaxNameBytes) + "' is no verb",
                  "ls, status, start, stop, restart or reload");
  }
  const std::string name = params.value("service", "");
  if ((*verb == v1::ServiceCall::LIST) != name.empty()) {
    return refuse(name.empty() ? "no service is named" : "ls takes no service");
  }
  if (name.size() > wire::kMaxServiceNameBytes || name.find('\0') != std::string::npos) {
    return refuse("a service's name has at most " + std::to_string(wire::kMaxServiceNameBytes) +
                  " bytes");
  }
  const auto timeout_ms = params.value(
      "timeout_ms", static_cast<uint64_t>(milliseconds(wire::kDefaultServiceTimeout).count()));
  if (timeout_ms > static_cast<uint64_t>(milliseconds(wire::kMaxServiceTimeout).count())) {
    return refuse("timeout_ms is over an hour");
  }
  v1::ServiceCall call;
  call.set_verb(*verb);
  call.set_name(name);
  call.set_timeout_ms(std::max<uint64_t>(timeout_ms, 1));
  return call;
}

}  // namespace

HandlerResult VmService(Service& service, json params, Caller caller) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  auto call = CallOf(params);
  if (!call) co_return std::unexpected(call.error());
  auto instance = SpeakingInstance(*vm, "service");
  if (!instance) co_return std::unexpected(instance.error());
  if (vm->service_calls >= kMaxServiceCalls) {
    co_return lifecycle::Refuse(
        Kind::kLimit, "service", EAGAIN,
        vm->name() + " has " + std::to_string(kMaxServiceCalls) + " service calls to answer",
        "wait for one of them, or end it");
  }
  const Place place(vm->service_calls);
  // A look changes nothing; an order is recorded before it is given.
  if (call->verb() != v1::ServiceCall::LIST && call->verb() != v1::ServiceCall::STATUS) {
    vm->Note(lifecycle::EntryKind::kService,
             caller.Text() + ": " + params["verb"].get<std::string>() + " " +
                 Printable(call->name(), wire::kMaxServiceNameBytes));
  }
  const Deadline deadline =
      Deadline::In(milliseconds(static_cast<int64_t>(call->timeout_ms())) + kSlack);
  v1::Envelope request;
  *request.mutable_service_call() = std::move(*call);
  auto first = co_await ((*instance)->Call(std::move(request), wire::kServiceGeneration,
                                           v1::Envelope::kServiceReply, deadline) ||
                         caller.gone());
  if (first.index() != 0) {
    co_return lifecycle::Refuse(Kind::kFailed, "service", ECANCELED, "the client has gone");
  }
  const auto& answer = std::get<0>(first);
  if (!answer) co_return std::unexpected(answer.error());
  const v1::ServiceReply* const reply = &answer->service_reply();
  if (auto good = guest::CheckServiceReply(*reply); !good) {
    co_return std::unexpected(ToFault(Kind::kAgentUnreachable, good.error()));
  }
  if (reply->errnum() != 0) {
    // The guest's errno: EPERM in there is not a permission of this host.
    co_return std::unexpected(Fault{reply->errnum() == ETIMEDOUT ? Kind::kTimedOut : Kind::kFailed,
                                    "service",
                                    reply->errnum(),
                                    Printable(reply->message(), wire::kMaxServiceTextBytes),
                                    {}});
  }
  co_return Answer{ServicesJson(*reply), {}};
}

}  // namespace berth::daemon
