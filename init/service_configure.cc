// SPDX-License-Identifier: Apache-2.0
#include "init/service_configure.h"

#include <algorithm>
#include <utility>

namespace berth::init {
namespace {

// The first key in which it is not as the image has it, and has to be; nullptr: none.
const char* FixedKeyThatDiffers(const ServiceConfig& service, const ServiceConfig& fresh) {
  if (service.after != fresh.after) return "after";
  if (service.requires_ != fresh.requires_) return "requires";
  if (service.sockets != fresh.sockets) return "sockets";
  if (service.on_demand != fresh.on_demand || service.enabled != fresh.enabled) return "start";
  if (service.ready.notify != fresh.ready.notify) return "ready";
  if (service.main != fresh.main) return "main";
  if (!fresh.wait_for_configure) return "wait_for_configure";
  return nullptr;
}

}  // namespace

Result<> CheckConfigured(const Config& config, const Config& fresh) {
  for (const ServiceConfig& each : fresh.services) {
    const auto service = std::ranges::find(config.services, each.name, &ServiceConfig::name);
    if (service == config.services.end()) {
      return Fail("configure", EINVAL, "the image has no service \"" + each.name + "\"",
                  "the host configures services, it does not add any");
    }
    if (!service->wait_for_configure && each != *service) {
      return Fail("configure", EINVAL,
                  "service." + each.name + " does not wait for the host's configuration",
                  "the image says so with wait_for_configure = true");
    }
    if (!service->wait_for_configure) continue;
    if (const char* key = FixedKeyThatDiffers(*service, each)) {
      return Fail("configure", EINVAL,
                  "service." + each.name + "." + key + " is the image's alone to say");
    }
  }
  return {};
}

void TakeConfigured(Config& config, Config fresh) {
  config.environment = std::move(fresh.environment);
  config.shutdown = fresh.shutdown;
  config.log = fresh.log;
  config.checks = std::move(fresh.checks);
  config.time = fresh.time;
  for (ServiceConfig& service : config.services) {
    const auto found = std::ranges::find(fresh.services, service.name, &ServiceConfig::name);
    if (found != fresh.services.end()) service = std::move(*found);
  }
}

}  // namespace berth::init
