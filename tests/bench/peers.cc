// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/peers.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "protocol/base/result.h"
#include "tests/bench/vsock_client.h"

namespace berth::bench {

using nlohmann::json;

namespace {

// Of raw bytes in one request: as many as its answer may have, and divisible by three.
constexpr uint64_t kGuestFileChunk = 3 * 1024 * 1024;

}  // namespace

QemuGuestAgent::QemuGuestAgent(const std::string& path)
    : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) Die("path too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    Die(path + ": " + ErrnoName(errno));
  }
  // One that never came up answers never.
  const timeval patience{.tv_sec = 60, .tv_usec = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  Ask("guest-ping");
}

void QemuGuestAgent::Send(const std::string& command, json arguments) {
  json request = {{"execute", command}};
  if (!arguments.is_null()) request["arguments"] = std::move(arguments);
  const std::string line = request.dump() + "\n";
  SendBytes(fd_.get(), line.data(), line.size());
}

json QemuGuestAgent::Receive() {
  size_t end = 0;
  while ((end = unread_.find('\n')) == std::string::npos) {
    std::string chunk(1 << 16, '\0');
    const ssize_t n = read(fd_.get(), chunk.data(), chunk.size());
    if (n <= 0) Die(n == 0 ? "qemu-guest-agent closed" : "qemu-guest-agent: " + ErrnoName(errno));
    unread_.append(chunk, 0, static_cast<size_t>(n));
  }
  json answer = json::parse(unread_.substr(0, end), nullptr, false);
  unread_.erase(0, end + 1);
  if (!answer.contains("return")) Die("qemu-guest-agent: " + answer.dump());
  return answer["return"];
}

json QemuGuestAgent::Ask(const std::string& command, json arguments) {
  Send(command, std::move(arguments));
  return Receive();
}

std::string QemuGuestAgent::Run(const std::string& path, const std::vector<std::string>& args,
                                bool capture) {
  const json pid =
      Ask("guest-exec", {{"path", path}, {"arg", args}, {"capture-output", capture}})["pid"];
  for (;;) {
    const json status = Ask("guest-exec-status", {{"pid", pid}});
    if (!status.value("exited", false)) continue;
    if (status.value("exitcode", -1) != 0) Die(path + ": " + status.dump());
    return status.value("out-data", "");
  }
}

void QemuGuestAgent::RunAtOnce(const std::string& path, int count) {
  // Each request has its answer first: with more on their way neither side may read any more.
  std::vector<json> pids;
  for (int i = 0; i < count; ++i) pids.push_back(Ask("guest-exec", {{"path", path}})["pid"]);
  for (const json& pid : pids) {
    while (!Ask("guest-exec-status", {{"pid", pid}}).value("exited", false)) {
    }
  }
}

void QemuGuestAgent::ReadBytes(const std::string& path, uint64_t bytes) {
  const json handle = Ask("guest-file-open", {{"path", path}, {"mode", "r"}});
  uint64_t got = 0;
  while (got < bytes) {
    const json read = Ask("guest-file-read", {{"handle", handle}, {"count", kGuestFileChunk}});
    if (read.value("count", uint64_t{0}) == 0) Die(fmt::format("{}: {} bytes", path, got));
    got += read.value("count", uint64_t{0});
  }
  Ask("guest-file-close", {{"handle", handle}});
}

void QemuGuestAgent::WriteBytes(const std::string& path, uint64_t bytes) {
  const json handle = Ask("guest-file-open", {{"path", path}, {"mode", "w"}});
  for (uint64_t put = 0; put < bytes; put += kGuestFileChunk) {
    const uint64_t chunk = std::min(kGuestFileChunk, bytes - put);
    // Zeros in base64 are the letter A; the padding is what is missing of the last three bytes.
    std::string text((chunk + 2) / 3 * 4, 'A');
    const size_t missing = (3 - chunk % 3) % 3;
    text.replace(text.size() - missing, missing, missing, '=');
    Ask("guest-file-write", {{"handle", handle}, {"buf-b64", std::move(text)}});
  }
  Ask("guest-file-close", {{"handle", handle}});
}

std::vector<std::string> Dbclient(uint16_t port, const std::string& key,
                                  const std::string& command) {
  return {"dbclient",       "-y",   "-y", "-T", "-i", key, "-p", fmt::format("{}", port),
          "root@127.0.0.1", command};
}

e2e::Outcome RunDbclient(uint16_t port, const std::string& key, const std::string& command) {
  e2e::Outcome outcome = e2e::RunCommand(Dbclient(port, key, command));
  if (outcome.code != 0) Die(fmt::format("dbclient: {} {}", outcome.code, outcome.err));
  return outcome;
}

}  // namespace berth::bench
