// SPDX-License-Identifier: Apache-2.0
//
// Who keeps a file system busy, for the console line of an unmount that failed.
#ifndef BERTH_INIT_HOLDERS_H_
#define BERTH_INIT_HOLDERS_H_

#include <string>
#include <string_view>

namespace berth::init {

inline constexpr int kMaxHoldersNamed = 8;

// "postgres (412), sh (413)": processes with a file, a working directory, a root or a program below
// `path`. Empty where none is seen: then a kernel user (a loop device, swap, another mount) holds
// it.
std::string HoldersOf(std::string_view path);

}  // namespace berth::init

#endif  // BERTH_INIT_HOLDERS_H_
