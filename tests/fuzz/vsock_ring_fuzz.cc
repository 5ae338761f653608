// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: rings and packets. The input is a script of what a hostile guest and its host
// clients do, over a fake driver's RAM: well-formed chains with wild packets, wild descriptors,
// plain scribbling over the rings, clients that come, write, half-close and leave, time that
// passes, rings that stop and go on.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/device.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/fake_driver.h"
#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/muxer.h"

namespace berth::vsock {
namespace {

constexpr uint64_t kCid = 3;
constexpr size_t kMaxSteps = 200;
constexpr size_t kMaxClients = 16;

class Script {
 public:
  Script(const uint8_t* data, size_t size)
      : input_(data, size),
        loop_(EventLoop::Create().value()),
        muxer_(
            loop_.get(), &pairs_, [this](uint32_t port) { return Accept(port); }, kCid, 0),
        device_(&muxer_),
        driver_(input_.ConsumeBool(), input_.ConsumeBool()) {}

  void Run() {
    device_.SetFeatures(driver_.LayoutOf(kRxRing).event_idx ? kDeviceFeatures : kFeatureVersion1);
    if (!device_.SetMemory(driver_.Memory())) abort();
    Start(0, 0);
    for (size_t step = 0; step < kMaxSteps && input_.remaining_bytes() > 0; ++step) Step();
    // However it went: a driver that starts anew finds a device without connections.
    device_.ring(kRxRing).Stop();
    device_.ring(kTxRing).Stop();
    muxer_.DropAll();
    if (muxer_.connections() != 0 || muxer_.HasPacket() || muxer_.NextDeadline()) abort();
  }

 private:
  UniqueFd Pair() {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) abort();
    if (clients_.size() >= kMaxClients) clients_.erase(clients_.begin());
    clients_.emplace_back(fds[1]);
    return UniqueFd(fds[0]);
  }
  UniqueFd Accept(uint32_t port) { return port % 2 == 0 ? Pair() : UniqueFd(); }

  void Start(uint16_t rx_base, uint16_t tx_base) {
    for (const uint32_t index : {kRxRing, kTxRing}) {
      const Virtqueue::Layout layout = driver_.LayoutOf(index);
      Ring& ring = device_.ring(index);
      ring.Stop();
      if (!ring.SetSize(layout.size)) abort();
      if (!ring.SetAddresses(layout.descriptors, layout.available, layout.used)) abort();
      if (!device_.SetRingBase(index, index == kRxRing ? rx_base : tx_base)) abort();
      if (!device_.StartRing(index)) abort();
      ring.Enable(true);
    }
  }

  void Turn() {
    if (!loop_->Poll(TimePoint())) abort();
    muxer_.Expire(now_);
    device_.Work(now_);
    if (muxer_.connections() > kMaxConnections) abort();
  }

  PacketHeader Header() {
    PacketHeader header;
    header.src_cid = input_.ConsumeIntegralInRange<uint8_t>(0, 20) == 0 ? 9 : kCid;
    header.dst_cid = input_.ConsumeIntegralInRange<uint8_t>(0, 20) == 0 ? 9 : kHostCid;
    // Ports that hit what exists: the guest's own dials, or the host's.
    header.src_port = input_.ConsumeIntegralInRange<uint32_t>(0, 3);
    header.dst_port = input_.ConsumeBool() ? input_.ConsumeIntegralInRange<uint32_t>(0, 3)
                                           : (1U << 30) + input_.ConsumeIntegral<uint8_t>() % 8;
    header.type = input_.ConsumeIntegralInRange<uint8_t>(0, 20) == 0 ? 2 : kTypeStream;
    header.op = static_cast<Op>(input_.ConsumeIntegralInRange<uint16_t>(0, 9));
    header.flags = input_.ConsumeIntegralInRange<uint32_t>(0, 4);
    header.buf_alloc = input_.ConsumeBool() ? 65536 : input_.ConsumeIntegral<uint32_t>();
    header.fwd_cnt = input_.ConsumeBool() ? 0 : input_.ConsumeIntegral<uint32_t>();
    return header;
  }

