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

// Changes `config` in place: ServiceGraph keeps pointers to its services. EINVAL, with nothing
// changed, where `fresh` has a service that `config` has not.
Result<> TakeConfigured(Config& config, Config fresh);

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_CONFIGURE_H_
