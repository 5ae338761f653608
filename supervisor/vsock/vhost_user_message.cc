// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/vhost_user_message.h"

#include <array>
#include <string>

#include "supervisor/vsock/guest_memory.h"
#include "supervisor/vsock/limits.h"

namespace berth::vsock {

namespace {

struct Shape {
  Request request;
  const char* name;
  size_t min_bytes;
  size_t max_bytes;
  size_t max_fds;
};

constexpr size_t kU64 = sizeof(uint64_t);
constexpr size_t kMemTableMin = sizeof(MemTableHeader);
constexpr size_t kMemTableMax = sizeof(MemTableHeader) + kMaxMemoryRegions * sizeof(RegionSpec);

constexpr std::array kShapes = {
    // clang-format off
    Shape{Request::kGetFeatures,         "GET_FEATURES",          0, 0, 0},
    Shape{Request::kSetFeatures,         "SET_FEATURES",          kU64, kU64, 0},
    Shape{Request::kSetOwner,            "SET_OWNER",             0, 0, 0},
    Shape{Request::kSetMemTable,         "SET_MEM_TABLE",         kMemTableMin, kMemTableMax, kMaxMemoryRegions},
    Shape{Request::kSetVringNum,         "SET_VRING_NUM",         sizeof(VringState), sizeof(VringState), 0},
    Shape{Request::kSetVringAddr,        "SET_VRING_ADDR",        sizeof(VringAddresses), sizeof(VringAddresses), 0},
    Shape{Request::kSetVringBase,        "SET_VRING_BASE",        sizeof(VringState), sizeof(VringState), 0},
    Shape{Request::kGetVringBase,        "GET_VRING_BASE",        sizeof(VringState), sizeof(VringState), 0},
    Shape{Request::kSetVringKick,        "SET_VRING_KICK",        kU64, kU64, 1},
    Shape{Request::kSetVringCall,        "SET_VRING_CALL",        kU64, kU64, 1},
    Shape{Request::kSetVringErr,         "SET_VRING_ERR",         kU64, kU64, 1},
    Shape{Request::kGetProtocolFeatures, "GET_PROTOCOL_FEATURES", 0, 0, 0},
    Shape{Request::kSetProtocolFeatures, "SET_PROTOCOL_FEATURES", kU64, kU64, 0},
    Shape{Request::kSetVringEnable,      "SET_VRING_ENABLE",      sizeof(VringState), sizeof(VringState), 0},
    Shape{Request::kGetConfig,           "GET_CONFIG",            sizeof(ConfigHeader), kMaxVhostPayloadBytes, 0},
    // clang-format on
};
static_assert(kMemTableMax <= kMaxVhostPayloadBytes);

const Shape* Find(uint32_t request) {
  for (const Shape& shape : kShapes) {
    if (static_cast<uint32_t>(shape.request) == request) return &shape;
  }
  return nullptr;
}

}  // namespace

std::string RequestName(uint32_t request) {
  const Shape* shape = Find(request);
  return shape != nullptr ? shape->name : "request " + std::to_string(request);
}

Result<> CheckHeader(const MessageHeader& header) {
  if ((header.flags & kVhostVersionMask) != kVhostVersion || (header.flags & kVhostReply) != 0) {
    return Fail("vhost-user-header", EPROTO,
                RequestName(header.request) + " with flags " + std::to_string(header.flags));
  }
  if (header.payload_bytes > kMaxVhostPayloadBytes) {
    return Fail(
        "vhost-user-header", EMSGSIZE,
        RequestName(header.request) + " of " + std::to_string(header.payload_bytes) + " bytes");
  }
  return {};
}

Result<> CheckMessage(const Message& message) {
  const Shape* shape = Find(message.header.request);
  if (shape == nullptr) {
    return Fail("vhost-user-message", ENOTSUP, RequestName(message.header.request));
  }
  const size_t bytes = message.payload.size();
  if (bytes < shape->min_bytes || bytes > shape->max_bytes) {
    return Fail("vhost-user-message", EPROTO,
                std::string(shape->name) + " of " + std::to_string(bytes) + " bytes");
  }
  if (message.fds.size() > shape->max_fds) {
    return Fail(
        "vhost-user-message", EPROTO,
        std::string(shape->name) + " with " + std::to_string(message.fds.size()) + " descriptors");
  }
  return {};
}

}  // namespace berth::vsock
