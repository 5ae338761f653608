// SPDX-License-Identifier: Apache-2.0
//
// What the host's Configure may change in services that are already known: those that wait for it
// take their new settings; the shape of the whole (which there are, in what order, on which
// sockets) is the image's.
#ifndef BERTH_INIT_SERVICE_CONFIGURE_H_
#define BERTH_INIT_SERVICE_CONFIGURE_H_

#include "init/config.h"
#include "protocol/base/result.h"

namespace berth::init {

// EINVAL where `fresh` asks for what TakeConfigured would not give it: nothing of it is left out in
// silence.
Result<> CheckConfigured(const Config& config, const Config& fresh);

// Changes `config` in place, for ServiceGraph keeps pointers to its services: their settings, and
// all that is read when it is used (environment, shutdown, log, health, time). `fresh` has been
// checked.
void TakeConfigured(Config& config, Config fresh);

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_CONFIGURE_H_
