// SPDX-License-Identifier: Apache-2.0
//
// The answer of compute.vm.health for people. Pure.
#ifndef BERTH_SUPERVISOR_CLI_HEALTH_VIEW_H_
#define BERTH_SUPERVISOR_CLI_HEALTH_VIEW_H_

#include <nlohmann/json.hpp>
#include <string>

namespace berth::cli {

// A row for each check; behind them, the output of those that are unhealthy.
std::string RenderHealth(const nlohmann::json& health, size_t width);

// Names and states alone: what --watch tells of.
std::string HealthStates(const nlohmann::json& health);

// "12.3 ms ahead (± 0.4 ms)".
std::string RenderClock(const nlohmann::json& clock);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_HEALTH_VIEW_H_
