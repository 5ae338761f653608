// SPDX-License-Identifier: Apache-2.0
#include "init/service_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "protocol/base/text.h"
#include "protocol/base/unix_address.h"

namespace berth::init {
namespace {

constexpr int kServerBacklog = 16;
constexpr int kAcceptBatch = 16;
// From the connection to the request, which a client sends at once.
constexpr std::chrono::seconds kRequestWait{5};
// For an order whose own deadlines do not end it: a service that is tried for ever.
constexpr Milliseconds kLongestOrder{kLongestServiceOrderMs};
// Room for a row of each of kMaxServices, with what the kernel counts beside the bytes.
constexpr int kSendBytes = 1024 * 1024;
constexpr size_t kMaxRequestBytes = sizeof(ServiceRequest) + kMaxConfigureBytes;

ServiceAnswer ToAnswer(const Result<>& result) {
  ServiceAnswer answer;
  if (result) return answer;
  // Zero is success to the client.
  answer.errnum = result.error().errnum != 0 ? result.error().errnum : EPROTO;
  const Error& error = result.error();
  const std::string text = error.errnum != 0 && error.detail.empty() ? error.Message()
                           : error.hint.empty()                      ? error.detail
                                                : error.detail + "; " + error.hint;
  Utf8(text, sizeof(answer.message) - 1).copy(answer.message, sizeof(answer.message) - 1);
  return answer;
}

bool SendPacket(int fd, const void* bytes, size_t size) {
  return send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(size);
}

}  // namespace

Result<> ServiceServer::Open(const std::string& path) {
  BERTH_ASSIGN(const sockaddr_un address, UnixAddress("control", path));
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("control", "socket");
  unlink(path.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoError("control", "bind to " + path);
  }
  // Before it listens: nobody connects in between.
  if (chmod(path.c_str(), 0600) != 0) return ErrnoError("control", "chmod of " + path);
  if (listen(fd.get(), kServerBacklog) != 0) return ErrnoError("control", "listen");
  listener_ = std::move(fd);
  return {};
}

void ServiceServer::Accept(const std::function<void(int fd, uint64_t client)>& watch, Time now) {
  for (int i = 0; i < kAcceptBatch; ++i) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    Client client{std::move(fd), now + kRequestWait, std::nullopt};
    ucred who{};
    socklen_t size = sizeof(who);
    if (getsockopt(client.fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.uid != 0) {
      Send(client, Fail("control", EACCES, "only root may give orders to PID 1"));
      continue;
    }
    if (clients_.size() >= static_cast<size_t>(kMaxServiceClients)) {
      Send(client, Fail("control", EAGAIN, "too many clients at once", "try again"));
      continue;
    }
    setsockopt(client.fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBytes, sizeof(kSendBytes));
    next_client_ = (next_client_ + 1) & 0xffffffff;  // half of an epoll event's data
    watch(client.fd.get(), next_client_);
    clients_.insert_or_assign(next_client_, std::move(client));
  }
}

void ServiceServer::Send(Client& client, const Result<>& result) {
  const ServiceAnswer answer = ToAnswer(result);
  SendPacket(client.fd.get(), &answer, sizeof(answer));
}

void ServiceServer::Read(uint64_t number, ServiceGraph& graph, const Configure& configure,
                         Time now) {
  const auto found = clients_.find(number);
  if (found == clients_.end()) return;
  Client& client = found->second;
  const auto bytes = std::make_unique<char[]>(kMaxRequestBytes);
  const ssize_t n = recv(client.fd.get(), bytes.get(), kMaxRequestBytes, MSG_DONTWAIT | MSG_TRUNC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // A second packet, or the end: the client does not wait any more. Its order goes on.
  if (n <= 0 || client.order) {
    clients_.erase(found);
    return;
  }
  const auto size = static_cast<size_t>(n);
  ServiceRequest request;
  std::optional<Result<>> result = Fail("control", EBADMSG, "no request of this build of Berth");
  if (size >= sizeof(request) && size <= kMaxRequestBytes) {
    memcpy(&request, bytes.get(), sizeof(request));
    request.name[sizeof(request.name) - 1] = '\0';
    if (request.text_bytes == size - sizeof(request)) {
      const std::string_view text(bytes.get() + sizeof(request), request.text_bytes);
      result = Serve(client, request, text, graph, configure, now);
    }
  }
  if (!result) return;
  Send(client, *result);
  clients_.erase(found);
}

std::optional<Result<>> ServiceServer::Serve(Client& client, const ServiceRequest& request,
                                             std::string_view text, ServiceGraph& graph,
                                             const Configure& configure, Time now) {
  const auto row = [&](ServiceId id) {
    const ServiceRow shown = graph.Row(id);
    return SendPacket(client.fd.get(), &shown, sizeof(shown));
  };
  if (request.verb == ServiceVerb::kList) {
    for (ServiceId id = 0; id < graph.size(); ++id) {
      if (!row(id)) return Fail("control", ENOBUFS, "the list is too long for the socket");
    }
    return Result<>();
  }
  if (request.verb == ServiceVerb::kConfigure) {
    if (configured_) return Fail("configure", EALREADY, "already configured in this boot");
    if (graph.too_late_to_configure()) {
      return Fail("configure", ETIMEDOUT, "the services that wait for it have started without it",
                  "raise configure_timeout in the image's init.toml");
    }
    if (auto taken = configure(text); !taken) return taken;
    configured_ = true;
    graph.Configured(now);
    return Result<>();
  }
  const auto id = graph.Find(request.name);
  if (!id) return Fail("control", ENOENT, "no service \"" + std::string(request.name) + "\"");
  if (request.verb == ServiceVerb::kStatus) {
    row(*id);
    return Result<>();
  }
  auto order = graph.Order(request.verb, *id, now);
  if (!order) return std::unexpected(std::move(order.error()));
  const Milliseconds wanted(std::clamp<int64_t>(request.timeout_ms, 0, kLongestOrder.count()));
  client.order = *order;
  client.deadline = now + (wanted.count() == 0 ? kLongestOrder : wanted);
  return std::nullopt;  // Answer says it, once the order's actions have been carried out
}

void ServiceServer::Answer(const ServiceGraph& graph, Time now) {
  for (auto each = clients_.begin(); each != clients_.end();) {
    Client& client = each->second;
    std::optional<Result<>> outcome;
    if (client.order) outcome = graph.Outcome(*client.order);
    if (client.order && !outcome && now >= client.deadline) {
      const ServiceRow row = graph.Row(client.order->id);
      outcome = Fail("control", ETIMEDOUT,
                     std::string(row.name) + " has not got there in time; it goes on" +
                         (row.detail[0] != '\0' ? std::string(" (") + row.detail + ")" : ""));
    }
    if (outcome) Send(client, *outcome);
    each = outcome ? clients_.erase(each) : std::next(each);
  }
}

void ServiceServer::DropIdle(Time now) {
  std::erase_if(clients_, [now](const auto& each) {
    return !each.second.order && now >= each.second.deadline;
  });
}

std::optional<ServiceServer::Time> ServiceServer::next_deadline() const {
  std::optional<Time> next;
  for (const auto& [number, client] : clients_) {
    if (!next || client.deadline < *next) next = client.deadline;
  }
  return next;
}

}  // namespace berth::init
