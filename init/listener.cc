// SPDX-License-Identifier: Apache-2.0
#include "init/listener.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>  // needs <sys/socket.h> before it
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "protocol/base/control.h"

namespace berth::init {
namespace {

// Whole bursts of connections wait here: one beyond it is reset.
constexpr int kBacklog = 1024;

// Whether a transport to a host is there: VMADDR_CID_ANY is what the ioctl says where none is.
bool HasHost() {
  const UniqueFd device(open("/dev/vsock", O_RDONLY | O_CLOEXEC));
  unsigned cid = VMADDR_CID_ANY;
  return device && ioctl(device.get(), IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) == 0 &&
         cid != VMADDR_CID_ANY && cid > VMADDR_CID_HOST;
}

}  // namespace

Result<UniqueFd> OpenAgentListener(UeventSocket& uevents) {
  UniqueFd fd(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return ErrnoError("listener", "socket(AF_VSOCK)",
                      "the kernel has no vsock: put vmw_vsock_virtio_transport into the image's "
                      "modules.load, or build the kernel with CONFIG_VIRTIO_VSOCKETS=y");
  }
  if (!uevents.WaitUntil(HasHost, Deadline::In(kVsockDeviceWait))) {
    return Fail("listener", ENODEV, "the machine has no vsock device",
                "start the VM with one, and put its driver into the image's modules.load "
                "(vmw_vsock_virtio_transport)");
  }
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = kAgentVsockPort;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoError("listener", "bind to vsock port " + std::to_string(kAgentVsockPort));
  }
  if (listen(fd.get(), kBacklog) != 0) return ErrnoError("listener", "listen");
  return fd;
}

}  // namespace berth::init
