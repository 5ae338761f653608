// SPDX-License-Identifier: Apache-2.0
//
// What people use today in the agent's place, in the same guest: qemu-guest-agent by its socket,
// and dropbear by its client. Blocking; failures end the benchmark.
#ifndef BERTH_TESTS_BENCH_PEERS_H_
#define BERTH_TESTS_BENCH_PEERS_H_

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "protocol/base/unique_fd.h"
#include "tests/e2e/process.h"

namespace berth::bench {

// One JSON object a line, answered in order.
class QemuGuestAgent {
 public:
  explicit QemuGuestAgent(const std::string& socket);

  nlohmann::json Ask(const std::string& command, nlohmann::json arguments = nullptr);
  // guest-exec, and guest-exec-status again and again until it has ended: nothing tells of the end.
  // `capture`: its stdout comes back, in base64.
  std::string Run(const std::string& path, const std::vector<std::string>& args, bool capture);
  // All of them started before any is looked at.
  void RunAtOnce(const std::string& path, int count);
  // Moves so many bytes through a file of the guest, in base64: the only way that it has for many.
  void ReadBytes(const std::string& path, uint64_t bytes);
  void WriteBytes(const std::string& path, uint64_t bytes);

 private:
  void Send(const std::string& command, nlohmann::json arguments);
  nlohmann::json Receive();

  UniqueFd fd_;
  std::string unread_;
};

// dbclient's command line for `command` in the guest, whose port 22 is 127.0.0.1:`port`.
std::vector<std::string> Dbclient(uint16_t port, const std::string& key,
                                  const std::string& command);
// A client of its own for it, from its start to its end.
e2e::Outcome RunDbclient(uint16_t port, const std::string& key, const std::string& command);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_PEERS_H_
