// SPDX-License-Identifier: Apache-2.0
//
// BareVm: a guest with no berthd behind it, for what happens where the host is silent. Its console
// is QEMU's standard output. Killed and cleaned up with the object.
#ifndef BERTH_TESTS_E2E_BARE_VM_H_
#define BERTH_TESTS_E2E_BARE_VM_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/process.h"

namespace berth::e2e {

class BareVm {
 public:
  enum class Vsock {
    kNone,           // the machine has no such device
    kNobodyListens,  // it has one, and connections to the host are refused
  };

  // Boots `image`, a folder with an image.json, as microvm, with `more` for QEMU.
  BareVm(const std::string& image, Vsock vsock, const std::vector<std::string>& more = {});
  BareVm(const BareVm&) = delete;
  BareVm& operator=(const BareVm&) = delete;
  ~BareVm();

  Process& qemu() { return *qemu_; }
  // Connections to the guest: docs/vsock.md.
  std::string vsock_path() const { return dir_ + "/vsock.sock"; }
  // What a PC's power button does: ACPI tells the guest, nobody else asks it. By QMP.
  void PressPowerButton();

 private:
  std::string dir_;
  std::unique_ptr<Process> device_;
  std::unique_ptr<Process> qemu_;
};

}  // namespace berth::e2e

#endif  // BERTH_TESTS_E2E_BARE_VM_H_
