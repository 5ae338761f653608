// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/host_listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

#include "supervisor/vsock/connect_line.h"
#include "supervisor/vsock/log.h"
#include "supervisor/vsock/unix_socket.h"

namespace berth::vsock {

namespace {

// Clients accepted in one wake before others have their turn.
constexpr int kAcceptsPerWake = 16;

Result<> RemoveStale(const std::string& path) {
  struct stat file{};
  if (lstat(path.c_str(), &file) != 0) {
    if (errno == ENOENT) return {};
    return ErrnoError("bind-socket", path);
  }
  if (!S_ISSOCK(file.st_mode)) {
    return Fail("bind-socket", EEXIST, path + " is there and is not a socket");
  }
  if (unlink(path.c_str()) != 0) return ErrnoError("bind-socket", path);
  return {};
}

}  // namespace

Result<std::unique_ptr<HostListener>> HostListener::Bind(EventLoop* loop, const std::string& path,
                                                         OnClient on_client) {
  // The longest name that a guest can ask for must fit too.
  BERTH_TRY(UnixAddress::For(HostPortPath(path, ~0U)));
  BERTH_ASSIGN(const UnixAddress address, UnixAddress::For(path));
  BERTH_TRY(RemoveStale(path));
  std::unique_ptr<HostListener> listener(new HostListener(loop, path, std::move(on_client)));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return ErrnoError("bind-socket", "socket");
  // By umask, for between bind and a chmod anyone could connect.
  const mode_t mask = umask(0177);
  const int bound = bind(socket.get(), address.get(), address.length());
  const int bind_error = errno;
  umask(mask);
  if (bound != 0) return Fail("bind-socket", bind_error, path);
  listener->socket_ = std::move(socket);
  if (listen(listener->socket_.get(), kListenBacklog) != 0) return ErrnoError("listen", path);
  listener->spare_.Reset(fcntl(listener->socket_.get(), F_DUPFD_CLOEXEC, 0));
  BERTH_ASSIGN(listener->watch_, loop->Add(listener->socket_.get(), EPOLLIN, listener.get()));
  return listener;
}

HostListener::~HostListener() {
  if (socket_) unlink(path_.c_str());
}

void HostListener::OnEvents(uint32_t) {
  const TimePoint now = std::chrono::steady_clock::now();
  for (int i = 0; i < kAcceptsPerWake && AcceptOne(now); ++i) {
  }
}

bool HostListener::AcceptOne(TimePoint now) {
  UniqueFd fd(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno != EMFILE && errno != ENFILE) return errno == ECONNABORTED || errno == EINTR;
    // Out of descriptors: the client would wait in the backlog, and its event wake us, for ever.
    Log(Complaint::kLimit, "a client is refused: out of descriptors");
    spare_.Reset();
    fd.Reset(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    fd.Reset();
    spare_.Reset(fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0));
    return false;
  }
  if (clients_.size() >= kMaxWaitingClients) {
    Log(Complaint::kLimit, "a client is refused: too many have not yet said CONNECT");
    return true;
  }
  const auto client =
      clients_.emplace(clients_.end(), this, std::move(fd), now + kConnectLineTimeout);
  client->self = client;
  auto watch = loop_->Add(client->fd.get(), EPOLLIN | EPOLLRDHUP | EPOLLET, &*client);
  if (!watch) {
    Log(Complaint::kLimit, watch.error().Message());
    clients_.erase(client);
    return true;
  }
  client->watch = std::move(*watch);
  return true;
}

void HostListener::ReadLine(std::list<Client>::iterator client) {
  std::array<char, kMaxConnectLineBytes> bytes;
  // Peeked, for what follows the line is the guest's and stays in the socket.
  const ssize_t n = recv(client->fd.get(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  ConnectLine line{ConnectLine::Status::kInvalid};
  if (n > 0) line = ParseConnectLine({bytes.data(), static_cast<size_t>(n)});
  if (line.status == ConnectLine::Status::kPartial) return;
  UniqueFd fd = std::move(client->fd);
  client->watch.Reset();
  clients_.erase(client);
  if (line.status == ConnectLine::Status::kInvalid) {
    if (n > 0) Log(Complaint::kClient, "a client is closed: its first line is not CONNECT <port>");
    return;
  }
  if (recv(fd.get(), bytes.data(), line.bytes, MSG_DONTWAIT) != static_cast<ssize_t>(line.bytes)) {
    return;
  }
  on_client_(std::move(fd), line.port, std::chrono::steady_clock::now());
}

void HostListener::Expire(TimePoint now) {
  while (!clients_.empty() && clients_.front().deadline <= now) {
    Log(Complaint::kClient, "a client is closed: it has not said CONNECT");
    clients_.pop_front();
  }
}

std::optional<TimePoint> HostListener::NextDeadline() const {
  if (clients_.empty()) return std::nullopt;
  return clients_.front().deadline;
}

}  // namespace berth::vsock
