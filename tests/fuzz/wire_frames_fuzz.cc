// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a connection: FrameBuffer cuts them, DecodeMessage reads what claims to be a
// message. The first byte says how the bytes arrive. However they do, the frames are the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "protocol/wire/channel.h"
#include "protocol/wire/frame.h"

namespace {

using berth::wire::FrameBuffer;
using berth::wire::FrameKind;

// What came out, with data joined: pieces depend on how the bytes arrive, streams do not.
std::string Cut(std::span<const uint8_t> bytes, size_t step) {
  FrameBuffer buffer;
  std::string transcript;
  bool in_data = false;
  for (;;) {
    const auto frame = buffer.Next();
    if (!frame) return transcript + "!";
    if (!*frame) {
      if (bytes.empty()) return transcript;
      const auto room = buffer.Prepare();
      if (room.empty()) std::abort();
      const size_t n = std::min({step, room.size(), bytes.size()});
      std::ranges::copy(std::as_bytes(bytes.first(n)), room.begin());
      buffer.Commit(n);
      bytes = bytes.subspan(n);
      continue;
    }
    const auto& view = **frame;
    if (view.payload.size() > berth::wire::kMaxMessageBytes) std::abort();
    if (view.kind == FrameKind::kData) {
      if (view.payload.empty() || view.payload.size() > FrameBuffer::kPieceBytes) std::abort();
      if (!in_data) transcript += "d";
      transcript += static_cast<char>(view.stream);
    } else {
      transcript += view.kind == FrameKind::kMessage ? "m" : "e";
    }
    in_data = view.kind == FrameKind::kData;
    if (view.kind != FrameKind::kData) {
      transcript.append(reinterpret_cast<const char*>(view.payload.data()), view.payload.size());
    }
    if (view.kind == FrameKind::kMessage) {
      const auto message = berth::wire::DecodeMessage(view.payload);
      if (message && !berth::wire::EncodeMessage(*message)) std::abort();
    }
  }
}

// Pieces of one data frame leave one stream byte each: runs of them become one.
std::string Joined(std::string text) {
  text.erase(
      std::unique(text.begin(), text.end(),
                  [](char a, char b) { return a == b && static_cast<unsigned char>(a) < 3; }),
      text.end());
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::span<const uint8_t> bytes(data + 1, size - 1);
  if (Joined(Cut(bytes, size)) != Joined(Cut(bytes, size_t{data[0]} + 1))) std::abort();
  return 0;
}
