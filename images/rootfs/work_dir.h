// SPDX-License-Identifier: Apache-2.0
//
// WorkDir: the hidden folder beside an image in which it is built, and the one rename that makes it
// the image. What is not renamed goes with the object; what a builder that was killed has left, the
// next build of the same image removes: a lock that lives as long as its builder tells the two
// apart.
#ifndef BERTH_IMAGES_ROOTFS_WORK_DIR_H_
#define BERTH_IMAGES_ROOTFS_WORK_DIR_H_

#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::image {

class WorkDir {
 public:
  // `out`: where the image shall stand. EEXIST where something stands there that no build made,
  // or in it.
  static Result<WorkDir> Make(const std::string& out);
  WorkDir(WorkDir&&) noexcept;
  WorkDir& operator=(WorkDir&&) = delete;
  ~WorkDir();

  const std::string& path() const { return path_; }
  std::string image() const { return path_ + "/image"; }  // what becomes `out`
  // An empty folder for a Spool. Its name is another each time, see SpreadFolders.
  std::string spool() const { return path_ + "/spool" + path_.substr(path_.rfind('.')); }

  // Makes image() durable and puts it where `out` is, in one step: at no time is there half of one,
  // or none where there was one before.
  Result<> Commit();

 private:
  WorkDir(std::string out, std::string path, UniqueFd lock)
      : out_(std::move(out)), path_(std::move(path)), lock_(std::move(lock)) {}

  std::string out_;
  std::string path_;
  UniqueFd lock_;
};
}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_WORK_DIR_H_
