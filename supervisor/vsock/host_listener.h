// SPDX-License-Identifier: Apache-2.0
//
// The Unix socket that host clients connect to: accepts them, waits for their CONNECT line and
// hands them to the muxer. A client that says nothing, or anything else, is closed.
//
// Owns the socket file and the clients that have not yet said CONNECT; owned by main; one thread.
#ifndef BERTH_SUPERVISOR_VSOCK_HOST_LISTENER_H_
#define BERTH_SUPERVISOR_VSOCK_HOST_LISTENER_H_

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/limits.h"

namespace berth::vsock {

class HostListener final : public EventHandler {
 public:
  // Takes a client and the guest port that it wants.
  using OnClient = std::function<void(UniqueFd client, uint32_t port, TimePoint now)>;

  // Binds `path`, for its owner alone (0600). A socket that is there already is a dead process's
  // and is replaced; any other file is an error.
  static Result<std::unique_ptr<HostListener>> Bind(EventLoop* loop, const std::string& path,
                                                    OnClient on_client);
  ~HostListener();
  HostListener(const HostListener&) = delete;
  HostListener& operator=(const HostListener&) = delete;

  void Expire(TimePoint now);
  std::optional<TimePoint> NextDeadline() const;

  void OnEvents(uint32_t events) override;

 private:
  struct Client final : EventHandler {
    Client(HostListener* owner, UniqueFd socket, TimePoint until)
        : listener(owner), deadline(until), fd(std::move(socket)) {}
    void OnEvents(uint32_t) override { listener->ReadLine(self); }

    HostListener* listener;
    TimePoint deadline;
    std::list<Client>::iterator self;
    UniqueFd fd;
    Watch watch;  // after fd: it goes first
  };

  HostListener(EventLoop* loop, std::string path, OnClient on_client)
      : loop_(loop), path_(std::move(path)), on_client_(std::move(on_client)) {}

  // True where there may be more to accept.
  bool AcceptOne(TimePoint now);
  void ReadLine(std::list<Client>::iterator client);

  EventLoop* loop_;
  std::string path_;
  OnClient on_client_;
  std::list<Client> clients_;  // in the order of their deadlines
  UniqueFd spare_;             // given up to accept and close a client when descriptors run out
  UniqueFd socket_;
  Watch watch_;  // after socket_: it goes first
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_HOST_LISTENER_H_
