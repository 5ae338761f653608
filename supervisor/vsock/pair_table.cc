// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/pair_table.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::vsock {

namespace {

constexpr Step kStep = "pair-table";
constexpr const char* kHint = "--pairs-fd wants a memfd, and the host 28 KiB for it";

// Two ports of 0 would look like a free slot: a guest that uses them loses the reset, nothing else.
uint64_t Pack(Ports ports) { return uint64_t{ports.host} << 32 | ports.guest; }
Ports Unpack(uint64_t slot) {
  return {.host = static_cast<uint32_t>(slot >> 32), .guest = static_cast<uint32_t>(slot)};
}

}  // namespace

Result<PairTable> PairTable::Map(UniqueFd memory) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (memory) {
    flags = MAP_SHARED;
    struct stat status{};
    if (fstat(memory.get(), &status) != 0) return ErrnoError(kStep, "fstat", kHint);
    if (status.st_size != static_cast<off_t>(kBytes)) {
      // New, or of a release that had another layout.
      if (ftruncate(memory.get(), 0) != 0 || ftruncate(memory.get(), kBytes) != 0) {
        return ErrnoError(kStep, "ftruncate", kHint);
      }
    }
  }
  void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, flags, memory.get(), 0);
  if (at == MAP_FAILED) return ErrnoError(kStep, "mmap", kHint);
  return PairTable(std::span(static_cast<uint64_t*>(at), kSlots));
}

PairTable::PairTable(std::span<uint64_t> slots) : slots_(slots) {
  free_.reserve(kSlots);
  for (size_t slot = kSlots; slot-- > 0;) {
    const bool used = Slot(slots_[slot]).load(std::memory_order_relaxed) != 0;
    (used ? orphans_ : free_).push_back(slot);
  }
}

PairTable::~PairTable() {
  if (!slots_.empty()) munmap(slots_.data(), slots_.size_bytes());
}

PairTable::Hold PairTable::Add(Ports ports) {
  // Only beside more orphans than there can be connections; this pair is then not remembered.
  if (free_.empty()) return {};
  const size_t slot = free_.back();
  free_.pop_back();
  Slot(slots_[slot]).store(Pack(ports), std::memory_order_relaxed);
  return {this, slot};
}

void PairTable::Free(size_t slot) {
  Slot(slots_[slot]).store(0, std::memory_order_relaxed);
  free_.push_back(slot);
}

std::optional<Ports> PairTable::TakeOrphan() {
  if (orphans_.empty()) return std::nullopt;
  const size_t slot = orphans_.back();
  orphans_.pop_back();
  const Ports ports = Unpack(Slot(slots_[slot]).load(std::memory_order_relaxed));
  Free(slot);
  return ports;
}

void PairTable::ForgetOrphans() {
  while (TakeOrphan()) {
  }
}

}  // namespace berth::vsock
