// SPDX-License-Identifier: Apache-2.0
//
// The header of a virtio-vsock packet (virtio 1.2, section 5.10.6): 44 bytes, little-endian, then
// `len` bytes of payload. Every packet carries its sender's credit: how large its buffer for this
// connection is (buf_alloc) and how many bytes have ever left that buffer for the reader (fwd_cnt,
// modulo 2^32).
#ifndef BERTH_SUPERVISOR_VSOCK_PACKET_H_
#define BERTH_SUPERVISOR_VSOCK_PACKET_H_

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace berth::vsock {

inline constexpr uint64_t kHostCid = 2;
inline constexpr uint16_t kTypeStream = 1;
inline constexpr uint32_t kAnyPort = 0xffffffff;

enum class Op : uint16_t {
  kInvalid = 0,
  kRequest = 1,        // open a connection
  kResponse = 2,       // it is open
  kReset = 3,          // it is not, or no longer
  kShutdown = 4,       // flags: what the sender will no longer do
  kData = 5,           // OP_RW
  kCreditUpdate = 6,   // nothing but the credit in the header
  kCreditRequest = 7,  // asks for one
};

// Flags of kShutdown.
inline constexpr uint32_t kShutdownReceive = 1;
inline constexpr uint32_t kShutdownSend = 2;
inline constexpr uint32_t kShutdownBoth = kShutdownReceive | kShutdownSend;

// In the order and layout of the wire.
struct [[gnu::packed]] PacketHeader {
  uint64_t src_cid = 0;
  uint64_t dst_cid = 0;
  uint32_t src_port = 0;
  uint32_t dst_port = 0;
  uint32_t len = 0;
  uint16_t type = kTypeStream;
  Op op = Op::kInvalid;
  uint32_t flags = 0;
  uint32_t buf_alloc = 0;
  uint32_t fwd_cnt = 0;
};
inline constexpr size_t kPacketHeaderBytes = 44;
static_assert(sizeof(PacketHeader) == kPacketHeaderBytes);
static_assert(std::endian::native == std::endian::little);

// What names a connection of one guest: a port on each side.
struct Ports {
  uint32_t host = 0;
  uint32_t guest = 0;
  friend auto operator<=>(const Ports&, const Ports&) = default;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_PACKET_H_
