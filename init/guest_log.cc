// SPDX-License-Identifier: Apache-2.0
#include "init/guest_log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "init/console.h"
#include "protocol/base/io.h"
#include "protocol/base/log_ring.h"
#include "protocol/base/unix_address.h"

namespace berth::init {
namespace {

static_assert(kFirstLogSourceOfServices + 2 * kMaxServices <= kMaxLogSources);
// For the packets of all sources, each with the kernel's bookkeeping: the agent may read none of
// them for a while, and PID 1 cannot wait for it.
constexpr int kControlBufferBytes = 4 * 1024 * 1024;

Result<LogPipeEnds> MakeLogPipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("log-pipe", "pipe");
  LogPipeEnds pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  BERTH_TRY(SetNonBlocking(pipe.read.get(), true));
  return pipe;
}

Result<UniqueFd> OpenSyslog(const char* path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("syslog", path);
  constexpr int kOn = 1;
  // The agent tells by its time whether it has seen a message before.
  if (setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &kOn, sizeof(kOn)) != 0) {
    return ErrnoError("syslog", "SO_TIMESTAMPNS");
  }
  BERTH_ASSIGN(const sockaddr_un address, UnixAddress("syslog", path));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      chmod(path, 0666) != 0) {
    return ErrnoError("syslog", path);
  }
  return fd;
}

void SendWithFds(int control, const ControlPacket& packet, std::span<const int> fds) {
  iovec part{const_cast<ControlPacket*>(&packet), sizeof(packet)};
  alignas(cmsghdr) char rights[CMSG_SPACE(sizeof(int) * kMaxControlFds)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = rights;
  message.msg_controllen = static_cast<socklen_t>(CMSG_SPACE(fds.size_bytes()));
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = static_cast<socklen_t>(CMSG_LEN(fds.size_bytes()));
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  if (sendmsg(control, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    Warn(Error{"control", errno, std::string("a log source is lost to the agent: ") + packet.name,
               "it comes with the agent's next start"});
  }
}

}  // namespace

Result<LogPipeEnds> OpenLogPipe() {
  BERTH_ASSIGN(LogPipeEnds pipe, MakeLogPipe());
  if (fchmod(pipe.write.get(), 0622) != 0) return ErrnoError("log-pipe", "fchmod");
  return pipe;
}

Result<LogPipeEnds> OpenOwnLogPipe() {
  BERTH_ASSIGN(LogPipeEnds pipe, MakeLogPipe());
  BERTH_TRY(SetNonBlocking(pipe.write.get(), true));
  return pipe;
}

void GuestLog::Open(const LogConfig& config, std::optional<LogPipeEnds> own,
                    const char* syslog_path) {
  auto ring = MakeLogRing(config.ring_bytes);
  if (!ring) {
    Warn(ring.error());
    Warn("there is no log: services write to the console");
    return;
  }
  ring_ = std::move(*ring);
  if (own) {
    if (auto added = Add(kLogSourceInit, "init", 0, std::move(*own)); !added) Warn(added.error());
  }
  if (auto agents = OpenOwnLogPipe(); !agents) {
    Warn(agents.error());
  } else if (auto added = Add(kLogSourceAgent, "agent", 0, std::move(*agents)); !added) {
    Warn(added.error());
  }
  // An image that has another there knows why.
  if (!config.syslog || access(syslog_path, F_OK) == 0) return;
  if (auto socket = OpenSyslog(syslog_path); !socket) {
    Warn(socket.error());
  } else {
    syslog_ = std::move(*socket);
  }
}

Result<> GuestLog::Add(uint16_t number, std::string name, uint16_t flags, LogPipeEnds pipe) {
  BERTH_ASSIGN(UniqueFd spool, MakeLogSpool());
  sources_.insert_or_assign(number,
                            Source{std::move(name), flags, std::move(pipe), std::move(spool)});
  return {};
}

void GuestLog::SendSource(int control, uint16_t number, const Source& source) {
  ControlPacket packet{
      .kind = ControlKind::kLogSource, .log_source = number, .log_flags = source.flags};
  source.name.copy(packet.name, sizeof(packet.name) - 1);
  const std::array fds = {source.pipe.read.get(), source.spool.get(), source.pipe.write.get()};
  // The agent writes to its own alone.
  SendWithFds(control, packet, std::span(fds).first(number == kLogSourceAgent ? 3 : 2));
}

void GuestLog::SendAll(int control) const {
  if (!ring_) return;
  if (setsockopt(control, SOL_SOCKET, SO_SNDBUFFORCE, &kControlBufferBytes,
                 sizeof(kControlBufferBytes)) != 0) {
    Warn(Error{"control", errno, "SO_SNDBUFFORCE", ""});
  }
  const int ring = ring_.get();
  const int syslog = syslog_.get();
  SendWithFds(control, {.kind = ControlKind::kLogRing}, {&ring, 1});
  if (syslog_) SendWithFds(control, {.kind = ControlKind::kLogSyslog}, {&syslog, 1});
  for (const auto& [number, source] : sources_) SendSource(control, number, source);
}

Result<LogOutput> GuestLog::OutputOf(uint32_t service, const ServiceConfig& config, int control) {
  LogOutput output;
  if (!ring_) return output;
  const auto first = static_cast<uint16_t>(kFirstLogSourceOfServices + 2 * service);
  const uint16_t block = config.block_on_full ? LogSourceFlag::kBlock : 0;
  for (const bool is_err : {false, true}) {
    const auto number = static_cast<uint16_t>(first + (is_err ? 1 : 0));
    const auto flags = static_cast<uint16_t>(block | (is_err ? LogSourceFlag::kStderr : 0));
    auto source = sources_.find(number);
    if (source == sources_.end()) {
      BERTH_ASSIGN(LogPipeEnds pipe, OpenLogPipe());
      BERTH_TRY(Add(number, config.name, flags, std::move(pipe)));
      source = sources_.find(number);
      if (control >= 0) SendSource(control, number, source->second);
    } else if (source->second.flags != flags) {  // the host's configuration says so
      source->second.flags = flags;
      if (control >= 0) SendSource(control, number, source->second);
    }
    (is_err ? output.err : output.out) = source->second.pipe.write.get();
  }
  return output;
}

}  // namespace berth::init
