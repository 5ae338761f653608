// SPDX-License-Identifier: Apache-2.0
//
// Monitor: the shim's own QMP connection to the hypervisor. It negotiates, sends a few commands,
// and hands on what comes. The hypervisor may have been taken over by its guest: what it sends is
// bounded by the line and by the wake, and a hypervisor that does not read cannot block the shim.
// Owns the socket; one thread.
#ifndef BERTH_SUPERVISOR_SHIM_MONITOR_H_
#define BERTH_SUPERVISOR_SHIM_MONITOR_H_

#include <cstdint>
#include <string_view>

#include "protocol/base/unique_fd.h"
#include "supervisor/hypervisor/line_buffer.h"
#include "supervisor/hypervisor/qmp_codec.h"

namespace berth::shim {

class Monitor {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnMonitorReady() = 0;  // negotiated
    virtual void OnMonitorEvent(const qmp::Event& event) = 0;
    virtual void OnMonitorReply(uint64_t id, const qmp::Reply& reply) = 0;
  };

  // `listener` outlives this. `fd` does not block.
  Monitor(UniqueFd fd, Listener& listener) : fd_(std::move(fd)), listener_(listener) {}

  int fd() const { return fd_.get(); }
  bool ready() const { return ready_; }

  // Reads one chunk. False at the end of the stream.
  bool OnReadable();
  void Close() { fd_.Reset(); }

  // The command's id; 0 where it could not be sent whole.
  uint64_t Send(std::string_view command);

  uint64_t dropped_lines() const { return bad_lines_ + lines_.dropped_lines(); }

 private:
  static constexpr size_t kMaxLineBytes = 16 * 1024;

  void Handle(const qmp::Message& message);

  UniqueFd fd_;
  Listener& listener_;
  LineBuffer lines_{kMaxLineBytes};
  uint64_t next_id_ = 1;
  uint64_t negotiation_id_ = 0;
  bool ready_ = false;
  uint64_t bad_lines_ = 0;
};

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_MONITOR_H_
