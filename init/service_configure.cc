// SPDX-License-Identifier: Apache-2.0
#include "init/service_configure.h"

#include <algorithm>
#include <utility>

namespace berth::init {

Result<> TakeConfigured(Config& config, Config fresh) {
  for (const ServiceConfig& each : fresh.services) {
    if (std::ranges::find(config.services, each.name, &ServiceConfig::name) ==
        config.services.end()) {
      return Fail("configure", EINVAL, "the image has no service \"" + each.name + "\"",
                  "the host configures services, it does not add any");
    }
  }
  config.environment = std::move(fresh.environment);
  for (ServiceConfig& service : config.services) {
    if (!service.wait_for_configure) continue;
    const auto found = std::ranges::find(fresh.services, service.name, &ServiceConfig::name);
    if (found == fresh.services.end()) continue;
    ServiceConfig old = std::exchange(service, std::move(*found));
    service.name = std::move(old.name);
    service.after = std::move(old.after);
    service.requires_ = std::move(old.requires_);
    service.sockets = std::move(old.sockets);
    service.ready.notify = old.ready.notify;
    service.main = old.main;
    service.on_demand = old.on_demand;
    service.wait_for_configure = true;
  }
  return {};
}

}  // namespace berth::init
