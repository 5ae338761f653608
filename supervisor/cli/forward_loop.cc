// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/forward_loop.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/cli/command.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/guest/call.h"

namespace berth::cli {

using wire::Relay;

namespace {

// Clients whose connection into the guest is being made. berthd answers 32 calls of one client at
// once, of which one waits for the VM's end; and a slow guest that was asked for a thousand at once
// would answer none in time.
constexpr size_t kMaxOpening = 24;
// The guest's own deadline for its connection, and the way there and back.
constexpr auto kOpeningTimeout = wire::kForwardTimeout + wire::kCallTimeout;
constexpr auto kReconnect = std::chrono::seconds(1);
constexpr auto kLongestPoll = std::chrono::seconds(60);
constexpr uint64_t kWatchMs = 3'600'000;
constexpr size_t kMaxSaid = 32;
constexpr rlim_t kOwnDescriptors = 64;

wire::RelayEnds Streams(wire::RelayEnds ends, int guest) {
  ends.framed = guest;
  ends.out = wire::Stream::kStdin;
  ends.in = wire::Stream::kStdout;
  return ends;
}

// How many links there are descriptors for.
size_t LinksAllowed() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 64;
  const rlim_t wanted = 2 * static_cast<rlim_t>(wire::kMaxForwards) + kOwnDescriptors;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  const rlim_t rest = limit.rlim_cur - std::min(limit.rlim_cur, kOwnDescriptors);
  return std::clamp<size_t>(rest / 2, 1, wire::kMaxForwards);
}

}  // namespace

// --- One connection ---

ForwardLink::ForwardLink(wire::RelayPool& pool, UniqueFd guest, wire::RelayEnds ends)
    : guest_(std::move(guest)),
      relay_(pool, Streams(std::move(ends), guest_.get()),
             [this](const v1::Envelope& message) { return OnMessage(message); }),
      opening_(Deadline::In(kOpeningTimeout)) {}

Result<Relay::Progress> ForwardLink::Round() {
  auto progress = relay_.Round();
  if (progress && !opened_ && opening_.Passed()) {
    return Fail("handshake", ETIMEDOUT, "the guest's agent does not answer");
  }
  return progress;
}

Result<> ForwardLink::OnMessage(const v1::Envelope& message) {
  if (!greeted_) {
    BERTH_ASSIGN(const uint32_t generation, guest::CheckGuestHello(message));
    if (generation < wire::kOperatorGeneration) {
      return Fail("guest", EPROTONOSUPPORT,
                  "its agent (build " + Printable(message.hello().build_id(), wire::kMaxNameBytes) +
                      ") speaks protocol generation " + std::to_string(generation) +
                      ", which has no forward",
                  "rebuild its image with this release");
    }
    greeted_ = true;
    return {};
  }
  if (opened_ || !message.has_forwarded()) {
    return Fail("handshake", EPROTO, "the guest's agent said something unasked");
  }
  opened_ = true;
  relay_.Open();
  return {};
}

// --- All of them ---

ForwardLoop::ForwardLoop(std::string vm, std::string berthd, std::vector<ForwardRoute> routes)
    : vm_(std::move(vm)),
      berthd_(std::move(berthd)),
      routes_(std::move(routes)),
      signals_({SIGINT, SIGTERM, SIGHUP}),
      max_links_(LinksAllowed()) {}

ForwardLoop::~ForwardLoop() {
  // Half of a connection's bytes must not look like all of them.
  for (const Link& link : links_) Drop(link.client);
  for (const auto& [id, client] : waiting_) Drop(client);
  for (const Client& client : unasked_) Drop(client);
}

void ForwardLoop::Drop(const Client& client) {
  if (client.fd) wire::ResetOnClose(client.fd.get());
}

void ForwardLoop::Say(const std::string& text) {
  if (said_.size() >= kMaxSaid || !said_.insert(text).second) {
    ++unsaid_;
    return;
  }
  fmt::print(stderr, "berth: forward {}: {}\n", vm_, text);
}

int ForwardLoop::Run() {
  if (auto connected = Connect(); !connected) {
    return Report("forward " + vm_, connected.error());
  }
  std::optional<int> code;
  std::vector<pollfd> polled;
  while (!code) {
    polled.clear();
    const auto watch = [&](int fd, short events) {
      polled.push_back({.fd = events != 0 ? fd : -1, .events = events, .revents = 0});
    };
    watch(signals_.fd(), POLLIN);
    watch(api_ ? api_->fd() : -1, api_ ? api_->wants() : short{0});
    for (const ForwardRoute& route : routes_) {
      watch(route.listener.fd(), static_cast<short>(MayAccept() ? POLLIN : 0));
    }
    for (Link& link : links_) {
      const auto& wants = link.forward->wants();
      link.polled = polled.size();
      if (wants.framed != 0) watch(link.forward->guest(), wants.framed);
      const auto client = static_cast<short>(wants.source | wants.sink);
      if (client != 0) watch(link.client.fd.get(), client);
      link.polled_end = polled.size();
    }
    if (poll(polled.data(), polled.size(), PollTimeoutMs()) < 0 && errno != EINTR) {
      return Report("forward " + vm_, ToFailure(1, {"poll", errno, {}, {}}));
    }
    if (const auto signal = signals_.Take()) code = daemon::kExitSignalBase + *signal;
    RunLinks(polled);
    if (api_ && polled[1].revents != 0) TakeAnswers();
    for (size_t i = 0; i < routes_.size(); ++i) {
      if (polled[2 + i].revents != 0) Accept(routes_[i]);
    }
    if (!api_ && reconnect_ && reconnect_->Passed()) {
      if (!Connect()) AfterLoss();
    }
    if (end_ && !code) code = Report("forward " + vm_, *end_);
  }
  if (unsaid_ > 0) {
    fmt::print(stderr, "berth: forward {}: and {} more such failures\n", vm_, unsaid_);
  }
  return *code;
}

