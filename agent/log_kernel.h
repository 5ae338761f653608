// SPDX-License-Identifier: Apache-2.0
//
// LogKernel: what the kernel logs, read from /dev/kmsg. Its position is the kernel's number of the
// next one, so an agent that starts anew goes on there. What the kernel dropped before it was read
// is said in words.
#ifndef BERTH_AGENT_LOG_KERNEL_H_
#define BERTH_AGENT_LOG_KERNEL_H_

#include "agent/log_source.h"

namespace berth::agent {

class LogKernel final : public LogSource {
 public:
  // `records` gives one record a read(2), as /dev/kmsg does, and does not block.
  LogKernel(const boost::asio::any_io_executor& executor, UniqueFd records)
      : LogSource(executor, kLogSourceKernel, std::move(records)) {}

  Took Take(LogRing& ring) override;

 private:
  void TakeRecord(LogRing& ring, std::string_view record) const;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_LOG_KERNEL_H_
