// SPDX-License-Identifier: Apache-2.0
//
// ScriptedDevice: the host side of a vsock device as far as a client sees it. It takes one
// connection at a time, reads its CONNECT line and then either answers fixed bytes, or answers OK
// and relays to a Unix socket. Its thread lives until it is destroyed.
#ifndef BERTH_TESTS_AGENT_SCRIPTED_DEVICE_H_
#define BERTH_TESTS_AGENT_SCRIPTED_DEVICE_H_

#include <string>
#include <thread>

#include "protocol/base/unique_fd.h"

namespace berth::testing {

class ScriptedDevice {
 public:
  struct Answer {
    std::string bytes;
    bool stay = false;  // keeps the connection open behind it
  };
  ScriptedDevice(const std::string& path, Answer answer);
  ScriptedDevice(const std::string& path, std::string relay_to);
  ~ScriptedDevice();

 private:
  void Serve();
  void Relay(int client);

  UniqueFd listener_;
  UniqueFd stop_;  // eventfd: readable when the thread shall end
  Answer answer_;
  std::string relay_to_;
  std::thread thread_;
};

}  // namespace berth::testing

#endif  // BERTH_TESTS_AGENT_SCRIPTED_DEVICE_H_
