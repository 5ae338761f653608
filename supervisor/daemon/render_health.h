// SPDX-License-Identifier: Apache-2.0
//
// The health of a VM as the API shows it. What the guest claims is made printable here.
#ifndef BERTH_SUPERVISOR_DAEMON_RENDER_HEALTH_H_
#define BERTH_SUPERVISOR_DAEMON_RENDER_HEALTH_H_

#include <nlohmann/json.hpp>
#include <string>

#include "supervisor/lifecycle/instance.h"

namespace berth::daemon {

// "healthy", "unhealthy", "unknown"; "-" of one that has no checks. A lost agent is unhealthy.
std::string HealthWord(const lifecycle::Instance::View& view);

// A row for each check of an answer that passed guest::CheckHealthReply, and the guest's clock.
nlohmann::json HealthJson(const v1::HealthReply& reply);
// What is known without asking.
nlohmann::json HealthJson(const lifecycle::GuestHealth& health);

nlohmann::json ClockJson(const lifecycle::ClockReport& report);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_RENDER_HEALTH_H_
