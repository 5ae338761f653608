// SPDX-License-Identifier: Apache-2.0
//
// The hypervisor's side of berth-vsock: takes vhost-user requests and sets up the Device by them.
//
// What QEMU sends, in order: features, owner, eventfds and config when it starts; memory, rings,
// kicks and ENABLE when the guest's driver is ready; ENABLE 0 and GET_VRING_BASE when the guest is
// stopped, reset or powered off. After a restart of this process under a running guest only the
// second part comes.
//
// A message that cannot be told apart from the next ends the process. One that asks for what cannot
// be done is logged and, where the hypervisor wants to know, refused. Owned by main; one thread.
#ifndef BERTH_SUPERVISOR_VSOCK_VHOST_USER_BACKEND_H_
#define BERTH_SUPERVISOR_VSOCK_VHOST_USER_BACKEND_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/base/result.h"
#include "supervisor/vsock/device.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/vhost_user_channel.h"
#include "supervisor/vsock/vhost_user_message.h"

namespace berth::vsock {

class VhostUserBackend final : public EventHandler {
 public:
  // Connects to the hypervisor's listening socket at `path`, and waits while its backlog is full.
  static Result<UniqueFd> Dial(const std::string& path);

  VhostUserBackend(EventLoop* loop, Device* device, uint64_t guest_cid, UniqueFd socket)
      : loop_(loop), device_(device), guest_cid_(guest_cid), channel_(std::move(socket)) {}
  VhostUserBackend(const VhostUserBackend&) = delete;
  VhostUserBackend& operator=(const VhostUserBackend&) = delete;

  Result<> Start();

  // The hypervisor has closed the connection: there is no guest any more.
  bool closed() const { return channel_.closed(); }
  // What makes it impossible to go on.
  const std::optional<Error>& failure() const { return failure_; }

  void OnEvents(uint32_t events) override;

  // The payload of the reply to a request that has one, empty for one that has none. Public for
  // fuzzing.
  Result<std::vector<std::byte>> Handle(Message& message);

 private:
  Result<> Serve();
  Result<> SetMemTable(Message& message);
  Result<> SetVringFd(Message& message);
  Result<std::vector<std::byte>> GetConfig(const Message& message) const;

  EventLoop* loop_;
  Device* device_;
  uint64_t guest_cid_;
  std::optional<Error> failure_;
  VhostUserChannel channel_;
  Watch watch_;  // after channel_: it goes first
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_VHOST_USER_BACKEND_H_