  void Step() {
    switch (input_.ConsumeIntegralInRange<uint8_t>(0, 11)) {
      case 0:
      case 1: {
        PacketHeader header = Header();
        const std::string payload(input_.ConsumeIntegralInRange<size_t>(0, 8000), 'p');
        header.len = input_.ConsumeIntegralInRange<uint8_t>(0, 20) == 0
                         ? input_.ConsumeIntegral<uint32_t>()
                         : static_cast<uint32_t>(payload.size());
        driver_.Send(header, payload,
                     input_.PickValueInArray({FakeDriver::Shape::kOne, FakeDriver::Shape::kApart,
                                              FakeDriver::Shape::kIndirect}));
        return Turn();
      }
      case 2:
        driver_.AddRx(input_.ConsumeIntegralInRange<size_t>(0, 32));
        return Turn();
      case 3:
        muxer_.DialGuest(Pair(), input_.ConsumeIntegralInRange<uint32_t>(0, 3), now_);
        return Turn();
      case 4: {  // a wild descriptor
        const uint32_t ring = input_.ConsumeIntegralInRange<uint32_t>(0, 1);
        const size_t slot = input_.ConsumeIntegralInRange<size_t>(0, FakeDriver::kQueueSize - 1);
        auto& descriptor = input_.ConsumeBool() ? driver_.descriptor(ring, slot)
                                                : driver_.indirect(ring, slot, slot % 4);
        descriptor.address = input_.ConsumeBool()
                                 ? FakeDriver::kRamAddress +
                                       input_.ConsumeIntegral<uint32_t>() % FakeDriver::kRamBytes
                                 : input_.ConsumeIntegral<uint64_t>();
        descriptor.bytes = input_.ConsumeIntegral<uint32_t>();
        descriptor.flags = input_.ConsumeIntegral<uint16_t>();
        descriptor.next = input_.ConsumeIntegralInRange<uint16_t>(0, FakeDriver::kQueueSize);
        return;
      }
      case 5: {  // scribbling over the rings
        const std::string bytes = input_.ConsumeRandomLengthString(64);
        const size_t at = input_.ConsumeIntegralInRange<size_t>(0, 0x20000);
        std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(driver_.ram().data()) + at);
        return Turn();
      }
      case 6: {
        const uint32_t ring = input_.ConsumeIntegralInRange<uint32_t>(0, 1);
        driver_.available_index(ring) = static_cast<uint16_t>(driver_.available_index(ring) +
                                                              input_.ConsumeIntegral<uint8_t>());
        return Turn();
      }
      case 7: {  // a client writes, and reads what there is
        if (clients_.empty()) return;
        const UniqueFd& client =
            clients_[input_.ConsumeIntegralInRange<size_t>(0, clients_.size() - 1)];
        const std::string data(input_.ConsumeIntegralInRange<size_t>(0, 20000), 'c');
        if (send(client.get(), data.data(), data.size(), MSG_NOSIGNAL) < 0) {
          char buffer[65536];
          while (read(client.get(), buffer, sizeof(buffer)) > 0) {
          }
        }
        return Turn();
      }
      case 8: {
        if (clients_.empty()) return;
        const size_t index = input_.ConsumeIntegralInRange<size_t>(0, clients_.size() - 1);
        const auto how = input_.ConsumeIntegralInRange<int>(0, 3);
        if (how == 3) {
          clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(index));
        } else {
          shutdown(clients_[index].get(), how);
        }
        return Turn();
      }
      case 9:
        now_ += std::chrono::seconds(input_.ConsumeIntegral<uint16_t>() % 1000);
        return Turn();
      case 10: {  // stop and cont, or a reset
        const uint16_t rx = device_.ring(kRxRing).Stop();
        const uint16_t tx = device_.ring(kTxRing).Stop();
        if (input_.ConsumeBool()) {
          Start(rx, tx);
        } else {
          driver_.Reset();
          Start(0, 0);
          if (rx != 0 && muxer_.connections() != 0) abort();
        }
        return Turn();
      }
      default:
        driver_.used_event(kRxRing) = input_.ConsumeIntegral<uint16_t>();
        driver_.available_flags(kTxRing) = input_.ConsumeIntegral<uint16_t>();
        device_.ring(kRxRing).Enable(input_.ConsumeBool());
        return Turn();
    }
  }

  FuzzedDataProvider input_;
  TimePoint now_ = std::chrono::steady_clock::now();
  std::unique_ptr<EventLoop> loop_;
  std::vector<UniqueFd> clients_;
  PairTable pairs_ = PairTable::Map(UniqueFd()).value();
  Muxer muxer_;
  Device device_;
  FakeDriver driver_;
};

}  // namespace
}  // namespace berth::vsock

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  berth::vsock::Script(data, size).Run();
  return 0;
}
