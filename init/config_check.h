// SPDX-License-Identifier: Apache-2.0
//
// `berth-init --check FILE` and `--keys`: init.toml on any machine.
#ifndef BERTH_INIT_CONFIG_CHECK_H_
#define BERTH_INIT_CONFIG_CHECK_H_

namespace berth::init {

// Prints "FILE:LINE:COLUMN: KEY: what is wrong" for each mistake. The exit code: 0 where there is
// none, 1 where there are some, 2 where the file cannot be read. "-" is the standard input.
int CheckConfig(const char* file);

int PrintConfigKeys();

}  // namespace berth::init

#endif  // BERTH_INIT_CONFIG_CHECK_H_
