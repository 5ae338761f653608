// SPDX-License-Identifier: Apache-2.0
//
// RawClient: the host's side of a connection by hand, so that a test can do what the real client
// never would. Every wait ends the test after kPatience.
#ifndef BERTH_TESTS_AGENT_RAW_CLIENT_H_
#define BERTH_TESTS_AGENT_RAW_CLIENT_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/unique_fd.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/frame.h"

namespace berth::testing {

class RawClient {
 public:
  struct Frame {
    wire::FrameKind kind{};
    wire::Stream stream{};
    std::string payload;
    v1::Envelope message;  // of a message frame
  };

  explicit RawClient(UniqueFd fd) : fd_(std::move(fd)) {}

  static std::string Encoded(const std::function<void(v1::Envelope&)>& fill);
  // That of a host which speaks `generation` and all before it.
  static std::string Hello(uint32_t generation);

  void SendBytes(std::string_view bytes);
  void Send(const v1::Envelope& message);
  void SendData(wire::Stream stream, std::string_view bytes);
  void SendEnd(wire::Stream stream);

  // Nullopt: the peer closed.
  std::optional<Frame> Read();
  // The next message; data before it is collected.
  v1::Envelope ReadMessage();

  // The guest's Hello, if it was not read yet, and ExecStarted; the pid.
  uint32_t ReadStarted();
  // Collects output until it has `text` whole.
  void ReadStdout(std::string_view text);
  std::string ReadStdoutLine();
  size_t ReadCredit();
  void ReadEnd(wire::Stream stream);
  v1::Failure ReadFailure();
  v1::ExecExited ReadUntilExited();

  const std::string& stdout_text() const { return stdout_; }
  size_t stdout_bytes() const { return stdout_bytes_; }
  int fd() const { return fd_.get(); }
  void Close() { fd_.Reset(); }

 private:
  UniqueFd fd_;
  wire::FrameBuffer buffer_;
  bool greeted_ = false;
  std::string stdout_;  // the first MiB
  size_t stdout_bytes_ = 0;
};

}  // namespace berth::testing

#endif  // BERTH_TESTS_AGENT_RAW_CLIENT_H_
