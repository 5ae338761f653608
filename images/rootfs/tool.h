// SPDX-License-Identifier: Apache-2.0
//
// Runs the standard tools that make and check file systems. Each runs with a spelled-out
// environment, dies with the thread that started it, and is ended when the build is.
#ifndef BERTH_IMAGES_ROOTFS_TOOL_H_
#define BERTH_IMAGES_ROOTFS_TOOL_H_

#include <chrono>
#include <string>
#include <vector>

#include "images/rootfs/source.h"
#include "protocol/base/result.h"

namespace berth::image {

struct Tool {
  std::vector<std::string> argv;     // argv[0] is searched in kToolPath where it has no '/'
  std::vector<std::string> env{};    // beside PATH, LC_ALL=C and TZ=UTC
  std::string cwd{};                 // empty: ours
  int stdin_fd = -1;                 // -1: /dev/null
  std::string output_file{};         // stdout and stderr go there; empty: into Ended::output
  std::chrono::nanoseconds timeout;  // then it is killed: ETIMEDOUT
};

struct Ended {
  int code = 0;        // exit code; 128 + N for signal N
  std::string output;  // the last of stdout and stderr, bounded
};

inline constexpr const char* kToolPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Runs it to its end. Step "tool": it could not be started, ran out of time, or `cancel` came.
Result<Ended> RunTool(const Tool& tool, const Cancel& cancel);
// The same, and an exit code other than 0 is an error that holds its last words.
Result<std::string> MustRun(const Tool& tool, const Cancel& cancel);

// ENOENT with the Debian package to install where a program of `kToolPath` is missing.
Result<> NeedTool(const std::string& program, const std::string& package);
bool HaveTool(const std::string& program);

// A fakeroot session: within it files are owned, typed and labelled as `state` says, and none of it
// needs a right. It is fakeroot's own daemon and library without the shell script around them, so
// that a build that dies takes the daemon along, and the daemon its message queues.
class FakeRoot {
 public:
  // `state`: lines as `fakeroot -s` writes them.
  static Result<FakeRoot> Start(const std::string& state, const std::string& work_dir,
                                const Cancel& cancel);
  FakeRoot(FakeRoot&&) = default;
  FakeRoot& operator=(FakeRoot&&) = delete;
  ~FakeRoot();

  // What a Tool's environment needs to be in it.
  std::vector<std::string> env() const;

 private:
  FakeRoot(UniqueFd pidfd, std::string key) : pidfd_(std::move(pidfd)), key_(std::move(key)) {}

  UniqueFd pidfd_;  // of the daemon, whose reaper we are
  std::string key_;
};

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_TOOL_H_
