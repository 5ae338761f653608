// SPDX-License-Identifier: Apache-2.0
//
// What a guest says of its services, as the API shows it: printable, times in ms. Pure functions;
// any thread.
#ifndef BERTH_SUPERVISOR_DAEMON_RENDER_SERVICE_H_
#define BERTH_SUPERVISOR_DAEMON_RENDER_SERVICE_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "protocol/proto/berth.pb.h"

namespace berth::daemon {

// "ls", "status", "start", "stop", "restart", "reload".
std::optional<v1::ServiceCall::Verb> ServiceVerbNamed(std::string_view name);

// {services: [{name, state, health, pid, restarts, …}], guest_ms}.
nlohmann::json ServicesJson(const v1::ServiceReply& reply);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_RENDER_SERVICE_H_
