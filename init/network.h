// SPDX-License-Identifier: Apache-2.0
//
// The guest's network as init.toml has it: names, loopback, interfaces with their addresses and
// routes, resolv.conf and hosts. What fails is said with the interface and the value that failed.
#ifndef BERTH_INIT_NETWORK_H_
#define BERTH_INIT_NETWORK_H_

#include <string>
#include <vector>

#include "init/config.h"
#include "init/uevent.h"
#include "protocol/base/result.h"

namespace berth::init {

// `wanted`, else the first word of /etc/hostname, else "localhost".
Result<> SetHostname(const std::string& wanted);

// Sets "lo" up; the kernel then gives it 127.0.0.1 and ::1.
Result<> BringLoopbackUp();

// Waits for each interface to appear and sets it up. An error ends it where the interface is
// `fatal`, else it is a warning; /etc/resolv.conf and /etc/hosts are written in any case.
Result<> SetNetworkUp(const NetworkConfig& config, UeventSocket& uevents);

// The DHCP clients that the interfaces ask for, as services: "dhcp-eth0", kept running.
std::vector<ServiceConfig> DhcpServices(const NetworkConfig& config);

// The files' texts; pure. A hosts file names localhost and the guest itself, too.
std::string ResolvConf(const NetworkConfig& config);
std::string HostsFile(const NetworkConfig& config, const std::string& hostname);

}  // namespace berth::init

#endif  // BERTH_INIT_NETWORK_H_
