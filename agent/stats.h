// SPDX-License-Identifier: Apache-2.0
//
// What the guest does with its processors, memory, disks and networks: the kernel's counters as a
// StatsReply. Runs on the agent's thread, and gives others their turn between the rows; it reads
// files of the kernel's own and asks only file systems of block devices for their size, since
// others may hang.
#ifndef BERTH_AGENT_STATS_H_
#define BERTH_AGENT_STATS_H_

#include <boost/asio/awaitable.hpp>
#include <string>

#include "protocol/base/control.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

struct StatsSources {
  std::string proc = "/proc";
  // Of services, and of exec sessions; a folder that is missing has no groups.
  std::string services = "/sys/fs/cgroup/berth";
  std::string sessions = std::string(kCgroupRoot) + "/" + kSessionsCgroup;
};

boost::asio::awaitable<v1::StatsReply> CollectStats(boost::asio::any_io_executor executor,
                                                    StatsSources sources);

}  // namespace berth::agent

#endif  // BERTH_AGENT_STATS_H_
