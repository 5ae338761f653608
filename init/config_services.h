// SPDX-License-Identifier: Apache-2.0
//
// What services mean together: who waits for whom, who ends the machine, who listens where.
#ifndef BERTH_INIT_CONFIG_SERVICES_H_
#define BERTH_INIT_CONFIG_SERVICES_H_

#include <vector>

#include "init/config_reader.h"

namespace berth::init {

// Says what is wrong among them, marks those that it is wrong with, and puts all into an order that
// `after` and `requires` admit: the file's where they leave a choice. `node` is the table
// [service]; nullptr: there is none.
void CheckServices(ConfigReader& reader, const ConfigNode* node,
                   std::vector<ServiceConfig>& services);

}  // namespace berth::init

#endif  // BERTH_INIT_CONFIG_SERVICES_H_
