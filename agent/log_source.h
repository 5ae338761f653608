// SPDX-License-Identifier: Apache-2.0
//
// LogSource: something that log lines come from, as Logs (logs.h) sees it. It takes what is there
// into the ring without waiting, and never takes a line twice or leaves one out, whenever the agent
// is killed: how far it came stands in the ring's records (LogRecordHeader::position).
#ifndef BERTH_AGENT_LOG_SOURCE_H_
#define BERTH_AGENT_LOG_SOURCE_H_

#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>

#include "protocol/base/log_ring.h"

namespace berth::agent {

class LogSource {
 public:
  enum class Took {
    kSome,     // and there may be more
    kNothing,  // until its descriptor is readable
    kNoRoom,   // until the host has acknowledged more
    kFailed,   // for now: memory
  };

  LogSource(const boost::asio::any_io_executor& executor, uint16_t number, UniqueFd fd)
      : number_(number), descriptor_(executor, fd.Release()) {}
  LogSource(const LogSource&) = delete;
  LogSource& operator=(const LogSource&) = delete;
  virtual ~LogSource() = default;

  // A bounded part of what is there.
  virtual Took Take(LogRing& ring) = 0;
  // Bytes were taken that are no whole line yet.
  virtual bool HasPartial() const { return false; }
  // They become a record.
  virtual void FlushPartial(LogRing& /*ring*/) {}

  uint16_t number() const { return number_; }
  boost::asio::posix::stream_descriptor& descriptor() { return descriptor_; }
  int fd() { return descriptor_.native_handle(); }

 private:
  const uint16_t number_;
  boost::asio::posix::stream_descriptor descriptor_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LOG_SOURCE_H_
