// SPDX-License-Identifier: Apache-2.0
//
// ApiStream: a connection to berthd with several calls on their way at once, for a command that has
// other things to wait for beside the answers. Never waits; one thread. docs/api.md has the wire.
#ifndef BERTH_SUPERVISOR_CLI_API_STREAM_H_
#define BERTH_SUPERVISOR_CLI_API_STREAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/unique_fd.h"
#include "supervisor/cli/client.h"

namespace berth::cli {

class ApiStream {
 public:
  struct Answer {
    int64_t id = 0;
    Outcome<json> result;
    UniqueFd fd;  // where the result hands one over
  };

  explicit ApiStream(UniqueFd berthd) : fd_(std::move(berthd)) {}

  // Queues a call; its answer comes with this id. The ids of one stream rise.
  int64_t Call(const std::string& method, json params);

  int fd() const { return fd_.get(); }
  // Bits of poll(2).
  short wants() const;
  // Sends and reads what can be. ECONNRESET: berthd is gone, and with it the calls on their way.
  Result<std::vector<Answer>> Move();

 private:
  Result<> Send();
  // Takes what stands whole in the input. A line that announces a descriptor is kept until it is
  // there.
  Result<> TakeLines(std::vector<Answer>& answers);

  UniqueFd fd_;
  std::string output_;
  std::string input_;
  std::vector<Answer> awaiting_fd_;  // at most one
  int64_t last_id_ = 0;
};

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_API_STREAM_H_
