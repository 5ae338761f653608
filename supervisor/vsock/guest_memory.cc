// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/guest_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "supervisor/vsock/limits.h"

namespace berth::vsock {

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (base_ != nullptr) munmap(base_, bytes_);
}

namespace {

bool Wraps(uint64_t address, uint64_t bytes) {
  return bytes == 0 || address > std::numeric_limits<uint64_t>::max() - bytes;
}

bool Overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

Result<Mapping> MapRegion(const RegionSpec& region, int fd) {
  if (Wraps(region.guest_address, region.bytes) || Wraps(region.user_address, region.bytes) ||
      Wraps(region.mmap_offset, region.bytes)) {
    return Fail("map-region", EINVAL, "a memory region is empty or wraps around");
  }
  const uint64_t end = region.mmap_offset + region.bytes;
  struct stat file{};
  if (fstat(fd, &file) != 0) return ErrnoError("map-region", "fstat of a memory region");
  if (file.st_size < 0 || end > static_cast<uint64_t>(file.st_size)) {
    return Fail("map-region", EINVAL, "a memory region is longer than its file");
  }
  // From the file's start, as an offset may not be a multiple of a huge page. Costs address space
  // only.
  void* base = mmap(nullptr, end, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (base == MAP_FAILED) return ErrnoError("map-region", "mmap of a memory region");
  Mapping mapping(static_cast<std::byte*>(base), end);
  // A core of this process must not hold the guest's memory.
  madvise(base, end, MADV_DONTDUMP);
  return mapping;
}

}  // namespace

Result<GuestMemory> GuestMemory::Map(std::span<const RegionSpec> regions,
                                     std::span<const UniqueFd> fds) {
  if (regions.empty() || regions.size() > kMaxMemoryRegions || regions.size() != fds.size()) {
    return Fail("map-memory", EINVAL,
                std::to_string(regions.size()) + " memory regions with " +
                    std::to_string(fds.size()) + " descriptors");
  }
  GuestMemory memory;
  for (size_t i = 0; i < regions.size(); ++i) {
    const RegionSpec& spec = regions[i];
    BERTH_ASSIGN(Mapping mapping, MapRegion(spec, fds[i].get()));
    std::byte* host = mapping.base() + spec.mmap_offset;
    memory.regions_.push_back(
        Region{spec.guest_address, spec.bytes, spec.user_address, host, std::move(mapping)});
  }
  BERTH_TRY(memory.CheckDisjoint());
  return memory;
}

GuestMemory GuestMemory::Over(std::span<std::byte> ram, uint64_t guest_address) {
  GuestMemory memory;
  memory.regions_.push_back(
      Region{guest_address, ram.size(), guest_address, ram.data(), Mapping()});
  return memory;
}

Result<> GuestMemory::CheckDisjoint() const {
  for (size_t i = 0; i < regions_.size(); ++i) {
    for (size_t j = i + 1; j < regions_.size(); ++j) {
      const Region& a = regions_[i];
      const Region& b = regions_[j];
      if (Overlap(a.guest_address, a.bytes, b.guest_address, b.bytes) ||
          Overlap(a.user_address, a.bytes, b.user_address, b.bytes)) {
        return Fail("map-memory", EINVAL, "two memory regions overlap");
      }
    }
  }
  return {};
}

std::span<std::byte> GuestMemory::Run(uint64_t guest_address, uint64_t bytes) const {
  for (const Region& region : regions_) {
    if (guest_address < region.guest_address) continue;
    const uint64_t offset = guest_address - region.guest_address;
    if (offset >= region.bytes) continue;
    return {region.host + offset, std::min(bytes, region.bytes - offset)};
  }
  return {};
}

std::byte* GuestMemory::At(uint64_t guest_address, uint64_t bytes) const {
  const std::span<std::byte> run = Run(guest_address, bytes);
  return run.empty() || run.size() < bytes ? nullptr : run.data();
}

std::byte* GuestMemory::AtUser(uint64_t user_address, uint64_t bytes) const {
  for (const Region& region : regions_) {
    if (user_address < region.user_address) continue;
    const uint64_t offset = user_address - region.user_address;
    if (offset >= region.bytes || bytes > region.bytes - offset) continue;
    return region.host + offset;
  }
  return nullptr;
}

}  // namespace berth::vsock
