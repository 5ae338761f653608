// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "supervisor/daemon/handlers.h"
#include "supervisor/daemon/render_logs.h"

namespace berth::daemon {

using boost::asio::experimental::awaitable_operators::operator||;

namespace {

// Nothing more comes before the VM is started again.
bool NoMoreLogs(const Service& service, const lifecycle::VmPtr& vm, const VmLogs& logs) {
  const auto found = service.fleet.Find(vm->name());
  return !found || *found != vm || (!vm->driven && !logs.followed());
}

bool NeverStarted(const lifecycle::Vm& vm) {
  using lifecycle::State;
  const State state = vm.state();
  return !vm.driven &&
         (state == State::kPending || state == State::kProvisioning || state == State::kConfigured);
}

// Why an answer may hold less than its reader expects; null: it does not.
json NoteOn(const VmLogs& logs, bool empty, bool over) {
  if (const auto& trouble = logs.trouble()) {
    return "nothing comes from the guest at present: " + trouble->Message();
  }
  if (!empty) return nullptr;
  return over ? "its guest logged nothing before it ended" : "its guest has logged nothing yet";
}

}  // namespace

HandlerResult VmLogPage(Service& service, json params, Caller /*caller*/) {
  const auto failed = [](const Error& error) {
    return std::unexpected(ToFault(Kind::kFailed, error));
  };
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  auto query = LogQueryOf(params);
  if (!query) co_return std::unexpected(query.error());
  const VmLogsPtr logs = service.logs.Of(vm->spec());
  const auto facts = co_await logs->Look();
  if (!facts) co_return failed(facts.error());
  if (facts->empty && NeverStarted(*vm)) {
    co_return lifecycle::Refuse(Kind::kWrongState, "logs", ENOENT,
                                vm->name() + " has not been started yet");
  }
  logs::Position at;
  if (!query->cursor.empty()) {
    const auto parsed = ParseLogCursor(facts->id, query->cursor);
    if (!parsed) co_return failed(parsed.error());
    at = *parsed;
  } else if (query->last) {
    const auto last = co_await logs->FindLast(*query->last, query->filter);
    if (!last) co_return failed(last.error());
    at = *last;
  }
  const Deadline deadline = Deadline::In(query->follow);
  for (;;) {
    // What changes while the page is read is not waited for.
    const uint64_t changes = logs->changes();
    const bool over = NoMoreLogs(service, vm, *logs);
    auto page = co_await logs->Read(at, query->filter, query->bounds);
    if (!page) co_return failed(page.error());
    const bool empty = facts->empty && page->next == logs::Position{};
    const auto& trouble = logs->trouble();
    if (empty && trouble && trouble->errnum == EPROTONOSUPPORT) co_return failed(*trouble);
    const bool something = !page->lines.empty() || page->lost || !page->end;
    if (something || over || deadline.Passed()) {
      json records = json::array();
      for (const logs::Line& line : page->lines) records.push_back(LogLineJson(facts->id, line));
      co_return Answer{{{"records", std::move(records)},
                        {"cursor", LogCursor(facts->id, page->next)},
                        {"end", page->end},
                        {"over", page->end && over},
                        {"lost", page->lost},
                        {"note", NoteOn(*logs, empty, over)}},
                       {}};
    }
    at = page->next;
    if (changes == logs->changes()) {
      co_await (logs->changed().Wait(deadline) || vm->changed().Wait(deadline));
    }
  }
}

}  // namespace berth::daemon
