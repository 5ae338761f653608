// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "protocol/base/io.h"
#include "protocol/wire/handshake.h"
#include "supervisor/daemon/handlers.h"
#include "supervisor/daemon/render_stats.h"
#include "supervisor/guest/check_stats.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

using boost::asio::experimental::awaitable_operators::operator||;

namespace {

// A guest that is slower is as good as silent to who looks at many.
constexpr auto kStatsTimeout = std::chrono::seconds(5);
// Of one guest at once.
constexpr int kMaxStatsCalls = 4;

class StatsPlace {
 public:
  explicit StatsPlace(int& taken) : taken_(taken) { ++taken_; }
  StatsPlace(const StatsPlace&) = delete;
  StatsPlace& operator=(const StatsPlace&) = delete;
  ~StatsPlace() { --taken_; }

 private:
  int& taken_;
};

// What this host's kernel says of the hypervisor, beside the guest's own words.
json HostUse(const lifecycle::Instance& instance) {
  const auto& launched = instance.view().launched;
  if (!launched || launched->hypervisor_pid <= 0) return nullptr;
  const std::string path = "/proc/" + std::to_string(launched->hypervisor_pid) + "/stat";
  const auto text = ReadFile(path.c_str(), 4096);
  if (!text) return nullptr;
  const auto use = ParseProcessStat(*text, sysconf(_SC_CLK_TCK), sysconf(_SC_PAGESIZE));
  if (!use) return nullptr;
  return {{"pid", launched->hypervisor_pid},
          {"at_ms", static_cast<double>(MonotonicNs()) / 1e6},
          {"cpu_us", use->cpu_us},
          {"rss_bytes", use->rss_bytes}};
}

}  // namespace

HandlerResult VmStats(Service& service, json params, Caller caller) {
  auto found = service.fleet.Find(params["name"]);
  if (!found) co_return std::unexpected(found.error());
  const lifecycle::VmPtr vm = *found;
  auto instance = SpeakingInstance(*vm, "stats");
  if (!instance) co_return std::unexpected(instance.error());
  if (vm->stats_calls >= kMaxStatsCalls) {
    co_return lifecycle::Refuse(
        Kind::kLimit, "stats", EAGAIN,
        vm->name() + " has " + std::to_string(kMaxStatsCalls) + " such calls to answer",
        "wait for one of them, or end it");
  }
  const StatsPlace place(vm->stats_calls);
  v1::Envelope request;
  request.mutable_stats_call();
  auto first =
      co_await ((*instance)->Call(std::move(request), wire::kOperatorGeneration,
                                  v1::Envelope::kStatsReply, Deadline::In(kStatsTimeout)) ||
                caller.gone());
  if (first.index() != 0) {
    co_return lifecycle::Refuse(Kind::kFailed, "stats", ECANCELED, "the client has gone");
  }
  const auto& answer = std::get<0>(first);
  if (!answer) co_return std::unexpected(answer.error());
  if (auto good = guest::CheckStatsReply(answer->stats_reply()); !good) {
    co_return std::unexpected(ToFault(Kind::kAgentUnreachable, good.error()));
  }
  co_return Answer{{{"guest", StatsJson(answer->stats_reply())}, {"host", HostUse(**instance)}},
                   {}};
}

}  // namespace berth::daemon
