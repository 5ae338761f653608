// SPDX-License-Identifier: Apache-2.0
//
// Cancel: how a build hears that it is to end. Whatever takes as long as its input is big asks.
#ifndef BERTH_IMAGES_ROOTFS_CANCEL_H_
#define BERTH_IMAGES_ROOTFS_CANCEL_H_

#include "protocol/base/result.h"

namespace berth::image {

// Readable once the build is to end. -1: never.
struct Cancel {
  int fd = -1;
  Result<> Check() const;  // ECANCELED
};

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_CANCEL_H_
