// SPDX-License-Identifier: Apache-2.0
//
// Spool: the bytes of all files of a tree, as files of a directory of ours, each hashed as it comes
// in. What the source does afterwards changes nothing. Blocks of zeros become holes, wherever the
// source had them, so that the same content makes the same image. One thread.
#ifndef BERTH_IMAGES_ROOTFS_SPOOL_H_
#define BERTH_IMAGES_ROOTFS_SPOOL_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "images/rootfs/cancel.h"
#include "images/rootfs/tree.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/hypervisor/sha256.h"

namespace berth::image {

class Spool {
 public:
  // `dir` is there and empty; whoever made it removes it. What takes long ends with ECANCELED.
  Spool(std::string dir, Cancel cancel) : dir_(std::move(dir)), cancel_(cancel) {}

  class Writer {
   public:
    // Step "spool". EFBIG beyond kMaxFileBytes, ENOSPC beyond kMaxTreeBytes over all files.
    Result<> Append(std::span<const std::byte> data);
    Result<> AppendZeros(uint64_t count);
    Result<Content> Finish();

   private:
    friend class Spool;
    Writer(Spool& spool, UniqueFd fd, uint64_t id) : spool_(&spool), fd_(std::move(fd)), id_(id) {}
    Result<> Reserve(uint64_t count);
    Result<> Flush();

    Spool* spool_;
    UniqueFd fd_;
    uint64_t id_;
    uint64_t bytes_ = 0;    // taken in
    uint64_t flushed_ = 0;  // of them, those behind us in the file
    std::vector<std::byte> pending_;
    Sha256 sha256_;
  };

  Result<Writer> Create();
  Result<Content> Add(std::string_view content);
  // From `fd`'s offset to its end.
  Result<Content> AddFrom(int fd, const std::string& name);

  std::string Path(const Content& content) const { return dir_ + "/" + std::to_string(content.id); }

 private:
  std::string dir_;
  Cancel cancel_;
  std::vector<std::byte> read_buffer_;  // of AddFrom; here, so that no file waits for its zeroing
  uint64_t next_id_ = 1;
  uint64_t total_bytes_ = 0;
};

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_SPOOL_H_
