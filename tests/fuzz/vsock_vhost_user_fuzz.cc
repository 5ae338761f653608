// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: vhost-user messages, as a hostile hypervisor sends them. The input is a script of
// messages: for each the request, flags, payload and how many descriptors (eventfds and small
// memfds) go with it; and now and then raw bytes.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/device.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/fake_frontend.h"
#include "supervisor/vsock/muxer.h"
#include "supervisor/vsock/vhost_user_backend.h"

namespace berth::vsock {
namespace {

constexpr uint64_t kRamBytes = 256 * 1024;
constexpr uint64_t kUserBase = 0x7f0000000000;

class Script {
 public:
  Script(const uint8_t* data, size_t size)
      : input_(data, size),
        loop_(EventLoop::Create().value()),
        muxer_(
            loop_.get(), &pairs_, [](uint32_t) { return UniqueFd(); }, 3, 0),
        device_(&muxer_),
        frontend_(UniqueFd()) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) abort();
    frontend_ = FakeFrontend(UniqueFd(fds[0]));
    backend_ = std::make_unique<VhostUserBackend>(loop_.get(), &device_, 3, UniqueFd(fds[1]));
    if (!backend_->Start()) abort();
    memory_.Reset(memfd_create("ram", MFD_CLOEXEC));
    // Rings at 0, 0x1000 and 0x2000 full of what the fuzzer likes.
    if (ftruncate(memory_.get(), kRamBytes) != 0) abort();
    const std::string content = input_.ConsumeRandomLengthString(4096);
    if (pwrite(memory_.get(), content.data(), content.size(), 0) < 0) abort();
    event_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }

  void Run() {
    for (int i = 0; i < 60 && input_.remaining_bytes() > 0; ++i) {
      Step();
      if (!loop_->Poll(TimePoint())) abort();
      device_.Work(std::chrono::steady_clock::now());
      while (frontend_.Reply()) {
      }
      // As main does.
      if (backend_->closed() || backend_->failure()) return;
    }
  }

 private:
  uint32_t Ring() { return input_.ConsumeIntegralInRange<uint32_t>(0, 2); }
  uint64_t Address() {
    return kUserBase + (input_.ConsumeBool()
                            ? input_.ConsumeIntegralInRange<uint64_t>(0, 4) * 0x1000
                            : input_.ConsumeIntegral<uint32_t>());
  }

  void Step() {
    switch (input_.ConsumeIntegralInRange<uint8_t>(0, 6)) {
      case 0: {  // anything with anything
        const std::string payload = input_.ConsumeRandomLengthString(600);
        std::vector<int> fds(input_.ConsumeIntegralInRange<size_t>(0, 8), event_.get());
        frontend_.Send(static_cast<Request>(input_.ConsumeIntegralInRange<uint32_t>(0, 45)),
                       std::as_bytes(std::span(payload)), fds, input_.ConsumeBool());
        return;
      }
      case 1: {
        const std::string raw = input_.ConsumeRandomLengthString(64);
        [[maybe_unused]] const ssize_t n =
            send(frontend_.fd(), raw.data(), raw.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
      }
      case 2: {
        struct {
          MemTableHeader header;
          RegionSpec region;
        } table{{1, 0}, {0, kRamBytes, kUserBase, 0}};
        if (input_.ConsumeBool()) table.region.bytes = input_.ConsumeIntegral<uint64_t>();
        if (input_.ConsumeBool()) table.region.mmap_offset = input_.ConsumeIntegral<uint64_t>();
        if (input_.ConsumeBool()) table.region.guest_address = input_.ConsumeIntegral<uint64_t>();
        const int fds[] = {memory_.get()};
        frontend_.Send(Request::kSetMemTable, table, fds, input_.ConsumeBool());
        return;
      }
      case 3: {
        const uint32_t index = Ring();
        frontend_.Send(Request::kSetVringNum,
                       VringState{index, 1U << input_.ConsumeIntegralInRange<uint32_t>(0, 12)});
        frontend_.Send(Request::kSetVringBase,
                       VringState{index, input_.ConsumeIntegral<uint16_t>()});
        frontend_.Send(Request::kSetVringAddr,
                       VringAddresses{index, 0, Address(), Address(), Address(), 0});
        const int fds[] = {event_.get()};
        frontend_.Send(Request::kSetVringKick, uint64_t{index}, fds);
        frontend_.Send(Request::kSetVringEnable, VringState{index, 1});
        return;
      }
      case 4:
        frontend_.Send(Request::kGetVringBase, VringState{Ring(), 0});
        return;
      case 5:
        frontend_.Send(Request::kSetFeatures, input_.ConsumeIntegral<uint64_t>());
        return;
      default: {  // the guest scribbles
        const std::string bytes = input_.ConsumeRandomLengthString(64);
        const auto at = input_.ConsumeIntegralInRange<off_t>(0, 0x5000);
        if (pwrite(memory_.get(), bytes.data(), bytes.size(), at) < 0) abort();
        return;
      }
    }
  }

  FuzzedDataProvider input_;
  std::unique_ptr<EventLoop> loop_;
  PairTable pairs_ = PairTable::Map(UniqueFd()).value();
  Muxer muxer_;
  Device device_;
  FakeFrontend frontend_;
  std::unique_ptr<VhostUserBackend> backend_;
  UniqueFd memory_;
  UniqueFd event_;
};

}  // namespace
}  // namespace berth::vsock

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  berth::vsock::Script(data, size).Run();
  return 0;
}
