// SPDX-License-Identifier: Apache-2.0
//
// The machine's ACPI power button: what a hypervisor presses to ask for a power-off where no agent
// can be asked (QEMU's system_powerdown). The kernel's button driver reports it over generic
// netlink, the family "acpi_event" of drivers/acpi/event.c; no input device is needed.
#ifndef BERTH_INIT_POWER_BUTTON_H_
#define BERTH_INIT_POWER_BUTTON_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

class PowerButton {
 public:
  // ENOENT where the kernel has no ACPI.
  static Result<PowerButton> Open();

  // Readable when something happened.
  int fd() const { return fd_.get(); }
  // Takes what is waiting. Whether the button was pressed.
  bool Pressed();

 private:
  explicit PowerButton(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Of the kernel's answer to CTRL_CMD_GETFAMILY: the multicast group of ACPI events. Pure.
std::optional<uint32_t> FindAcpiGroup(std::span<const std::byte> answer);
// Whether one netlink message tells of the power button. Pure.
bool IsPowerButton(std::span<const std::byte> message);

}  // namespace berth::init

#endif  // BERTH_INIT_POWER_BUTTON_H_
