// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/api_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <cstring>

namespace berth::cli {

namespace {

constexpr Step kApi = "berthd";
constexpr size_t kMaxInputBytes = 16 * 1024 * 1024;  // of an answer; far above what berthd sends

std::unexpected<Error> Gone() { return Fail(kApi, ECONNRESET, "berthd closed the connection"); }

}  // namespace

int64_t ApiStream::Call(const std::string& method, json params) {
  const json request = {
      {"jsonrpc", "2.0"}, {"id", ++last_id_}, {"method", method}, {"params", std::move(params)}};
  output_ += request.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  return last_id_;
}

short ApiStream::wants() const {
  return static_cast<short>(output_.empty() ? POLLIN : POLLIN | POLLOUT);
}

Result<> ApiStream::Send() {
  while (!output_.empty()) {
    const ssize_t n = send(fd_.get(), output_.data(), output_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n < 0) return Gone();
    output_.erase(0, static_cast<size_t>(n));
  }
  return {};
}

Result<std::vector<ApiStream::Answer>> ApiStream::Move() {
  BERTH_TRY(Send());
  std::vector<Answer> answers;
  for (;;) {
    char chunk[16 * 1024];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec part{chunk, sizeof(chunk)};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t n = recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return answers;
    // What came in front of the end is told first: the next call finds the end again.
    if (n <= 0 && !answers.empty()) return answers;
    if (n <= 0) return Gone();
    // The kernel gives no byte behind one that carries a descriptor: it is this chunk's last.
    UniqueFd carried;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
      carried.Reset(fd);
    }
    input_.append(chunk, static_cast<size_t>(n) - (carried ? 1 : 0));
    BERTH_TRY(TakeLines(answers));
    if (carried) {
      if (awaiting_fd_.empty()) return Fail(kApi, EPROTO, "a descriptor that nobody asked for");
      awaiting_fd_.front().fd = std::move(carried);
      answers.push_back(std::move(awaiting_fd_.front()));
      awaiting_fd_.clear();
    }
    if (input_.size() > kMaxInputBytes) return Fail(kApi, EMSGSIZE, "an answer without an end");
  }
}

Result<> ApiStream::TakeLines(std::vector<Answer>& answers) {
  size_t begin = 0;
  for (size_t end; (end = input_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (!awaiting_fd_.empty()) return Fail(kApi, EPROTO, "the descriptor did not come");
    const json line =
        json::parse(std::string_view(input_).substr(begin, end - begin), nullptr, false);
    if (!line.is_object() || !line.value("id", json()).is_number_integer()) {
      return Fail(kApi, EPROTO, "not a JSON-RPC answer");
    }
    Answer answer{.id = line["id"].get<int64_t>(), .result = json(), .fd = {}};
    if (line.contains("error")) {
      answer.result = std::unexpected(FromRpcError(line["error"]));
    } else {
      answer.result = line.value("result", json());
    }
    if (answer.result && answer.result->is_object() && answer.result->value("handover", false)) {
      awaiting_fd_.push_back(std::move(answer));
    } else {
      answers.push_back(std::move(answer));
    }
  }
  input_.erase(0, begin);
  return {};
}

}  // namespace berth::cli
