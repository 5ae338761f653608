// SPDX-License-Identifier: Apache-2.0
//
// ScriptedPid1: PID 1's service socket as the agent sees it. Each request is answered by what the
// test says, in a thread that lives until it is destroyed. A script may keep the connection and
// answer later, or never.
#ifndef BERTH_TESTS_AGENT_SCRIPTED_PID1_H_
#define BERTH_TESTS_AGENT_SCRIPTED_PID1_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "protocol/base/service_control.h"
#include "protocol/base/unique_fd.h"

namespace berth::testing {

struct Asked {
  ServiceRequest request;
  std::string text;
};

class ScriptedPid1 {
 public:
  // Called in the thread, with the connection; it is closed where the script leaves it there.
  using Script = std::function<void(const Asked&, UniqueFd&)>;

  ScriptedPid1(const std::string& path, Script script);
  ~ScriptedPid1();

  // The next request that was not handed out yet. Ends the test after kPatience.
  Asked Next();

  static void Send(const UniqueFd& fd, const ServiceRow& row);
  static void Send(const UniqueFd& fd, int errnum, const std::string& message = {});

 private:
  void Serve();

  const std::string path_;
  UniqueFd listener_;
  UniqueFd stop_;
  Script script_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Asked> asked_;
  std::thread thread_;
};

// A row with its name; the rest is the test's.
ServiceRow Row(const std::string& name);

}  // namespace berth::testing

#endif  // BERTH_TESTS_AGENT_SCRIPTED_PID1_H_
