// SPDX-License-Identifier: Apache-2.0
//
// HttpStub: a service that answers HTTP on 127.0.0.1 as the test says, one connection at a time, in
// a thread that lives until it is destroyed.
#ifndef BERTH_TESTS_AGENT_HTTP_STUB_H_
#define BERTH_TESTS_AGENT_HTTP_STUB_H_

#include <mutex>
#include <string>
#include <thread>

#include "protocol/base/unique_fd.h"
#include "tests/agent/loopback.h"

namespace berth::testing {

class HttpStub {
 public:
  // An empty answer: the connection is kept and nothing is said.
  explicit HttpStub(std::string answer);
  ~HttpStub();

  void set_answer(std::string answer);
  std::string request();  // the last one
  int port() const { return listener_.port; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()) + "/healthz"; }

 private:
  void Serve();

  LoopbackListener listener_;
  UniqueFd stop_;
  std::mutex mutex_;
  std::string answer_;
  std::string request_;
  std::thread thread_;
};

}  // namespace berth::testing

#endif  // BERTH_TESTS_AGENT_HTTP_STUB_H_
