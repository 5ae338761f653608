// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/scripted_device.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <vector>

#include "protocol/base/io.h"
#include "supervisor/guest/dial.h"
#include "tests/agent/agent_rig.h"

namespace berth::testing {
namespace {

UniqueFd UnixSocket() { return UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

bool WaitFor(int fd, int stop) {
  std::array<pollfd, 2> watched = {{{fd, POLLIN, 0}, {stop, POLLIN, 0}}};
  poll(watched.data(), watched.size(), -1);
  return watched[1].revents == 0;
}

}  // namespace

ScriptedDevice::ScriptedDevice(const std::string& path, Answer answer)
    : listener_(UnixSocket()), stop_(eventfd(0, EFD_CLOEXEC)), answer_(std::move(answer)) {
  const auto endpoint = guest::UnixEndpoint(path).value();
  if (bind(listener_.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
      listen(listener_.get(), 8) != 0) {
    std::abort();
  }
  thread_ = std::thread([this] { Serve(); });
}

ScriptedDevice::ScriptedDevice(const std::string& path, std::string relay_to)
    : ScriptedDevice(path, Answer{"OK 1\n", true}) {
  relay_to_ = std::move(relay_to);
}

ScriptedDevice::~ScriptedDevice() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void ScriptedDevice::Serve() {
  std::vector<UniqueFd> kept;
  while (WaitFor(listener_.get(), stop_.get())) {
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    bool asked = true;
    for (char c = 0; asked && c != '\n';) {
      if (!WaitFor(client.get(), stop_.get())) return;
      asked = read(client.get(), &c, 1) == 1;
    }
    if (!asked) continue;  // it is gone already
    [[maybe_unused]] const auto said =
        WriteFull(client.get(), answer_.bytes, Deadline::In(kPatience));
    if (!relay_to_.empty()) {
      Relay(client.get());
    } else if (answer_.stay) {
      kept.push_back(std::move(client));
    }
  }
}

void ScriptedDevice::Relay(int client) {
  const UniqueFd agent = UnixSocket();
  const auto endpoint = guest::UnixEndpoint(relay_to_).value();
  if (connect(agent.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) return;
  for (;;) {
    std::array<pollfd, 3> watched = {
        {{client, POLLIN, 0}, {agent.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    poll(watched.data(), watched.size(), -1);
    if (watched[2].revents != 0) return;
    for (const auto& [from, to] :
         {std::pair{client, agent.get()}, std::pair{agent.get(), client}}) {
      std::byte chunk[4096];
      const ssize_t n = recv(from, chunk, sizeof(chunk), MSG_DONTWAIT);
      if (n == 0) return;
      if (n > 0 &&
          !WriteFull(to, std::span(chunk).first(static_cast<size_t>(n)), Deadline::In(kPatience))) {
        return;
      }
    }
  }
}

}  // namespace berth::testing
