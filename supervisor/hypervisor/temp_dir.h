// SPDX-License-Identifier: Apache-2.0
//
// TempDir: a directory for one test, removed with all that is in it. For tests only.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_TEMP_DIR_H_
#define BERTH_SUPERVISOR_HYPERVISOR_TEMP_DIR_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace berth {

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/berth-test-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

  std::string Put(const std::string& name, std::string_view content) const {
    const std::string file = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary).write(content.data(), static_cast<long>(content.size()));
    return file;
  }
  std::string PutScript(const std::string& name, std::string_view content) const {
    const std::string file = Put(name, content);
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file;
  }

 private:
  std::string path_;
};

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_TEMP_DIR_H_
