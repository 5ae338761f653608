// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "protocol/base/io.h"
#include "protocol/base/text.h"
#include "supervisor/daemon/kinds.h"

namespace berth::cli {
namespace {

constexpr size_t kMaxShownBytes = 256;
constexpr auto kSendTimeout = std::chrono::seconds(10);
// An answer of status or events; far above what berthd sends.
constexpr size_t kMaxAnswerBytes = 64UL * 1024 * 1024;

Failure Unreachable(const std::string& socket, int errnum) {
  Error error{"connect", errnum, socket, {}};
  int exit_code = daemon::kExitUnreachable;
  switch (errnum) {
    case ENOENT:
      error.hint = "is berthd running? start it, or name its socket with --socket or BERTH_SOCKET";
      break;
    case ECONNREFUSED:
      error.hint = "berthd has ended and left its socket: start it again";
      break;
    case EACCES:
    case EPERM:
      exit_code = daemon::kExitNotPermitted;
      error.hint =
          "the socket is for root, or for the group that berthd was started with (--group)";
      break;
    case EAGAIN:
      error.hint = "berthd does not accept connections: look at its log";
      break;
    default:
      break;
  }
  return ToFailure(exit_code, error);
}

// Says which of the parameters it is.
std::string NotUtf8(const json& params) {
  for (const auto& [pointer, value] : params.flatten().items()) {
    const auto* text = value.get_ptr<const std::string*>();
    if (text != nullptr && Utf8(*text) != *text) {
      return fmt::format("{} is not UTF-8: '{}'; give it in UTF-8, berthd takes nothing else",
                         pointer.substr(1), Printable(*text, kMaxShownBytes));
    }
  }
  return "an argument's name is not UTF-8";
}

}  // namespace

Failure ToFailure(int exit_code, const Error& error) { return {exit_code, error.Message()}; }

Failure FromRpcError(const json& error) {
  Failure failure;
  failure.message = error.value("message", "an error without a message");
  const json data = error.value("data", json::object());
  if (const auto kind = daemon::KindNamed(data.value("kind", ""))) {
    failure.exit_code = daemon::Info(*kind).exit_code;
  } else if (error.value("code", 0) == -32602) {
    failure.exit_code = daemon::kExitUsage;
  }
  return failure;
}

Outcome<UniqueFd> DialBerthd(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof(address.sun_path)) {
    return std::unexpected(Unreachable(socket, ENAMETOOLONG));
  }
  std::memcpy(address.sun_path, socket.c_str(), socket.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // Blocking: a full backlog is waited for, as long as berthd takes; it answers within
  // milliseconds.
  if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return std::unexpected(Unreachable(socket, errno));
  }
  return fd;
}

Outcome<Client> Client::Connect(const std::string& socket) {
  auto fd = DialBerthd(socket);
  if (!fd) return std::unexpected(fd.error());
  return Client(std::move(*fd));
}

Outcome<std::string> Client::ReadLine(Deadline deadline) {
  std::string line;
  for (;;) {
    pollfd watched[2] = {{.fd = fd_.get(), .events = POLLIN, .revents = 0},
                         {.fd = interrupt_fd_, .events = POLLIN, .revents = 0}};
    const int n = poll(watched, 2, deadline.PollTimeoutMs());
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) {
      return std::unexpected(
          ToFailure(daemon::Info(lifecycle::Kind::kTimedOut).exit_code,
                    Error{"wait-answer", ETIMEDOUT, "berthd did not answer in time", {}}));
    }
    if (watched[1].revents != 0)
      return std::unexpected(Failure{daemon::kExitSignalBase, "interrupted"});
    // Not a byte behind the newline is taken: a descriptor may come with it.
    char chunk[16 * 1024];
    ssize_t size = recv(fd_.get(), chunk, sizeof(chunk), MSG_PEEK | MSG_DONTWAIT);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size <= 0) {
      return std::unexpected(ToFailure(
          daemon::kExitUnreachable,
          Error{"wait-answer", ECONNRESET, "berthd closed the connection", "look at its log"}));
    }
    const std::string_view seen(chunk, static_cast<size_t>(size));
    const size_t newline = seen.find('\n');
    const size_t take = newline == std::string_view::npos ? seen.size() : newline + 1;
    size = recv(fd_.get(), chunk, take, MSG_DONTWAIT);
    if (size > 0) line.append(chunk, static_cast<size_t>(size));
    if (line.ends_with('\n')) return line;
    if (line.size() > kMaxAnswerBytes) {
      return std::unexpected(
          ToFailure(1, Error{"wait-answer", EMSGSIZE, "berthd's answer has no end", {}}));
    }
  }
}

Outcome<json> Client::Call(const std::string& method, json params, Deadline deadline) {
  const json request = {
      {"jsonrpc", "2.0"}, {"id", next_id_++}, {"method", method}, {"params", std::move(params)}};
  std::string text;
  try {
    text = request.dump() + "\n";
  } catch (const json::exception&) {
    return std::unexpected(Failure{daemon::kExitUsage, NotUtf8(request["params"])});
  }
  if (auto sent = WriteFull(fd_.get(), text, Deadline::In(kSendTimeout)); !sent) {
    return std::unexpected(ToFailure(daemon::kExitUnreachable, sent.error()));
  }
  auto line = ReadLine(deadline);
  if (!line) return std::unexpected(line.error());
  json answer = json::parse(*line, nullptr, false);
  if (!answer.is_object()) {
    return std::unexpected(ToFailure(1, Error{"read-answer", EPROTO, "not a JSON-RPC answer", {}}));
  }
  if (answer.contains("error")) return std::unexpected(FromRpcError(answer["error"]));
  return std::move(answer["result"]);
}

Outcome<UniqueFd> Client::CallForFd(const std::string& method, json params, Deadline deadline) {
  if (auto answer = Call(method, std::move(params), deadline); !answer) {
    return std::unexpected(answer.error());
  }
  auto fd = ReceiveFd(fd_.get(), deadline);
  if (!fd) return std::unexpected(ToFailure(1, fd.error()));
  return std::move(*fd);
}

}  // namespace berth::cli
