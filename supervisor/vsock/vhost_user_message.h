// SPDX-License-Identifier: Apache-2.0
//
// vhost-user messages (QEMU's docs/interop/vhost-user.rst), as far as a vsock device needs them:
// the layouts, and one table of which requests there are and what each must carry. Values only; no
// I/O.
//
//   u32 request | u32 flags | u32 size | payload of `size` bytes, with descriptors beside it
//   (SCM_RIGHTS)
//
// Flags: bits 0-1 version (1), bit 2 reply, bit 3 an acknowledgement is wanted (0 is success).
#ifndef BERTH_SUPERVISOR_VSOCK_VHOST_USER_MESSAGE_H_
#define BERTH_SUPERVISOR_VSOCK_VHOST_USER_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::vsock {

enum class Request : uint32_t {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kSetMemTable = 5,
  kSetVringNum = 8,
  kSetVringAddr = 9,
  kSetVringBase = 10,
  kGetVringBase = 11,
  kSetVringKick = 12,
  kSetVringCall = 13,
  kSetVringErr = 14,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kSetVringEnable = 18,
  kGetConfig = 24,
};

struct MessageHeader {
  uint32_t request = 0;
  uint32_t flags = 0;
  uint32_t payload_bytes = 0;
};
static_assert(sizeof(MessageHeader) == 12);

inline constexpr uint32_t kVhostVersion = 1;
inline constexpr uint32_t kVhostVersionMask = 3;
inline constexpr uint32_t kVhostReply = 4;
inline constexpr uint32_t kVhostNeedReply = 8;

inline constexpr uint64_t kFeatureProtocolFeatures = 1ULL << 30;
inline constexpr uint64_t kProtocolReplyAck = 1ULL << 3;
inline constexpr uint64_t kProtocolConfig = 1ULL << 9;

// Payloads, in the layout of the wire.
struct VringState {
  uint32_t index;
  uint32_t value;
};
struct VringAddresses {
  uint32_t index;
  uint32_t flags;
  uint64_t descriptors;
  uint64_t used;
  uint64_t available;
  uint64_t log;
};
// Of SET_VRING_KICK, CALL and ERR: bits 0-7 the ring, bit 8 set where no descriptor comes with it.
inline constexpr uint64_t kVringIndexMask = 0xff;
inline constexpr uint64_t kVringNoFd = 0x100;
struct MemTableHeader {
  uint32_t regions;
  uint32_t padding;
};
struct ConfigHeader {
  uint32_t offset;
  uint32_t bytes;
  uint32_t flags;
};
static_assert(sizeof(VringAddresses) == 40 && sizeof(ConfigHeader) == 12);

struct Message {
  MessageHeader header;
  std::vector<std::byte> payload;
  std::vector<UniqueFd> fds;

  Request request() const { return static_cast<Request>(header.request); }
  bool needs_reply() const { return (header.flags & kVhostNeedReply) != 0; }

  // The first sizeof(T) bytes of the payload. CheckMessage has made sure that they are there.
  template <typename T>
  T As() const {
    T value;
    std::memcpy(&value, payload.data(), sizeof(value));
    return value;
  }
};

// "SET_MEM_TABLE", or "request 99".
std::string RequestName(uint32_t request);

// Of a header that has just come: version and size. What fails here leaves no way to find the next
// message.
Result<> CheckHeader(const MessageHeader& header);

// Of a whole message: whether it is a request we know (ENOTSUP otherwise), whether the payload has
// the size that request must have, and whether as many descriptors came with it as may.
Result<> CheckMessage(const Message& message);

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_VHOST_USER_MESSAGE_H_
