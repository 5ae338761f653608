// SPDX-License-Identifier: Apache-2.0
//
// GuestLog: what of the guest's log must outlive the agent. PID 1 makes the ring, the socket
// /dev/log, and for each source a pipe and its spool, keeps all their descriptors, and hands copies
// to each agent. So services never see SIGPIPE, and a line that an agent did not get to is there
// for the next one. PID 1 itself reads none of it.
#ifndef BERTH_INIT_GUEST_LOG_H_
#define BERTH_INIT_GUEST_LOG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "init/config.h"
#include "protocol/base/control.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

struct LogPipeEnds {
  UniqueFd read;  // does not block
  UniqueFd write;
};

// Any user may open it anew, as programs do with /dev/stdout.
Result<LogPipeEnds> OpenLogPipe();

// PID 1's own lines, from the first one on: they wait in the pipe until there is an agent. A line
// that finds it full is on the console alone.
Result<LogPipeEnds> OpenOwnLogPipe();

// Where a service's stdout and stderr go.
struct LogOutput {
  int out = -1;
  int err = -1;
};

class GuestLog {
 public:
  // `own`: from OpenOwnLogPipe. Without a ring there is no log: what fails is said, and nothing
  // else fails by it.
  void Open(const LogConfig& config, std::optional<LogPipeEnds> own, const char* syslog_path);

  // All that an agent which starts must have, into the control socket.
  void SendAll(int control) const;

  // Made for the first start of the service, and told to the agent.
  Result<LogOutput> OutputOf(uint32_t service, const ServiceConfig& config, int control);

  bool is_open() const { return static_cast<bool>(ring_); }

 private:
  struct Source {
    std::string name;
    uint16_t flags = 0;
    LogPipeEnds pipe;
    UniqueFd spool;
  };

  Result<> Add(uint16_t number, std::string name, uint16_t flags, LogPipeEnds pipe);
  static void SendSource(int control, uint16_t number, const Source& source);

  UniqueFd ring_;
  UniqueFd syslog_;
  std::map<uint16_t, Source> sources_;
};

}  // namespace berth::init

#endif  // BERTH_INIT_GUEST_LOG_H_
