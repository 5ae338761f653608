// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/kvm_guest.h"

#include <cerrno>
#include <cstring>

#ifdef __x86_64__

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>

#include "protocol/base/clock.h"

namespace berth {
namespace {

constexpr int kKvmApiVersion = 12;  // the only one that ever was
constexpr int kRuns = 5;
constexpr uint32_t kLoops = 4096;
constexpr uint64_t kLoopInstructions = 4;
constexpr uint64_t kOtherInstructions = 4;

constexpr size_t kMemoryBytes = 0x10000;
constexpr uint64_t kPml4At = 0x1000;
constexpr uint64_t kPdptAt = 0x2000;
constexpr uint64_t kPdAt = 0x3000;
constexpr uint64_t kCodeAt = 0x4000;
constexpr uint64_t kResultAt = 0x5000;

constexpr unsigned char kCode[] = {
    0x48, 0x31,          0xc0,                                       // xor rax, rax
    0xb9, kLoops & 0xff, kLoops >> 8, 0x00, 0x00,                    // mov ecx, kLoops
    0x48, 0x01,          0xc8,                                       // loop: add rax, rcx
    0x48, 0xc1,          0xc0,        0x05,                          //       rol rax, 5
    0xff, 0xc9,                                                      //       dec ecx
    0x75, 0xf5,                                                      //       jnz loop
    0x48, 0x89,          0x04,        0x25, 0x00, 0x50, 0x00, 0x00,  // mov [kResultAt], rax
    0xf4,                                                            // hlt
};
static_assert(kResultAt == 0x5000 && kLoops < 0x10000);

constexpr uint64_t Expected() {
  uint64_t sum = 0;
  for (uint64_t i = kLoops; i > 0; --i) sum = std::rotl(sum + i, 5);
  return sum;
}

void Store(unsigned char* memory, uint64_t at, uint64_t value) {
  std::memcpy(memory + at, &value, sizeof(value));
}

uint64_t Load(const unsigned char* memory, uint64_t at) {
  uint64_t value;
  std::memcpy(&value, memory + at, sizeof(value));
  return value;
}

// One 2 MiB page, identity-mapped. Intel SDM vol. 3, 4.5.
void BuildMemory(unsigned char* memory) {
  constexpr uint64_t kPresentWritable = 0x3;
  constexpr uint64_t kLarge = 0x80;
  Store(memory, kPml4At, kPdptAt | kPresentWritable);
  Store(memory, kPdptAt, kPdAt | kPresentWritable);
  Store(memory, kPdAt, 0 | kPresentWritable | kLarge);
  std::memcpy(memory + kCodeAt, kCode, sizeof(kCode));
}

// Straight into 64-bit long mode. Intel SDM vol. 3, 9.8.5.
void EnterLongMode(kvm_sregs& sregs) {
  kvm_segment code{};
  code.limit = 0xffffffff;
  code.selector = 1 << 3;
  code.present = 1;
  code.type = 11;  // execute, read, accessed
  code.s = 1;
  code.l = 1;
  code.g = 1;
  kvm_segment data = code;
  data.type = 3;  // read, write, accessed
  data.selector = 2 << 3;
  data.l = 0;
  data.db = 1;
  sregs.cs = code;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
  sregs.cr3 = kPml4At;
  sregs.cr4 = 1 << 5;                   // PAE
  sregs.cr0 = 0x80000000 | 0x10 | 0x1;  // PG, ET, PE
  sregs.efer = (1 << 8) | (1 << 10);    // LME, LMA
}

KvmGuestReport Failed(const char* step, int errnum) {
  KvmGuestReport report;
  std::strncpy(report.step, step, sizeof(report.step) - 1);
  report.errnum = errnum;
  return report;
}

KvmGuestReport RunVcpu(int vcpu, const kvm_run* run, unsigned char* memory) {
  KvmGuestReport report;
  report.instructions = KvmGuestInstructions();
  for (int i = 0; i < kRuns; ++i) {
    Store(memory, kResultAt, 0);
    kvm_sregs sregs;
    if (ioctl(vcpu, KVM_GET_SREGS, &sregs) != 0) return Failed("KVM_GET_SREGS", errno);
    EnterLongMode(sregs);
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) != 0) return Failed("KVM_SET_SREGS", errno);
    kvm_regs regs{};
    regs.rip = kCodeAt;
    regs.rflags = 0x2;  // the bit that is always one
    if (ioctl(vcpu, KVM_SET_REGS, &regs) != 0) return Failed("KVM_SET_REGS", errno);
    const int64_t begin = MonotonicNs();
    if (ioctl(vcpu, KVM_RUN, 0) != 0) return Failed("KVM_RUN", errno);
    const int64_t taken = MonotonicNs() - begin;
    if (run->exit_reason != KVM_EXIT_HLT) return Failed("guest", EPROTO);
    report.result_right = Load(memory, kResultAt) == Expected();
    if (!report.result_right) return report;
    if (i == 0 || taken < report.best_run_ns) report.best_run_ns = taken;
  }
  return report;
}

}  // namespace

uint64_t KvmGuestInstructions() { return kLoops * kLoopInstructions + kOtherInstructions; }

// Nothing is closed or unmapped: the child that runs this ends with it.
KvmGuestReport RunKvmGuest(const char* device) {
  const int kvm = open(device, O_RDWR | O_CLOEXEC);
  if (kvm < 0) return Failed("open", errno);
  const int version = ioctl(kvm, KVM_GET_API_VERSION, 0);
  if (version != kKvmApiVersion) return Failed("KVM_GET_API_VERSION", version < 0 ? errno : EPROTO);
  const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) return Failed("KVM_CREATE_VM", errno);
  // Older Intel CPUs want three pages for a TSS; others ignore it.
  ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
  void* mapped =
      mmap(nullptr, kMemoryBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return Failed("mmap", errno);
  auto* memory = static_cast<unsigned char*>(mapped);
  BuildMemory(memory);
  kvm_userspace_memory_region region{};
  region.memory_size = kMemoryBytes;
  region.userspace_addr = reinterpret_cast<uint64_t>(mapped);
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) != 0) {
    return Failed("KVM_SET_USER_MEMORY_REGION", errno);
  }
  const int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (vcpu < 0) return Failed("KVM_CREATE_VCPU", errno);
  const int run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (run_bytes < static_cast<int>(sizeof(kvm_run))) return Failed("KVM_GET_VCPU_MMAP_SIZE", errno);
  void* run =
      mmap(nullptr, static_cast<size_t>(run_bytes), PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  if (run == MAP_FAILED) return Failed("mmap", errno);
  return RunVcpu(vcpu, static_cast<const kvm_run*>(run), memory);
}

}  // namespace berth

#else

namespace berth {

uint64_t KvmGuestInstructions() { return 0; }

// The probe's guest is x86 code. Elsewhere KVM counts as absent, so that `auto` stays with TCG.
KvmGuestReport RunKvmGuest(const char*) {
  KvmGuestReport report;
  std::strncpy(report.step, "open", sizeof(report.step) - 1);
  report.errnum = ENOSYS;
  return report;
}

}  // namespace berth

#endif  // __x86_64__
