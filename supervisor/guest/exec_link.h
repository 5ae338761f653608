// SPDX-License-Identifier: Apache-2.0
//
// ExecLink: the bytes of an exec session on their way to the guest: at most one frame of stdin,
// under the guest's window, and the few messages behind it. Never waits; does not own the socket;
// one thread.
#ifndef BERTH_SUPERVISOR_GUEST_EXEC_LINK_H_
#define BERTH_SUPERVISOR_GUEST_EXEC_LINK_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/frame.h"

namespace berth::guest {

class ExecLink {
 public:
  static constexpr size_t kMaxStdinPayload = 64 * 1024;
  // Signals and resizes that the guest has not taken; beyond it they are dropped, as the kernel
  // drops a signal that is pending already.
  static constexpr size_t kMaxMessageBytes = 4 * 1024;

  explicit ExecLink(int socket) : socket_(socket) {}

  // Where the next bytes of stdin go, no longer than the window; empty where none may be read now.
  std::span<std::byte> StdinRoom();
  void PushStdin(size_t bytes);
  void PushStdinEnd();
  void Push(const v1::Envelope& message);

  // As a session has it that was attached to. EPROTO where that is more than a window.
  Result<> SetWindow(size_t bytes);
  // EPROTO where the guest grants more than the window ever was.
  Result<> Grant(size_t bytes);

  bool empty() const { return frame_begin_ == frame_end_ && messages_.empty(); }
  // Sends what the socket takes. Once the peer has closed, everything is dropped: why it did is to
  // be read from it.
  Result<> Flush();

 private:
  int socket_;
  std::vector<std::byte> frame_;  // allocated with the first stdin
  size_t frame_begin_ = 0;
  size_t frame_end_ = 0;
  std::string messages_;  // whole frames, but for a first one that was sent in part
  bool inside_message_ = false;
  size_t window_ = wire::kStdinWindowBytes;
  bool peer_closed_ = false;
};

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_EXEC_LINK_H_
