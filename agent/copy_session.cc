// SPDX-License-Identifier: Apache-2.0
#include "agent/copy_session.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/base/clock.h"
#include "protocol/base/text.h"
#include "protocol/files/entry.h"
#include "protocol/files/outgoing.h"
#include "protocol/files/tree_reader.h"
#include "protocol/files/tree_writer.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;

namespace {

// What is taken from the host before the others have their turn; a message counts for the system
// calls that it costs.
constexpr size_t kCopyBytesPerTurn = 256 * 1024;
constexpr size_t kCopyMessageCost = 4 * 1024;
// How long the host may take to close once it was told of a failure.
constexpr auto kCopyLinger = std::chrono::seconds(2);

// How a copy ended that cannot go on: the host hears of `error` where it is still there.
struct Broken {
  Error error;
  bool host_is_gone = false;
};
using CopyEnd = std::expected<void, Broken>;

asio::awaitable<void> Yield(wire::Channel& channel) {
  co_await asio::post(channel.executor(), asio::use_awaitable);
}

asio::awaitable<Result<>> WriteText(wire::Channel& channel, std::string text) {
  co_return co_await channel.WriteBytes(std::as_bytes(std::span(text)),
                                        Deadline::In(wire::kCopyHostTimeout));
}

// Closing while the host's bytes are on their way would reset the connection under what it has not
// read yet.
asio::awaitable<void> DropUntilClosed(wire::Channel& channel, Deadline deadline) {
  for (size_t taken = 0; !deadline.Passed();) {
    const auto frame = co_await channel.Read(deadline);
    if (!frame || !*frame) co_return;
    taken += (*frame)->payload.size() + kCopyMessageCost;
    if (taken < kCopyBytesPerTurn) continue;
    taken = 0;
    co_await Yield(channel);
  }
}

Result<std::string> EncodeNotes(std::vector<files::Note> notes) {
  std::string frames;
  for (const files::Note& note : notes) {
    v1::Envelope message;
    message.mutable_copy_note()->set_path(note.path);
    message.mutable_copy_note()->set_errnum(note.errnum);
    message.mutable_copy_note()->set_detail(Utf8(note.detail));
    message.mutable_copy_note()->set_harmless(note.harmless);
    BERTH_ASSIGN(const std::string frame, wire::EncodeMessage(message));
    frames += frame;
  }
  return frames;
}

asio::awaitable<CopyEnd> SendTree(wire::Channel& channel, const v1::CopyStart& start) {
  auto reader = files::TreeReader::Open(start.path(), start.follow());
  if (!reader) co_return std::unexpected(Broken{reader.error()});
  files::Outgoing out;
  for (bool more = true; more;) {
    out.Clear();
    const auto filled = reader->Fill(out);
    if (!filled) co_return std::unexpected(Broken{filled.error()});
    more = *filled;
    // In front of the turn's frames, the last of which may be CopyDone.
    auto notes = EncodeNotes(reader->TakeNotes());
    if (!notes) co_return std::unexpected(Broken{notes.error()});
    auto sent = co_await WriteText(channel, std::move(*notes));
    if (sent) {
      sent = co_await channel.WriteBytes(out.bytes(), Deadline::In(wire::kCopyHostTimeout));
    }
    // The host closes where it cannot take what is sent.
    if (!sent) co_return std::unexpected(Broken{sent.error(), true});
    co_await Yield(channel);
  }
  // The host's CopyDone, or its end: its disk may be slower than ours.
  const auto answer = co_await channel.ReadMessage(Deadline::In(wire::kCopyHostTimeout));
  if (!answer) co_return std::unexpected(Broken{answer.error(), true});
  co_return CopyEnd{};
}

asio::awaitable<CopyEnd> ReceiveTree(wire::Channel& channel, const v1::CopyStart& start) {
  files::TreeWriter writer({.path = start.path(),
                            .name = start.name(),
                            .content = start.content(),
                            .into_directory = start.into_directory(),
                            .keep_owner = start.keep_owner(),
                            .stream = false,
                            .max_entries = wire::kMaxCopyEntries,
                            .max_bytes = wire::kMaxCopyBytes});
  for (size_t taken = 0; !writer.done();) {
    const auto frame = co_await channel.Read(Deadline::In(wire::kCopyHostTimeout));
    if (!frame) co_return std::unexpected(Broken{frame.error()});
    if (!*frame) {
      co_return std::unexpected(Broken{Error{"copy", ECONNRESET, "the host closed", {}}, true});
    }
    if (auto handled = writer.HandleFrame(**frame); !handled) {
      co_return std::unexpected(Broken{handled.error()});
    }
    const bool data = (*frame)->kind == wire::FrameKind::kData;
    taken += data ? (*frame)->payload.size() : kCopyMessageCost;
    if (taken < kCopyBytesPerTurn) continue;
    taken = 0;
    co_await Yield(channel);
  }
  v1::Envelope answer;
  *answer.mutable_copy_done() = writer.received();
  auto sent = co_await channel.Write(answer, Deadline::In(wire::kCopyHostTimeout));
  if (!sent) co_return std::unexpected(Broken{sent.error(), true});
  co_return CopyEnd{};
}

}  // namespace

asio::awaitable<Result<>> RunCopy(wire::Channel& channel, const v1::CopyStart& start,
                                  std::string greeting) {
  // At once: the host sends nothing before it knows our generation.
  auto greeted = co_await WriteText(channel, std::move(greeting));
  if (!greeted) co_return Result<>{};
  CopyEnd end;
  if (const auto good = files::CheckCopyStart(start); !good) {
    end = std::unexpected(Broken{good.error()});
  } else if (start.direction() == v1::CopyStart::TO_GUEST) {
    end = co_await ReceiveTree(channel, start);
  } else {
    end = co_await SendTree(channel, start);
  }
  if (!end && end.error().host_is_gone) co_return Result<>{};
  if (!end) {
    v1::Envelope failure;
    *failure.mutable_failure() = wire::ToFailure(end.error().error);
    auto told = co_await channel.Write(failure, Deadline::In(wire::kCallTimeout));
    if (!told) co_return Result<>{};
  }
  co_await DropUntilClosed(channel, Deadline::In(kCopyLinger));
  // What the file system says is the host's to report, not the guest's to log.
  if (!end && (end.error().error.errnum == EPROTO || end.error().error.errnum == EMSGSIZE)) {
    co_return std::unexpected(end.error().error);
  }
  co_return Result<>{};
}

}  // namespace berth::agent
