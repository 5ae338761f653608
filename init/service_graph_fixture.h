// SPDX-License-Identifier: Apache-2.0
//
// What the tests of ServiceGraph share: a graph whose actions are carried out on paper.
#ifndef BERTH_INIT_SERVICE_GRAPH_FIXTURE_H_
#define BERTH_INIT_SERVICE_GRAPH_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <deque>

#include "init/service_graph.h"

namespace berth::init {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using State = ServiceState;

constexpr ServiceGraph::Time kStart{1000s};
constexpr int kExit(int code) { return code << 8; }

Probe PortProbe() {
  Probe probe;
  probe.port = 5432;
  return probe;
}

// A graph whose actions are written down as words: "spawn db", "signal web 15", "kill web".
// Processes get the numbers 100, 101, … in the order of their starts.
class ServiceGraphTest : public testing::Test {
 protected:
  ServiceConfig& Add(std::string name, std::vector<std::string> after = {},
                     std::vector<std::string> requires_ = {}) {
    ServiceConfig service;
    service.name = std::move(name);
    service.exec = "/bin/true";
    service.after = std::move(after);
    service.requires_ = std::move(requires_);
    config_.services.push_back(std::move(service));
    return config_.services.back();
  }
  void Begin() {
    graph_.emplace(config_, [] { return 0.5; });
    graph_->Begin(now_);
    Carry();
  }
  ServiceId Id(std::string_view name) { return graph_->Find(name).value(); }
  ServiceRow Row(std::string_view name) { return graph_->Row(Id(name)); }
  State Is(std::string_view name) { return Row(name).state; }
  pid_t Pid(std::string_view name) { return graph_->PidOf(Id(name)); }
  void End(std::string_view name, int status) {
    graph_->Ended(Id(name), status, now_);
    Carry();
  }
  void Pass(std::chrono::milliseconds time) {
    now_ += time;
    graph_->TimePassed(now_);
    Carry();
  }
  ServiceOrder Order(ServiceVerb verb, std::string_view name) {
    const auto order = graph_->Order(verb, Id(name), now_);
    EXPECT_TRUE(order) << order.error().Message();
    Carry();
    return order.value();
  }
  void Carry() {
    for (auto actions = graph_->Take(); !actions.empty(); actions = graph_->Take()) {
      for (const ServiceAction& each : actions) std::visit([this](const auto& a) { Do(a); }, each);
    }
  }
  std::vector<std::string> Log() { return std::exchange(log_, {}); }
  std::string_view Name(ServiceId id) { return config_.services[id].name; }
  void Note(std::string text) { log_.push_back(std::move(text)); }

  void Do(const action::Spawn& a) {
    Note("spawn " + config_.services[a.id].name);
    if (no_program_) return graph_->NotStarted(a.id, Error{"exec", ENOENT, "/x", ""}, now_);
    graph_->Started(a.id, next_pid_++, now_);
  }
  void Do(const action::Signal& a) {
    if (a.signal == SIGCONT) return;
    Note("signal " + config_.services[a.id].name + " " + std::to_string(a.signal));
  }
  void Do(const action::KillTree& a) { Note("kill " + config_.services[a.id].name); }
  void Do(const action::StartProbe& a) { Note("probe " + config_.services[a.id].name); }
  void Do(const action::EndProbe& a) { Note("end-probe " + config_.services[a.id].name); }
  void Do(const action::WatchSockets& a) {
    Note((a.on ? "watch " : "unwatch ") + config_.services[a.id].name);
  }
  void Do(const action::Say& a) { said_.push_back(a.text); }
  void Do(const action::EndMachine& a) {
    Note("end-machine " + config_.services[a.id].name + " " +
         std::to_string(static_cast<int>(a.cause)));
  }

  Config config_;
  std::optional<ServiceGraph> graph_;
  ServiceGraph::Time now_ = kStart;
  std::vector<std::string> log_;
  std::vector<std::string> said_;
  pid_t next_pid_ = 100;
  bool no_program_ = false;
};

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_GRAPH_FIXTURE_H_
