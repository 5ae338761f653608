// SPDX-License-Identifier: Apache-2.0
//
// PairTable: the pairs of ports that the guest may hold open, in memory that outlives this process.
//
// The shim makes the memory (a memfd) and hands the same to each device it starts for a VM. One
// that takes over from a device that died finds here what the guest still believes connected, and
// resets it: otherwise a program in the guest that only reads would wait for ever.
//
// One 64-bit slot a pair, 0 where free. A slot is written in one store, so death leaves it whole.
// What is read was written by a device of the same VM, as trusted as this one, and at worst resets
// what need not be. Owned by main, which keeps it longer than the Muxer; one thread.
#ifndef BERTH_SUPERVISOR_VSOCK_PAIR_TABLE_H_
#define BERTH_SUPERVISOR_VSOCK_PAIR_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/packet.h"

namespace berth::vsock {

class PairTable {
 public:
  // Room for as many again as there are connections: those that a device before this one left.
  static constexpr size_t kSlots = 2 * (kMaxConnections + 1);
  static constexpr size_t kBytes = kSlots * sizeof(uint64_t);

  // The guest may hold this pair for as long as this lives.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept
        : table_(std::exchange(other.table_, nullptr)), slot_(other.slot_) {}
    Hold& operator=(Hold&& other) noexcept {
      if (this != &other) {
        Reset();
        table_ = std::exchange(other.table_, nullptr);
        slot_ = other.slot_;
      }
      return *this;
    }
    ~Hold() { Reset(); }
    void Reset() {
      if (table_ != nullptr) std::exchange(table_, nullptr)->Free(slot_);
    }

   private:
    friend class PairTable;
    Hold(PairTable* table, size_t slot) : table_(table), slot_(slot) {}
    PairTable* table_ = nullptr;
    size_t slot_ = 0;
  };

  // Over the memory in `memory`, which gets its size here if it has none. Without a descriptor,
  // over memory of its own: nothing outlives the process then. Step "pair-table".
  static Result<PairTable> Map(UniqueFd memory);

  PairTable(PairTable&& other) noexcept
      : slots_(std::exchange(other.slots_, {})),
        free_(std::move(other.free_)),
        orphans_(std::move(other.orphans_)) {}
  PairTable& operator=(PairTable&&) = delete;
  ~PairTable();

  Hold Add(Ports ports);

  // What a device before this one left, one by one; gone from the table once asked for.
  bool HasOrphan() const { return !orphans_.empty(); }
  std::optional<Ports> TakeOrphan();
  // The guest has forgotten them by itself.
  void ForgetOrphans();

 private:
  using Slot = std::atomic_ref<uint64_t>;

  explicit PairTable(std::span<uint64_t> slots);
  void Free(size_t slot);

  std::span<uint64_t> slots_;
  std::vector<size_t> free_;
  std::vector<size_t> orphans_;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_PAIR_TABLE_H_
