// SPDX-License-Identifier: Apache-2.0
//
// ExecChild: the program of a session, started with its pipes or its terminal.
#ifndef BERTH_AGENT_EXEC_CHILD_H_
#define BERTH_AGENT_EXEC_CHILD_H_

#include <sys/resource.h>

#include "agent/session_cgroups.h"
#include "protocol/base/result.h"
#include "protocol/base/spawn.h"
#include "protocol/base/unique_fd.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

// What every session gets unless its request says otherwise.
struct ExecDefaults {
  UniqueFd dev_null;
  rlimit open_files{};  // the agent's own limit before it raised it
};

struct ExecChild {
  Spawned process;  // leader of a session and process group of its own
  SessionCgroups::Lease cgroup;
  bool tty = false;
  // Ours do not block.
  UniqueFd input;   // write end of stdin; with a terminal its master; absent where stdin is closed
  UniqueFd output;  // read end of stdout; with a terminal another descriptor of its master
  UniqueFd error;   // read end of stderr; absent with a terminal
};

// `request` passed CheckExecStart. Returns once the program was exec'd. Error::step says what
// failed: user, group, groups, pty, pipe, or a step of Spawn.
Result<ExecChild> StartExec(const v1::ExecStart& request, const ExecDefaults& defaults,
                            SessionCgroups& cgroups);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EXEC_CHILD_H_
