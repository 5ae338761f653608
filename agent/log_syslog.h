// SPDX-License-Identifier: Apache-2.0
//
// LogSyslog: what programs send to /dev/log, a socket that PID 1 keeps. A datagram is looked at,
// becomes records, and is taken only then; its position is the time at which the kernel got it. An
// agent that starts anew and finds the datagram of that time in front has got its records already.
#ifndef BERTH_AGENT_LOG_SYSLOG_H_
#define BERTH_AGENT_LOG_SYSLOG_H_

#include <string>

#include "agent/log_pipe.h"
#include "agent/log_source.h"

namespace berth::agent {

class LogSyslog final : public LogSource {
 public:
  // `socket` is a SOCK_DGRAM Unix socket with SO_TIMESTAMPNS.
  LogSyslog(const boost::asio::any_io_executor& executor, UniqueFd socket, LogScratch& scratch)
      : LogSource(executor, kLogSourceSyslog, std::move(socket)), scratch_(scratch) {}

  Took Take(LogRing& ring) override;

 private:
  void TakeDatagram(LogRing& ring, std::string_view datagram, uint64_t position);

  LogScratch& scratch_;
  std::string text_;
  bool first_ = true;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LOG_SYSLOG_H_
