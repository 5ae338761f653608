// SPDX-License-Identifier: Apache-2.0
//
// Outbox: the bytes of one connection that the host has not taken yet. It holds at most one data
// frame, and the few messages before and behind it, so that its size is bounded whatever the host
// does: whoever has more data waits until CanTakeData. What was pushed goes out with one system
// call. Owned by its session; does not own the socket; never waits.
#ifndef BERTH_AGENT_OUTBOX_H_
#define BERTH_AGENT_OUTBOX_H_

#include <string>

#include "agent/buffer_pool.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/frame.h"

namespace berth::agent {

class Outbox {
 public:
  explicit Outbox(int socket) : socket_(socket) {}
  // For another connection: what was meant for the last one is dropped.
  void Reset(int socket);

  // Encoded frames, as they are.
  void Push(std::string_view frames);
  void Push(const v1::Envelope& message);
  void PushEnd(wire::Stream stream);
  // `payload_bytes` stand in the buffer behind the room for the header. Needs CanTakeData.
  void PushData(wire::Stream stream, BufferPool::Buffer buffer, size_t payload_bytes);

  bool CanTakeData() const { return !data_ && behind_.empty(); }
  bool empty() const { return before_.empty() && CanTakeData(); }

  // Sends what the socket takes now. An error means that the host is gone.
  Result<> Flush();

 private:
  void Drop(size_t sent);

  int socket_;
  std::string before_;
  BufferPool::Buffer data_;
  size_t data_begin_ = 0;
  size_t data_end_ = 0;
  std::string behind_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_OUTBOX_H_
