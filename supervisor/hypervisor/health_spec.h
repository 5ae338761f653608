// SPDX-License-Identifier: Apache-2.0
//
// "health" of a VM's spec: the checks that the host adds to those of the guest's init.toml, by
// name. The keys are those of [health.NAME] there, with times in milliseconds.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_HEALTH_SPEC_H_
#define BERTH_SUPERVISOR_HYPERVISOR_HEALTH_SPEC_H_

#include <nlohmann/json.hpp>
#include <vector>

#include "protocol/base/agent_settings.h"
#include "supervisor/hypervisor/bounded_json.h"

namespace berth {

std::vector<HealthCheck> HealthFromJson(const nlohmann::json& object, FieldMistakes& mistakes);
nlohmann::json ToJson(const std::vector<HealthCheck>& checks);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_HEALTH_SPEC_H_
