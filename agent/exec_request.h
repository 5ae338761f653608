// SPDX-License-Identifier: Apache-2.0
//
// What the host may ask for in an ExecStart, checked before anything is done for it, and the
// environment that a session starts with. Pure functions; any thread.
#ifndef BERTH_AGENT_EXEC_REQUEST_H_
#define BERTH_AGENT_EXEC_REQUEST_H_

#include <string>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/users.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

// Every bound of protocol/wire/limits.h that concerns an ExecStart. Error::step is request; EINVAL
// or E2BIG.
Result<> CheckExecStart(const v1::ExecStart& request);

// "NAME=value" strings: the agent's defaults for `account`, and over them those of the request, of
// which the last one of a name wins.
std::vector<std::string> SessionEnvironment(const v1::ExecStart& request, const Account& account);

// The value of PATH in such an environment; empty where it has none.
std::string SearchPath(const std::vector<std::string>& environment);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EXEC_REQUEST_H_
