// SPDX-License-Identifier: Apache-2.0
//
// The guest's RAM as this process sees it: a few regions, each known by its guest-physical address
// (what rings hold), by its address in the hypervisor (what vhost-user says ring addresses in) and
// by ours.
//
// Regions come from the hypervisor as descriptors and are mapped whole; a test gives a span
// instead. Nothing is reached but through the bounds checks here. One thread; the device owns it
// and replaces it whole.
#ifndef BERTH_SUPERVISOR_VSOCK_GUEST_MEMORY_H_
#define BERTH_SUPERVISOR_VSOCK_GUEST_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::vsock {

// One mmap(2), unmapped with its owner.
class Mapping {
 public:
  Mapping() = default;
  Mapping(std::byte* base, size_t bytes) : base_(base), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept { *this = std::move(other); }
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  std::byte* base() const { return base_; }

 private:
  std::byte* base_ = nullptr;
  size_t bytes_ = 0;
};

// A region as VHOST_USER_SET_MEM_TABLE describes it (same layout and order).
struct RegionSpec {
  uint64_t guest_address;
  uint64_t bytes;
  uint64_t user_address;  // in the hypervisor's address space
  uint64_t mmap_offset;   // where in the descriptor the region starts
};

class GuestMemory {
 public:
  GuestMemory() = default;

  // Maps regions[i] from fds[i]. Refuses more than kMaxMemoryRegions, regions that overlap or wrap,
  // and a descriptor that is shorter than its region: touching what lies past its end would raise
  // SIGBUS.
  static Result<GuestMemory> Map(std::span<const RegionSpec> regions,
                                 std::span<const UniqueFd> fds);

  // RAM that somebody else owns, at one address in all three views' first two.
  static GuestMemory Over(std::span<std::byte> ram, uint64_t guest_address);

  // The `bytes` at a guest-physical address, or nullptr unless all of them lie in one region.
  std::byte* At(uint64_t guest_address, uint64_t bytes) const;
  // The same for an address in the hypervisor.
  std::byte* AtUser(uint64_t user_address, uint64_t bytes) const;
  // The longest run from `guest_address` within its region, at most `bytes`; empty where no region
  // has it. A buffer that spans two regions is two runs.
  std::span<std::byte> Run(uint64_t guest_address, uint64_t bytes) const;

  bool empty() const { return regions_.empty(); }

 private:
  struct Region {
    uint64_t guest_address;
    uint64_t bytes;
    uint64_t user_address;
    std::byte* host;
    Mapping mapping;  // empty for memory that somebody else owns
  };

  Result<> CheckDisjoint() const;

  std::vector<Region> regions_;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_GUEST_MEMORY_H_
