// SPDX-License-Identifier: Apache-2.0
//
// What the tests of ServiceRunner share: services as real processes, in an event loop as PID 1's.
#ifndef BERTH_INIT_SERVICE_RUNNER_FIXTURE_H_
#define BERTH_INIT_SERVICE_RUNNER_FIXTURE_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "init/netlink.h"
#include "init/service_command.h"
#include "init/service_runner.h"
#include "init/service_sockets.h"
#include "protocol/base/io.h"

namespace berth::init {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using ::testing::HasSubstr;
using State = ServiceState;

class ServiceRunnerTest : public testing::Test {
 protected:
  ServiceRunnerTest() {
    char name[] = "/tmp/berth-services-XXXXXX";
    dir_ = mkdtemp(name);
    // Orphans come to the test as they come to PID 1.
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signals_.Reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, signals_.get(), &event);
  }
  ~ServiceRunnerTest() override {
    if (runner_) {
      runner_->BeginShutdown(Deadline::Clock::now() + 5s, Deadline::Clock::now());
      EXPECT_TRUE(Until([&] { return !runner_->any_running(); }));
    }
    std::filesystem::remove_all(dir_);
  }

  ServiceConfig& Add(std::string name, std::string script) {
    ServiceConfig service;
    service.name = std::move(name);
    service.exec = "/bin/sh";
    service.args = {"-c", std::move(script)};
    service.output = dir_ + "/out";
    service.stop_timeout = 5s;
    config_.services.push_back(std::move(service));
    return config_.services.back();
  }
  void Begin() {
    runner_.emplace(
        config_,
        ServicePlaces{.cgroup_root = cgroup_root_.empty() ? dir_ + "/no-cgroup" : cgroup_root_,
                      .notify_dir = dir_ + "/notify",
                      .control_socket = dir_ + "/init.sock",
                      .console = "/dev/null"},
        ServiceHooks{.end_machine =
                         [this](ShutdownCause cause, const ServiceRow& row) {
                           ended_ = cause;
                           ended_row_ = row;
                         },
                     .configure = [this](std::string_view text) -> Result<> {
                       configured_ = text;
                       if (text == "bad") return Fail("configure", EINVAL, "bad text");
                       return {};
                     }});
    runner_->Open(epoll_.get());
    runner_->Begin(Deadline::Clock::now());
  }
  // Turns the loop until `done`, as PID 1 does it for ever.
  template <typename Done>
  bool Until(Done done) {
    const auto end = Deadline::In(30s);
    while (!done()) {
      if (end.Passed()) return false;
      Turn(end);
    }
    return true;
  }
  void Turn(Deadline end) {
    Deadline next = end;
    if (const auto due = runner_->next_deadline(); due && *due < end.at()) next = Deadline(*due);
    epoll_event events[8];
    const int n = epoll_wait(epoll_.get(), events, 8, std::min(next.PollTimeoutMs(), 100));
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 != 0) runner_->Event(events[i].data.u64, Deadline::Clock::now());
      signalfd_siginfo info;
      while (read(signals_.get(), &info, sizeof(info)) > 0) {
      }
    }
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      runner_->Reaped(pid, status, Deadline::Clock::now());
    }
    runner_->TimePassed(Deadline::Clock::now());
  }
  ServiceRow Row(std::string_view name) {
    return runner_->graph().Row(runner_->graph().Find(name).value());
  }
  bool Gets(std::string_view name, State state) {
    const bool got = Until([&] { return Row(name).state == state; });
    EXPECT_TRUE(got) << name << " is " << static_cast<int>(Row(name).state) << ": "
                     << Row(name).detail;
    return got;
  }
  std::string Out() {
    const auto text = ReadFile((dir_ + "/out").c_str(), 1 << 20);
    return text ? *text : "";
  }
  ServiceReply Ask(ServiceVerb verb, std::string_view name, std::string_view text = "") {
    ServiceRequest request{.verb = verb, .text_bytes = static_cast<uint32_t>(text.size())};
    name.copy(request.name, sizeof(request.name) - 1);
    Result<ServiceReply> reply = Fail("test", 0, "not asked");
    std::atomic<bool> done = false;
    std::thread client([&] {
      reply = AskServices((dir_ + "/init.sock").c_str(), request, text, Deadline::In(30s));
      done = true;
    });
    EXPECT_TRUE(Until([&] { return done.load(); }));
    client.join();
    EXPECT_TRUE(reply) << reply.error().Message();
    return reply ? *reply : ServiceReply{};
  }

  std::string dir_;
  std::string cgroup_root_;
  Config config_;
  UniqueFd signals_;
  UniqueFd epoll_;
  std::optional<ServiceRunner> runner_;
  std::optional<ShutdownCause> ended_;
  ServiceRow ended_row_;
  std::string configured_;
};

constexpr const char* kSleep = "exec sleep 1000";

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_RUNNER_FIXTURE_H_
