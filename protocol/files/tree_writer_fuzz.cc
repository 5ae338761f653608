// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as what a sender of a tree sends. Nothing may come to be outside of the destination,
// and nothing temporary may stay. Checksums that are right are rare among any bytes: where the
// first byte is odd, the rest is a list of steps from which right frames are made.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "protocol/files/outgoing.h"
#include "protocol/files/tree_writer.h"
#include "protocol/wire/channel.h"

namespace {

using berth::files::Checksum;
using berth::files::TreeWriter;
namespace fs = std::filesystem;
namespace wire = berth::wire;
namespace v1 = berth::v1;

void Require(bool condition) {
  if (!condition) std::abort();
}

const std::string& Root() {
  static const std::string root = [] {
    std::string pattern = "/tmp/berth-fuzz-XXXXXX";
    Require(mkdtemp(pattern.data()) != nullptr);
    // What bytes mean is looked at within the bounds of this directory, not of the machine.
    return pattern;
  }();
  return root;
}

void FeedBytes(TreeWriter& writer, const uint8_t* data, size_t size) {
  wire::FrameBuffer buffer;
  auto rest = std::as_bytes(std::span(data, size));
  while (!rest.empty()) {
    const auto room = buffer.Prepare();
    const size_t n = std::min(room.size(), rest.size());
    std::ranges::copy(rest.first(n), room.begin());
    buffer.Commit(n);
    rest = rest.subspan(n);
    for (;;) {
      const auto frame = buffer.Next();
      if (!frame) return;
      if (!*frame) break;
      if (!writer.HandleFrame(**frame)) return;
    }
  }
}

// Each step is two bytes: what is sent, and which of a few names it has.
void FeedSteps(TreeWriter& writer, const uint8_t* data, size_t size) {
  static const std::string kNames[] = {
      "", "a", "b", "c", "..", ".", "a/b", "/outside", std::string(256, 'x'), "d"};
  static const std::string kTargets[] = {"a", "..", "../outside", "/", "b"};
  Checksum messages;
  Checksum content;
  uint64_t bytes = 0;
  v1::CopyDone done;
  for (size_t i = 0; i + 1 < size; i += 2) {
    v1::Envelope message;
    const uint8_t which = data[i + 1];
    switch (data[i] % 8) {
      case 0:
      case 1: {
        v1::CopyEntry& entry = *message.mutable_copy_entry();
        entry.set_name(kNames[which % std::size(kNames)]);
        entry.set_kind(static_cast<v1::CopyEntry::Kind>(which / 16 % 7));
        entry.set_mode(which % 2 != 0 ? 06777 : 0);
        if (entry.kind() == v1::CopyEntry::SYMLINK) entry.set_target(kTargets[which % 5]);
        if (entry.kind() == v1::CopyEntry::LINK || which % 3 == 0) entry.set_link(which % 4);
        content = Checksum();
        bytes = 0;
        done.set_entries(done.entries() + 1);
        break;
      }
      case 2:
        message.mutable_copy_hole()->set_bytes(which == 255 ? UINT64_MAX : which);
        content.Add(message.copy_hole().bytes());
        bytes += message.copy_hole().bytes();
        break;
      case 3:
        message.mutable_copy_file_end()->set_size(bytes + (which == 255 ? 1 : 0));
        message.mutable_copy_file_end()->set_checksum(content.Value());
        message.mutable_copy_file_end()->set_dropped(which == 254);
        break;
      case 4:
        message.mutable_copy_leave();
        break;
      case 5:
        done.set_checksum(messages.Value());
        *message.mutable_copy_done() = done;
        break;
      default: {
        const auto piece = std::as_bytes(std::span(data, std::min<size_t>(which + 1U, size)));
        content.Add(piece);
        bytes += piece.size();
        done.set_bytes(done.bytes() + piece.size());
        if (!writer.HandleFrame({wire::FrameKind::kData, berth::files::Outgoing::kStream, piece})) {
          return;
        }
        continue;
      }
    }
    const auto frame = wire::EncodeMessage(message);
    Require(frame.has_value());
    const auto payload = std::as_bytes(std::span(*frame)).subspan(wire::kFrameHeaderBytes);
    if (!message.has_copy_done()) messages.Add(payload);
    if (!writer.HandleFrame({wire::FrameKind::kMessage, wire::Stream{}, payload})) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string& root = Root();
  fs::create_directories(root + "/to");
  {
    TreeWriter writer({.path = root + "/to",
                       .name = "t",
                       .content = (data[0] & 2) != 0,
                       .into_directory = false,
                       .keep_owner = false,
                       .stream = (data[0] & 4) != 0,
                       .max_entries = 1000,
                       .max_bytes = 1 << 20});
    if ((data[0] & 1) != 0) {
      FeedSteps(writer, data + 1, size - 1);
    } else {
      FeedBytes(writer, data + 1, size - 1);
    }
    Require(writer.received().entries() <= 1000);
  }
  size_t beside = 0;
  for (const auto& entry : fs::directory_iterator(root)) beside += !entry.path().empty();
  Require(beside == 1);
  for (const auto& entry : fs::recursive_directory_iterator(
           root + "/to", fs::directory_options::skip_permission_denied)) {
    Require(!entry.path().filename().string().starts_with(".berth-cp-"));
  }
  // Directories of mode 0 among them, where this is not root.
  for (;;) {
    std::error_code error;
    fs::remove_all(root, error);
    if (!error) break;
    for (const auto& entry : fs::recursive_directory_iterator(
             root, fs::directory_options::skip_permission_denied, error)) {
      if (entry.is_directory(error) && !entry.is_symlink(error)) {
        chmod(entry.path().c_str(), S_IRWXU);
      }
    }
  }
  return 0;
}
