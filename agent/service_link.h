// SPDX-License-Identifier: Apache-2.0
//
// ServiceLink: one request to PID 1's service socket (protocol/base/service_control.h), which is
// one connection. Runs on the agent's thread; never blocks it.
#ifndef BERTH_AGENT_SERVICE_LINK_H_
#define BERTH_AGENT_SERVICE_LINK_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/service_control.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

struct ServiceOutcome {
  std::vector<ServiceRow> rows;
  ServiceAnswer answer;
};

class ServiceLink {
 public:
  explicit ServiceLink(const boost::asio::any_io_executor& executor) : socket_(executor) {}

  // Connects and sends. ENOENT, ECONNREFUSED: PID 1 is not berth-init; EAGAIN: it is busy.
  Result<> Ask(const std::string& path, ServiceRequest request, std::string_view text);

  // ECONNRESET where PID 1 closes without an answer, ECANCELED after Cancel. At most
  // wire::kMaxServices rows are kept.
  boost::asio::awaitable<Result<ServiceOutcome>> ReadAnswer(Deadline deadline);

  // Nobody wants the answer any more.
  void Cancel();

 private:
  boost::asio::posix::stream_descriptor socket_;
};

// What the host asks PID 1 for. EINVAL: an unknown verb, a name or a timeout beyond its bound.
Result<ServiceRequest> ToRequest(const v1::ServiceCall& call);

v1::ServiceReply ToReply(const ServiceOutcome& outcome);

}  // namespace berth::agent

#endif  // BERTH_AGENT_SERVICE_LINK_H_
