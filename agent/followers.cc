// SPDX-License-Identifier: Apache-2.0
#include "agent/followers.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/ping.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;

namespace {

// A minute. A host hangs up on a guest that tells too much (64, of all kinds).
constexpr int kMaxOomEvents = 20;

Result<std::string> Encode(const v1::GuestEvent& event) {
  v1::Envelope message;
  *message.mutable_guest_event() = event;
  return wire::EncodeMessage(message);
}

}  // namespace

Followers::Followers(const asio::any_io_executor& executor)
    : heard_(executor), oom_kills_(kMaxOomEvents, std::chrono::minutes(1)) {}

bool Followers::ForgetOldOomKills(v1::OomKill& kill) {
  if (!oom_kills_.Allow()) return false;
  kill.set_forgotten(static_cast<uint32_t>(oom_kills_.TakeSuppressed()));
  const auto is_kill = [](const auto& event) { return event.has_oom_kill(); };
  if (std::ranges::count_if(unheard_, is_kill) < wire::kMaxUnheardOomKills) return true;
  const auto oldest = std::ranges::find_if(unheard_, is_kill);
  const uint32_t forgotten = oldest->oom_kill().forgotten() + 1;
  unheard_.erase(oldest);
  // The one that is the oldest now says so.
  auto& next = *std::ranges::find_if(unheard_, is_kill)->mutable_oom_kill();
  next.set_forgotten(next.forgotten() + forgotten);
  return true;
}

bool Followers::SendNow(wire::Channel& channel, const std::string& bytes) {
  if (channel.closed()) return false;
  ssize_t n = 0;
  do {
    n = send(channel.socket().native_handle(), bytes.data(), bytes.size(),
             MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(bytes.size())) return true;
  channel.Close();
  return false;
}

void Followers::Publish(v1::GuestEvent event) {
  if (event.has_oom_kill()) {
    if (!ForgetOldOomKills(*event.mutable_oom_kill())) return;
  } else {
    unheard_.remove_if([&](const auto& old) { return old.event_case() == event.event_case(); });
  }
  event.set_seq(++last_seq_);
  event.set_monotonic_us(ToMicroseconds(MonotonicNs()));
  const auto bytes = Encode(event);
  if (!bytes) return;
  unheard_.push_back(std::move(event));
  for (wire::Channel* channel : channels_) SendNow(*channel, *bytes);
}

asio::awaitable<Result<>> Followers::Serve(wire::Channel& channel, std::string greeting) {
  v1::Envelope following;
  following.mutable_following();
  auto bytes = wire::EncodeMessage(following);
  for (auto event = unheard_.begin(); bytes && event != unheard_.end(); ++event) {
    auto encoded = Encode(*event);
    if (encoded) *bytes += *encoded;
  }
  if (!bytes) co_return std::unexpected(bytes.error());
  if (!SendNow(channel, greeting + *bytes)) {
    co_return Fail("follow", EAGAIN, "the host does not read");
  }
  // A connection whose host is gone may look alive: the newest is the one that counts.
  if (channels_.size() >= static_cast<size_t>(wire::kMaxFollowers)) {
    channels_.front()->Close();
    channels_.pop_front();
  }
  channels_.push_back(&channel);
  // No destructor does this: a frame may outlive the agent, whose context ends with it inside.
  const auto leave = [&] {
    channels_.remove(&channel);
    heard_.cancel();
  };
  try {
    auto listened = co_await Listen(channel);
    leave();
    co_return listened;
  } catch (...) {
    leave();
    throw;
  }
}

asio::awaitable<Result<>> Followers::Listen(wire::Channel& channel) {
  for (;;) {
    auto frame = co_await channel.Read(Deadline::In(wire::kIdleTimeout));
    if (!frame && (frame.error().errnum == ETIMEDOUT || channel.closed())) co_return Result<>{};
    if (!frame) co_return std::unexpected(frame.error());
    if (!*frame) co_return Result<>{};
    if ((*frame)->kind != wire::FrameKind::kMessage) {
      co_return Fail("follow", EPROTO, "data on a connection that follows");
    }
    const auto message = wire::DecodeMessage((*frame)->payload);
    if (!message) co_return std::unexpected(message.error());
    if (message->has_ping()) {
      const auto answer = AnswerPing(message->ping());
      if (!answer) co_return std::unexpected(answer.error());
      const auto bytes = wire::EncodeMessage(*answer);
      if (!bytes) co_return std::unexpected(bytes.error());
      if (!SendNow(channel, *bytes)) co_return Fail("follow", EAGAIN, "the host does not read");
    } else if (message->has_guest_event_ack()) {
      const uint64_t seq = message->guest_event_ack().seq();
      unheard_.remove_if([&](const auto& event) { return event.seq() == seq; });
      heard_.cancel();
    } else {
      co_return Fail("follow", EPROTO, "neither Ping nor GuestEventAck");
    }
  }
}

void Followers::ExpectHost(bool expected) {
  host_expected_ = expected;
  heard_.cancel();
}

asio::awaitable<void> Followers::AwaitHeard(Deadline deadline) {
  while (!unheard_.empty() && (host_expected_ || !channels_.empty()) && !deadline.Passed()) {
    boost::system::error_code ignored;
    heard_.expires_at(deadline.at());
    co_await heard_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace berth::agent
