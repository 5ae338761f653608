// SPDX-License-Identifier: Apache-2.0
//
// Every bound of berth-vsock in one place: what a guest, its hypervisor or a host client can make
// this process hold, and for how long. Together they cap its memory at about 100 MiB, however
// hostile the guest.
#ifndef BERTH_SUPERVISOR_VSOCK_LIMITS_H_
#define BERTH_SUPERVISOR_VSOCK_LIMITS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace berth::vsock {

using TimePoint = std::chrono::steady_clock::time_point;

// --- vhost-user ---
// The largest request we take is SET_MEM_TABLE with eight regions: 264 bytes.
inline constexpr size_t kMaxVhostPayloadBytes = 512;
// Without the protocol feature CONFIGURE_MEM_SLOTS the specification allows eight.
inline constexpr size_t kMaxMemoryRegions = 8;
// QEMU gives 1024 on virtio-mmio, 128 on PCI.
inline constexpr uint32_t kMaxQueueSize = 1024;
inline constexpr std::chrono::seconds kVhostDialTimeout{10};
// For the few bytes of a reply to a hypervisor that does not read them.
inline constexpr std::chrono::seconds kVhostReplyTimeout{5};

// --- rings ---
// Linux uses 2 descriptors a packet, with MSG_ZEROCOPY up to 47 (header and MAX_SKB_FRAGS).
inline constexpr size_t kMaxChainSegments = 64;
// Chains handled in one pass before other events have their turn.
inline constexpr int kChainsPerPass = 256;

// --- connections ---
//
// The agent takes 1024 forwarded connections beside 256 others (docs/protocol.md), and those that
// the guest dials have their own.
inline constexpr size_t kMaxConnections = 1791;
// Connections that the guest dialled are held below the total, so that a guest cannot lock the host
// out.
inline constexpr size_t kMaxGuestDialled = 511;
// What a guest may send ahead of a slow host client, by connection. The first kMaxLargeWindows get
// the large window, the rest the small one.
inline constexpr uint32_t kLargeWindowBytes = 256 * 1024;
inline constexpr uint32_t kSmallWindowBytes = 40 * 1024;
inline constexpr size_t kMaxLargeWindows = 128;
// RSTs owed for packets that belong to no connection. One more is dropped: the guest's own timeout
// covers it.
inline constexpr size_t kMaxOwedResets = 256;
// Bytes taken from one host client before the next has its turn.
inline constexpr size_t kMaxPacketBytes = 64 * 1024;

// A host client's CONNECT, until the guest answers; also while the rings are stopped.
inline constexpr std::chrono::seconds kRequestTimeout{10};
// Both directions are shut; the guest should answer with RST.
inline constexpr std::chrono::seconds kCloseTimeout{10};
// One end is gone and the other is slow to take the last bytes.
inline constexpr std::chrono::minutes kOrphanTimeout{10};

// --- host clients ---
// "CONNECT 4294967294\n" has 19 bytes.
inline constexpr size_t kMaxConnectLineBytes = 32;
inline constexpr std::chrono::seconds kConnectLineTimeout{5};
// Clients that have connected and not yet said CONNECT.
inline constexpr size_t kMaxWaitingClients = 128;
inline constexpr int kListenBacklog = 128;

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_LIMITS_H_
