// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/settle.h"

#include <spdlog/spdlog.h>

namespace berth::lifecycle {

boost::asio::awaitable<bool> Settle(VmPtr vm, Event event, Body next, std::string why) {
  const Deadline deadline = Deadline::In(kRecordTimeout);
  for (;;) {
    const auto moved = vm->Apply(event, next, why);
    if (moved) co_return true;
    spdlog::error("{}: '{}' was not recorded: {}", vm->name(), Name(event),
                  moved.error().Message());
    if (deadline.Passed() || !Next(vm->state(), event)) co_return false;
    const Deadline again = Deadline::In(kRecordRetry);
    while (!again.Passed()) co_await vm->changed().Wait(again);
  }
}

}  // namespace berth::lifecycle
