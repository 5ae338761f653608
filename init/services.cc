// SPDX-License-Identifier: Apache-2.0
#include "init/services.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>

namespace berth::init {
namespace {

struct SignalName {
  int number;
  const char* name;
};

#define BERTH_SIGNAL(name) \
  SignalName { name, #name }
constexpr SignalName kSignalRows[] = {
    BERTH_SIGNAL(SIGHUP),  BERTH_SIGNAL(SIGINT),  BERTH_SIGNAL(SIGQUIT), BERTH_SIGNAL(SIGILL),
    BERTH_SIGNAL(SIGTRAP), BERTH_SIGNAL(SIGABRT), BERTH_SIGNAL(SIGBUS),  BERTH_SIGNAL(SIGFPE),
    BERTH_SIGNAL(SIGKILL), BERTH_SIGNAL(SIGSEGV), BERTH_SIGNAL(SIGPIPE), BERTH_SIGNAL(SIGTERM),
    BERTH_SIGNAL(SIGXCPU), BERTH_SIGNAL(SIGSYS),
};
#undef BERTH_SIGNAL

}  // namespace

std::string DescribeWaitStatus(int wait_status) {
  if (WIFEXITED(wait_status)) return "exit code " + std::to_string(WEXITSTATUS(wait_status));
  const int number = WTERMSIG(wait_status);
  const auto* row = std::ranges::find(kSignalRows, number, &SignalName::number);
  std::string text = row != std::end(kSignalRows) ? row->name : "signal " + std::to_string(number);
  if (WCOREDUMP(wait_status)) text += " (core dumped)";
  return text;
}

void Services::Add(std::string name, BackoffPolicy policy, Start start) {
  services_.push_back({std::move(name), std::move(start), Backoff(policy), Waiting{}});
}

Result<> Services::StartDue(Time now) {
  Result<> result;
  for (Service& service : services_) {
    const auto* waiting = std::get_if<Waiting>(&service.state);
    if (waiting == nullptr || waiting->start_at > now) continue;
    auto pid = service.start();
    if (pid) {
      service.state = Running{*pid, now};
    } else {
      service.state = Waiting{now + service.backoff.Ended({})};
      result = std::unexpected(std::move(pid.error()));
    }
  }
  return result;
}

std::optional<Services::End> Services::Reaped(pid_t pid, int wait_status, Time now) {
  for (Service& service : services_) {
    const auto* running = std::get_if<Running>(&service.state);
    if (running == nullptr || running->pid != pid) continue;
    const auto wait = service.backoff.Ended(now - running->since);
    if (restarting_) {
      service.state = Waiting{now + wait};
    } else {
      service.state = Ended{};
    }
    return End{service.name, DescribeWaitStatus(wait_status), wait, service.backoff.crash_loop(),
               service.backoff.was_stable()};
  }
  return std::nullopt;
}

void Services::StopRestarting() {
  restarting_ = false;
  for (Service& service : services_) {
    if (std::holds_alternative<Waiting>(service.state)) service.state = Ended{};
  }
}

std::optional<Services::Time> Services::next_start() const {
  std::optional<Time> next;
  for (const Service& service : services_) {
    const auto* waiting = std::get_if<Waiting>(&service.state);
    if (waiting != nullptr && (!next || waiting->start_at < *next)) next = waiting->start_at;
  }
  return next;
}

pid_t Services::PidOf(std::string_view name) const {
  const auto service = std::ranges::find(services_, name, &Service::name);
  if (service == services_.end()) return -1;
  const auto* running = std::get_if<Running>(&service->state);
  return running != nullptr ? running->pid : -1;
}

}  // namespace berth::init
