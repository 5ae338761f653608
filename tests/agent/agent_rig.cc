// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/agent_rig.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <cstring>
#include <filesystem>
#include <future>

#include "agent/identity.h"
#include "protocol/base/io.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/dial.h"

namespace berth::testing {

namespace asio = boost::asio;

TempDir::TempDir() {
  char path[] = "/tmp/berth-agent-test-XXXXXX";
  if (mkdtemp(path) == nullptr) std::abort();
  path_ = path;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

v1::ExecStart Command(std::vector<std::string> argv) {
  v1::ExecStart request;
  for (std::string& each : argv) request.add_argv(std::move(each));
  return request;
}

Pipe::Pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  read.Reset(ends[0]);
  write.Reset(ends[1]);
}

int64_t RigClock::NowNs() const { return RealtimeNs() + offset_ns; }

Result<> RigClock::Set(int64_t ns) {
  offset_ns = ns - RealtimeNs();
  return {};
}

TestCgroup::TestCgroup() {
  static std::atomic<int> made = 0;
  for (const std::string base : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    const std::string path =
        base + "/berth-rig-" + std::to_string(getpid()) + "-" + std::to_string(++made);
    if (access((base + "/cgroup.procs").c_str(), F_OK) != 0) continue;
    if (mkdir(path.c_str(), 0755) != 0) continue;
    path_ = path;
    return;
  }
}

TestCgroup::~TestCgroup() {
  if (path_.empty()) return;
  // What a session or a check left behind is on its way out.
  Eventually([&] {
    for (const char* parent : {"/berth.sessions", "/berth.checks"}) {
      std::error_code ignored;
      for (const auto& each : std::filesystem::directory_iterator(path_ + parent, ignored)) {
        if (each.is_directory()) rmdir(each.path().c_str());
      }
      rmdir((path_ + parent).c_str());
    }
    return rmdir(path_.c_str()) == 0;
  });
}

AgentRig::AgentRig(agent::StatsSources stats, std::string program) {
  if (program.empty()) program = BERTH_AGENT_PROGRAM;
  const auto endpoint = guest::UnixEndpoint(agent_path()).value();
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(listener.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
  EXPECT_EQ(listen(listener.get(), 128), 0);
  int pair[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
  control_.Reset(pair[0]);
  terminate_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  EXPECT_EQ(mkfifo(kernel_log_path().c_str(), 0600), 0);
  // Open for as long as the rig is: a log that ends is read no more.
  kernel_log_.Reset(open(kernel_log_path().c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  agent_ = std::make_unique<agent::Agent>(
      context_, agent::AgentOptions{.listener = std::move(listener),
                                    .control = UniqueFd(pair[1]),
                                    .host = guest::UnixEndpoint(ready_path()).value(),
                                    .hello = agent::MakeAgentHello(),
                                    .terminate = UniqueFd(dup(terminate_.get())),
                                    .service_socket = service_path(),
                                    .cgroup_root = cgroup_.path(),
                                    .configure_retry = std::chrono::milliseconds(1),
                                    .kernel_log = kernel_log_path(),
                                    .stats = std::move(stats),
                                    .settings = settings_path(),
                                    .program = std::move(program),
                                    .random_device = "/dev/null",
                                    .mountinfo = mountinfo_path(),
                                    .devices = devices_path(),
                                    .clock = clock_});
  agent_->Start();
  thread_ = std::thread([this] { context_.run(); });
}

AgentRig::~AgentRig() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
  agent_.reset();
}

int AgentRig::CountSessionCgroups() const {
  int count = 0;
  std::error_code ignored;
  for (const auto& each :
       std::filesystem::directory_iterator(cgroup_.path() + "/berth.sessions", ignored)) {
    count += each.is_directory() ? 1 : 0;
  }
  return count;
}

void AgentRig::Terminate() const { EXPECT_EQ(eventfd_write(terminate_.get(), 1), 0); }

void AgentRig::Join() {
  thread_.join();
  EXPECT_TRUE(agent_->terminated());
}

int AgentRig::Connections() {
  std::promise<int> answer;
  asio::post(context_, [&] { answer.set_value(agent_->connections()); });
  return answer.get_future().get();
}

int AgentRig::Forwards() {
  std::promise<int> answer;
  asio::post(context_, [&] { answer.set_value(agent_->forwards()); });
  return answer.get_future().get();
}

UniqueFd AgentRig::Connect() const {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto endpoint = guest::UnixEndpoint(agent_path()).value();
  EXPECT_EQ(connect(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
  return fd;
}

UniqueFd AgentRig::Open(const v1::ExecStart& request) const {
  v1::Envelope message;
  *message.mutable_exec_start() = request;
  UniqueFd fd = Connect();
  EXPECT_TRUE(WriteFull(fd.get(), guest::EncodeOpening(message).value(), Deadline::In(kPatience)));
  return fd;
}

Finished AgentRig::Run(const v1::ExecStart& request, std::string_view input) const {
  Pipe in;
  Pipe out;
  Pipe err;
  Finished finished;
  std::thread read_out([&] { finished.out = ReadAll(out.read.get()); });
  std::thread read_err([&] { finished.err = ReadAll(err.read.get()); });
  std::thread write_in([&] {
    // A program that ends before it has read everything is no error of this thread's.
    [[maybe_unused]] const auto written = WriteFull(in.write.get(), input, Deadline::In(kPatience));
    in.write.Reset();
  });
  finished.outcome = guest::RunExecSession(Open(request), {.stdin_fd = in.read.get(),
                                                           .stdout_fd = out.write.get(),
                                                           .stderr_fd = err.write.get(),
                                                           .stdin_open = request.stdin_open(),
                                                           .tty = request.tty(),
                                                           .take_signals = false});
  in.read.Reset();
  out.write.Reset();
  err.write.Reset();
  read_out.join();
  read_err.join();
  write_in.join();
  return finished;
}

void AgentRig::SendControl(const ControlPacket& packet, std::span<const int> fds) const {
  iovec part{const_cast<ControlPacket*>(&packet), sizeof(packet)};
  alignas(cmsghdr) char rights[CMSG_SPACE(sizeof(int) * kMaxControlFds)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = rights;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  EXPECT_EQ(sendmsg(control(), &message, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof(packet)));
}

std::string ReadAll(int fd) {
  std::string text;
  char chunk[65536];
  for (ssize_t n; (n = read(fd, chunk, sizeof(chunk))) > 0;) {
    text.append(chunk, static_cast<size_t>(n));
  }
  return text;
}

bool Eventually(const std::function<bool()>& condition) {
  const Deadline deadline = Deadline::In(kPatience);
  while (!condition()) {
    if (deadline.Passed()) return false;
    poll(nullptr, 0, 2);  // what is asked here is a state in /proc: nothing announces its change
  }
  return true;
}

char ProcessState(uint32_t pid) {
  const auto text = ReadFile(("/proc/" + std::to_string(pid) + "/stat").c_str(), 4096);
  if (!text) return 0;
  const size_t name_end = text->rfind(')');
  return name_end == std::string::npos ? '\0' : text->at(name_end + 2);
}

}  // namespace berth::testing
