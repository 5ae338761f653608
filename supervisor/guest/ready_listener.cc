// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/ready_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <optional>

#include "protocol/wire/channel.h"
#include "protocol/wire/handshake.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/dial.h"

namespace berth::guest {

namespace asio = boost::asio;

namespace {

constexpr int kBacklog = 16;
// After more connections than the budget, and where there is no descriptor for one.
constexpr auto kAcceptPause = std::chrono::milliseconds(200);

// Reads Hello and Ready, and answers them. The error says why this caller is not believed.
asio::awaitable<Result<ReadyReport>> HearReady(wire::Channel& channel, bool configure_follows) {
  const Deadline deadline = Deadline::In(wire::kHandshakeTimeout);
  auto first = co_await channel.ReadMessage(deadline);
  if (!first) co_return std::unexpected(first.error());

  v1::Envelope hello;
  *hello.mutable_hello() = wire::MakeHello({}, {});
  const auto generation = CheckGuestHello(*first);
  if (!generation) {
    v1::Envelope failure;
    *failure.mutable_failure() = wire::ToFailure(generation.error());
    if (co_await channel.Write(hello, deadline)) {
      [[maybe_unused]] const auto told = co_await channel.Write(failure, deadline);
    }
    co_return std::unexpected(generation.error());
  }
  if (auto sent = co_await channel.Write(hello, deadline); !sent) {
    co_return std::unexpected(sent.error());
  }
  auto second = co_await channel.ReadMessage(deadline);
  if (!second) co_return std::unexpected(second.error());
  const int64_t received_ns = MonotonicNs();
  if (!second->has_ready()) co_return Fail("ready", EPROTO, "the guest did not say Ready");
  if (auto good = CheckReady(second->ready()); !good) co_return std::unexpected(good.error());
  v1::Envelope ack;
  auto* said = ack.mutable_ready_ack();
  if (*generation >= wire::kServiceGeneration) said->set_configure_follows(configure_follows);
  if (auto sent = co_await channel.Write(ack, deadline); !sent) {
    co_return std::unexpected(sent.error());
  }
  co_return ReadyReport{std::move(*first->mutable_hello()), std::move(*second->mutable_ready()),
                        *generation, received_ns};
}

}  // namespace

// What one Wait and its callers share. Callers may outlive the Wait by a turn of the event loop.
struct ReadyListener::Hearing {
  explicit Hearing(const asio::any_io_executor& executor) : wake(executor) {}

  asio::steady_timer wake;  // cancelled when something below changed
  bool watched = false;     // the listener is watched for a connection
  std::optional<Result<ReadyReport>> result;
  std::deque<std::shared_ptr<wire::Channel>> callers;  // oldest first
  uint64_t refused = 0;
  std::string last_refusal;

  void Finish(Result<ReadyReport> with) {
    if (!result) result = std::move(with);
    wake.cancel();
  }

  static asio::awaitable<void> Hear(std::shared_ptr<Hearing> self,
                                    std::shared_ptr<wire::Channel> caller, bool configure_follows) {
    auto report = co_await HearReady(*caller, configure_follows);
    std::erase(self->callers, caller);
    if (report || report.error().errnum == EPROTONOSUPPORT) {
      self->Finish(std::move(report));
    } else {
      ++self->refused;
      self->last_refusal = report.error().Message();
    }
  }
};

Result<> CheckReady(const v1::Ready& ready) {
  if (ready.phases_size() > wire::kMaxBootPhases) {
    return Fail("ready", E2BIG, "more boot phases than " + std::to_string(wire::kMaxBootPhases));
  }
  const auto too_long = [](const std::string& name) { return name.size() > wire::kMaxNameBytes; };
  if (too_long(ready.kernel_release()) ||
      std::ranges::any_of(ready.phases(),
                          [&](const auto& each) { return too_long(each.name()); })) {
    return Fail("ready", EMSGSIZE,
                "a name longer than " + std::to_string(wire::kMaxNameBytes) + " bytes");
  }
  if (!wire::FitsClock(ready.sent_monotonic_us()) ||
      !std::ranges::all_of(ready.phases(),
                           [](const auto& each) { return wire::FitsClock(each.monotonic_us()); })) {
    return Fail("ready", ERANGE, "a time that no clock shows");
  }
  return {};
}

Result<std::unique_ptr<ReadyListener>> ReadyListener::Bind(asio::any_io_executor executor,
                                                           const std::string& vsock_socket_path) {
  const std::string path = vsock_socket_path + "_" + std::to_string(wire::kReadyPort);
  BERTH_ASSIGN(const auto endpoint, UnixEndpoint(path));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("ready-bind", path);
  struct stat old = {};
  if (lstat(path.c_str(), &old) == 0 && S_ISSOCK(old.st_mode)) unlink(path.c_str());
  // The mode of a Unix socket comes from the descriptor's, so that there is no moment of another.
  if (fchmod(fd.get(), 0600) != 0 ||
      bind(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return ErrnoError("ready-bind", path, "the VM's directory must be there and writable");
  }
  asio::posix::stream_descriptor listener(executor, fd.Release());
  return std::unique_ptr<ReadyListener>(new ReadyListener(std::move(listener), path));
}

ReadyListener::~ReadyListener() {
  Close();
  unlink(path_.c_str());
}

void ReadyListener::Close() {
  boost::system::error_code ignored;
  listener_.close(ignored);
}

asio::awaitable<Result<ReadyReport>> ReadyListener::Wait(Deadline deadline) {
  const auto executor = listener_.get_executor();
  const auto hearing = std::make_shared<Hearing>(executor);
  while (!hearing->result) {
    if (!listener_.is_open()) {
      hearing->Finish(Fail("ready-wait", ECANCELED, "the wait for Ready was given up"));
      break;
    }
    UniqueFd connection(
        accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    Deadline until = deadline;
    if (connection) {
      // A silent caller must not keep out one that speaks: the oldest goes.
      if (hearing->callers.size() >= kMaxCallers) {
        hearing->callers.front()->Close();
        hearing->callers.pop_front();
      }
      if (auto socket = wire::AdoptSocket(executor, std::move(connection))) {
        const auto caller =
            std::make_shared<wire::Channel>(std::move(*socket), wire::kMaxReadyBytes);
        hearing->callers.push_back(caller);
        asio::co_spawn(executor, Hearing::Hear(hearing, caller, configure_follows_),
                       asio::detached);
      }
      if (accepts_.Allow()) continue;
      until = Deadline::In(kAcceptPause);
    } else if (errno != EAGAIN) {
      until = Deadline::In(kAcceptPause);
    } else if (!std::exchange(hearing->watched, true)) {
      listener_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [hearing](const boost::system::error_code&) {
                             hearing->watched = false;
                             hearing->wake.cancel();
                           });
    }
    boost::system::error_code ignored;
    hearing->wake.expires_at(std::min(until.at(), deadline.at()));
    co_await hearing->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (deadline.Passed()) {
      std::string detail = "no Ready from the guest's agent";
      if (hearing->refused > 0) {
        detail += "; " + std::to_string(hearing->refused) +
                  " other connections came, the last one: " + hearing->last_refusal;
      }
      hearing->Finish(Fail("ready-wait", ETIMEDOUT, std::move(detail),
                           "the VM's console.log says how far the guest came"));
    }
  }
  for (const auto& caller : hearing->callers) caller->Close();
  boost::system::error_code ignored;
  if (listener_.is_open()) listener_.cancel(ignored);
  co_return std::move(*hearing->result);
}

}  // namespace berth::guest
