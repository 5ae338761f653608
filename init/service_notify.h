// SPDX-License-Identifier: Apache-2.0
//
// NOTIFY_SOCKET, sd_notify(3): how a service says that it is ready. One datagram socket for each
// service that does. Anybody in the guest can write to it, so each message carries the number of
// its sender as the kernel knows it, and whoever reads asks whether that is the service.
#ifndef BERTH_INIT_SERVICE_NOTIFY_H_
#define BERTH_INIT_SERVICE_NOTIFY_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

inline constexpr size_t kMaxNotifyBytes = 4096;
inline constexpr size_t kMaxNotifyStatusBytes = 120;

// Other assignments (MAINPID, WATCHDOG, FDSTORE …) mean nothing here.
struct NotifyMessage {
  bool ready = false;
  bool stopping = false;
  std::optional<std::string> status;  // UTF-8, cut between characters
};

NotifyMessage ParseNotify(std::string_view text);

class NotifySocket {
 public:
  static Result<NotifySocket> Open(const std::string& path);

  struct Received {
    pid_t sender;
    uid_t uid;  // the sender's, by the kernel's word
    NotifyMessage message;
  };
  // The next message, where one waits. One that is too long, or of no known sender, is dropped.
  std::optional<Received> Take();
  // Drops what waits.
  void Drain();

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  NotifySocket(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  std::string path_;
};

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_NOTIFY_H_
