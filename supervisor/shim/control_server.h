// SPDX-License-Identifier: Apache-2.0
//
// ControlServer: the shim's side of shim.sock. A few clients, each with a bounded line in and a
// bounded queue out; one that reads too slowly is dropped. Owns the listener and the clients; one
// thread.
#ifndef BERTH_SUPERVISOR_SHIM_CONTROL_SERVER_H_
#define BERTH_SUPERVISOR_SHIM_CONTROL_SERVER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/hypervisor/line_buffer.h"
#include "supervisor/shim/control_protocol.h"
#include "supervisor/shim/poller.h"

namespace berth::shim {

inline constexpr size_t kMaxClients = 8;
inline constexpr size_t kMaxQueuedBytes = 64 * 1024;  // per client

class ControlServer {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual std::string OnClient() = 0;        // what a new client is told: whole lines
    virtual std::string OnRequest(Op op) = 0;  // what this client is answered; may be empty
  };

  // `poller` and `listener` outlive this.
  ControlServer(UniqueFd socket, Poller& poller, Listener& listener);

  Result<> Start();
  // For tokens kListener and from kFirstClient on.
  void OnReady(Poller::Ready ready);

  void Broadcast(const Event& event);
  // Waits until every client has taken what is queued for it, or the deadline.
  void Flush(Deadline deadline);

  uint64_t dropped_clients() const { return dropped_; }

 private:
  struct Client {
    UniqueFd fd;
    LineBuffer lines{kMaxRequestBytes};
    std::string output;
    bool waits_to_write = false;
  };

  void Accept();
  void Read(size_t slot);
  void Queue(size_t slot, std::string_view bytes);
  void Write(size_t slot);
  void Drop(size_t slot);
  Token TokenOf(size_t slot) const {
    return static_cast<Token>(static_cast<size_t>(Token::kFirstClient) + slot);
  }

  UniqueFd socket_;
  Poller& poller_;
  Listener& listener_;
  std::array<std::unique_ptr<Client>, kMaxClients> clients_;
  uint64_t dropped_ = 0;
};

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_CONTROL_SERVER_H_