bool ForwardLoop::MayAccept() const {
  return api_ && waiting_.size() + opening_ < kMaxOpening &&
         links_.size() + waiting_.size() < max_links_;
}

int ForwardLoop::PollTimeoutMs() const {
  std::chrono::milliseconds timeout = kLongestPoll;
  for (const Link& link : links_) {
    if (link.more) return 0;
    // Its deadline is looked at now and then.
    if (!link.forward->opened()) timeout = kReconnect;
  }
  if (reconnect_) timeout = std::min(timeout, std::chrono::milliseconds(kReconnect));
  return static_cast<int>(timeout.count());
}

// --- berthd ---

Outcome<> ForwardLoop::Connect() {
  auto berthd = DialBerthd(berthd_);
  if (!berthd) return std::unexpected(berthd.error());
  if (reconnect_) fmt::print(stderr, "berth: forward {}: berthd is back\n", vm_);
  reconnect_.reset();
  api_.emplace(std::move(*berthd));
  watch_ = api_->Call(
      "compute.vm.wait",
      {{"name", vm_}, {"states", {"Stopped", "StartFailed", "Failed"}}, {"timeout_ms", kWatchMs}});
  for (Client& client : std::exchange(unasked_, {})) Ask(std::move(client));
  return {};
}

void ForwardLoop::AfterLoss() {
  if (!reconnect_) {
    fmt::print(stderr,
               "berth: forward {}: berthd is gone: open connections go on, new ones wait for it\n",
               vm_);
  }
  api_.reset();
  reconnect_ = Deadline::In(kReconnect);
  for (auto& [id, client] : waiting_) unasked_.push_back(std::move(client));
  waiting_.clear();
}

void ForwardLoop::TakeAnswers() {
  auto answers = api_->Move();
  if (!answers) return AfterLoss();
  for (ApiStream::Answer& answer : *answers) {
    if (answer.id == watch_) {
      TakeWatch(answer.result);
      continue;
    }
    auto asked = waiting_.extract(answer.id);
    if (asked.empty()) continue;
    Client client = std::move(asked.mapped());
    if (answer.result && answer.fd) {
      Begin(std::move(client), std::move(answer.fd));
    } else {
      Say(answer.result ? "berthd handed nothing over" : answer.result.error().message);
      Drop(client);
    }
  }
}

void ForwardLoop::TakeWatch(const Outcome<json>& state) {
  constexpr int kEnded = daemon::Info(lifecycle::Kind::kWrongState).exit_code;
  if (state) {
    end_ = Failure{kEnded, "the VM has ended: it is " + state->value("state", "")};
  } else if (state.error().exit_code == daemon::Info(lifecycle::Kind::kTimedOut).exit_code) {
    watch_ = api_->Call("compute.vm.wait", {{"name", vm_},
                                            {"states", {"Stopped", "StartFailed", "Failed"}},
                                            {"timeout_ms", kWatchMs}});
  } else if (state.error().exit_code != daemon::kExitUnreachable) {
    end_ = state.error();
  }
}

// --- Clients ---

void ForwardLoop::Accept(const ForwardRoute& route) {
  while (MayAccept()) {
    auto client = route.listener.Accept();
    if (!client) {
      if (client.error().errnum != EAGAIN) Say(client.error().Message());
      return;
    }
    Ask({.fd = std::move(*client), .route = &route});
  }
}

void ForwardLoop::Ask(Client client) {
  const int64_t id = api_->Call("compute.vm.forward", ForwardParams(vm_, client.route->remote));
  waiting_.emplace(id, std::move(client));
}

void ForwardLoop::Begin(Client client, UniqueFd guest) {
  const int fd = client.fd.get();
  auto forward = std::make_unique<ForwardLink>(
      pool_, std::move(guest),
      wire::RelayEnds{
          .framed = -1, .source = fd, .sink = fd, .out = {}, .in = {}, .pipe_sink = {}});
  ++opening_;
  // Its first round is due at once.
  links_.push_back({.client = std::move(client), .forward = std::move(forward), .more = true});
}

void ForwardLoop::RunLinks(const std::vector<pollfd>& polled) {
  for (auto link = links_.begin(); link != links_.end();) {
    const auto due = [&] {
      if (link->more || !link->forward->opened()) return true;
      return std::any_of(polled.begin() + static_cast<ptrdiff_t>(link->polled),
                         polled.begin() + static_cast<ptrdiff_t>(link->polled_end),
                         [](const pollfd& each) { return each.revents != 0; });
    };
    if (!due()) {
      ++link;
      continue;
    }
    const auto progress = link->forward->Round();
    if (!link->opened && (link->forward->opened() || !progress)) {
      link->opened = true;
      --opening_;
    }
    if (progress && *progress != Relay::Progress::kDone) {
      link->more = *progress == Relay::Progress::kMore;
      ++link;
      continue;
    }
    if (!progress) {
      const Error& error = progress.error();
      // A connection that breaks off is none of ours; one that never was, or breaks the rules, is.
      const bool rules = error.errnum == EPROTO || error.errnum == EMSGSIZE;
      if (!link->forward->opened() || rules) {
        Say(link->client.route->remote.Text() + ": " + error.Message());
      }
      Drop(link->client);
    }
    link = links_.erase(link);
  }
}

}  // namespace berth::cli
