// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/vhost_user_backend.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <string>
#include <utility>

#include "protocol/base/io.h"
#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/log.h"
#include "supervisor/vsock/unix_socket.h"

namespace berth::vsock {

namespace {

template <typename T>
std::vector<std::byte> Bytes(const T& value) {
  std::vector<std::byte> bytes(sizeof(value));
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

Result<> CheckIndex(uint64_t index) {
  if (index < kRingCount) return {};
  return Fail("vhost-user-ring", EINVAL, "there is no ring " + std::to_string(index));
}

// Requests whose reply is their own; to the others REPLY_ACK applies.
bool HasReply(Request request) {
  return request == Request::kGetFeatures || request == Request::kGetProtocolFeatures ||
         request == Request::kGetVringBase || request == Request::kGetConfig;
}

}  // namespace

Result<UniqueFd> VhostUserBackend::Dial(const std::string& path) {
  BERTH_ASSIGN(const UnixAddress address, UnixAddress::For(path));
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return ErrnoError("vhost-user-dial", "socket");
  const timeval timeout{.tv_sec = kVhostDialTimeout.count(), .tv_usec = 0};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0) {
    return ErrnoError("vhost-user-dial", "SO_SNDTIMEO");
  }
  if (connect(socket.get(), address.get(), address.length()) != 0) {
    return ErrnoError("vhost-user-dial", path,
                      "the hypervisor must listen there (-chardev socket,path=...,server=on)");
  }
  BERTH_TRY(SetNonBlocking(socket.get(), true));
  return socket;
}

Result<> VhostUserBackend::Start() {
  BERTH_ASSIGN(watch_, loop_->Add(channel_.fd(), EPOLLIN, this));
  return {};
}

void VhostUserBackend::OnEvents(uint32_t) {
  if (auto served = Serve(); !served) failure_ = std::move(served.error());
}

Result<> VhostUserBackend::Serve() {
  for (;;) {
    BERTH_ASSIGN(std::optional<Message> message, channel_.Receive());
    if (!message) return {};
    auto reply = Handle(*message);
    if (!reply) Log(Complaint::kVhost, reply.error().Message());
    if (reply && HasReply(message->request())) {
      BERTH_TRY(channel_.Reply(message->header, *reply));
    } else if (HasReply(message->request())) {
      return std::unexpected(std::move(reply.error()));  // it waits for a reply that we cannot give
    } else if (message->needs_reply()) {
      BERTH_TRY(channel_.Reply(message->header, Bytes<uint64_t>(reply ? 0 : 1)));
    }
  }
}

Result<std::vector<std::byte>> VhostUserBackend::Handle(Message& message) {
  BERTH_TRY(CheckMessage(message));
  std::vector<std::byte> nothing;
  switch (message.request()) {
    case Request::kGetFeatures:
      return Bytes<uint64_t>(kDeviceFeatures | kFeatureProtocolFeatures);
    case Request::kSetFeatures:
      device_->SetFeatures(message.As<uint64_t>());
      return nothing;
    case Request::kSetOwner:
    case Request::kSetProtocolFeatures:
      return nothing;
    case Request::kGetProtocolFeatures:
      return Bytes<uint64_t>(kProtocolReplyAck | kProtocolConfig);
    case Request::kSetMemTable:
      BERTH_TRY(SetMemTable(message));
      return nothing;
    case Request::kSetVringAddr: {
      const auto ring = message.As<VringAddresses>();
      BERTH_TRY(CheckIndex(ring.index));
      BERTH_TRY(
          device_->ring(ring.index).SetAddresses(ring.descriptors, ring.available, ring.used));
      return nothing;
    }
    case Request::kSetVringKick:
    case Request::kSetVringCall:
    case Request::kSetVringErr:
      BERTH_TRY(SetVringFd(message));
      return nothing;
    case Request::kGetConfig:
      return GetConfig(message);
    case Request::kSetVringNum:
    case Request::kSetVringBase:
    case Request::kGetVringBase:
    case Request::kSetVringEnable:
      break;
  }
  auto state = message.As<VringState>();
  BERTH_TRY(CheckIndex(state.index));
  Ring& ring = device_->ring(state.index);
  switch (message.request()) {
    case Request::kSetVringNum:
      BERTH_TRY(ring.SetSize(state.value));
      break;
    case Request::kSetVringBase:
      if (state.value > 0xffff) return Fail("set-vring-base", EINVAL, std::to_string(state.value));
      BERTH_TRY(device_->SetRingBase(state.index, static_cast<uint16_t>(state.value)));
      break;
    case Request::kGetVringBase:
      state.value = ring.Stop();
      return Bytes(state);
    default:
      ring.Enable(state.value != 0);
      break;
  }
  return nothing;
}

Result<> VhostUserBackend::SetMemTable(Message& message) {
  const auto header = message.As<MemTableHeader>();
  std::vector<RegionSpec> regions(message.fds.size());
  const size_t bytes = regions.size() * sizeof(RegionSpec);
  if (header.regions != regions.size() || message.payload.size() < sizeof(header) + bytes) {
    return Fail("set-mem-table", EPROTO,
                std::to_string(header.regions) + " regions, " + std::to_string(regions.size()) +
                    " descriptors, " + std::to_string(message.payload.size()) + " bytes");
  }
  if (bytes > 0) std::memcpy(regions.data(), message.payload.data() + sizeof(header), bytes);
  BERTH_ASSIGN(GuestMemory memory, GuestMemory::Map(regions, message.fds));
  return device_->SetMemory(std::move(memory));
}

Result<> VhostUserBackend::SetVringFd(Message& message) {
  const auto word = message.As<uint64_t>();
  const uint64_t index = word & kVringIndexMask;
  BERTH_TRY(CheckIndex(index));
  if (((word & kVringNoFd) == 0) != (message.fds.size() == 1)) {
    return Fail("set-vring-fd", EPROTO,
                RequestName(message.header.request) + " does not agree with its descriptor");
  }
  UniqueFd fd;
  if (!message.fds.empty()) {
    fd = std::move(message.fds.front());
    // A write to a full eventfd must not hold us; QEMU's are non-blocking anyway.
    BERTH_TRY(SetNonBlocking(fd.get(), true));
  }
  const auto ring_index = static_cast<uint32_t>(index);
  Ring& ring = device_->ring(ring_index);
  switch (message.request()) {
    case Request::kSetVringCall:
      ring.SetCall(std::move(fd));
      return {};
    case Request::kSetVringErr:
      ring.SetError(std::move(fd));
      return {};
    default:
      break;
  }
  if (!fd) return Fail("set-vring-kick", ENOTSUP, "polling in place of kicks");
  BERTH_TRY(ring.SetKick(loop_, std::move(fd)));
  // The kick is what starts a ring; all else has come before it.
  return device_->StartRing(ring_index);
}

Result<std::vector<std::byte>> VhostUserBackend::GetConfig(const Message& message) const {
  // The configuration space is the guest's CID, a u64. The reply repeats the header.
  const auto header = message.As<ConfigHeader>();
  const size_t room = message.payload.size() - sizeof(header);
  if (header.offset > sizeof(guest_cid_) || header.bytes > sizeof(guest_cid_) - header.offset ||
      header.bytes > room) {
    return std::vector<std::byte>();  // an empty reply is how the protocol says "no"
  }
  std::vector<std::byte> reply = message.payload;
  std::memcpy(reply.data() + sizeof(header),
              reinterpret_cast<const std::byte*>(&guest_cid_) + header.offset, header.bytes);
  return reply;
}

}  // namespace berth::vsock
