// SPDX-License-Identifier: Apache-2.0
//
// The benchmarks of PID 1, in one run: boot to ready beside other inits, its memory, and how long a
// killed service is away. The images are of tests/bench/images/build-init. docs/performance.md
// shows a run and says how to make one. usage: berth-bench-init BIN_DIR IMAGES_DIR [--json FILE]
// [--boots N] [--restarts N]
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/bench/boot.h"
#include "tests/bench/proc_status.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"
#include "tests/bench/vsock_client.h"
#include "tests/e2e/host.h"

namespace berth::bench {
namespace {

// As tests/bench/images/build-init has it.
constexpr uint32_t kServicePort = 1021;
constexpr const char* kMemory = "256";

struct Options {
  int boots = 7;
  int restarts = 200;
};

struct BootKind {
  const char* name;
  const char* image;
  uint32_t ready_port;
  const char* note;
};

// The first is the floor of the others.
constexpr std::array<BootKind, 5> kBoots = {{
    {"", "pid1-floor", kBellPort, ""},
    {"boot to ready, root mounted, floor as PID 1", "pid1-handover", kBellPort,
     "what the next three have in common: one initramfs mounts the root file system"},
    {"boot to ready, berth-init", "pid1-berth", kServicePort, "berth-agent starts too"},
    {"boot to ready, busybox init", "pid1-busybox", kServicePort, ""},
    {"boot to ready, systemd", "pid1-systemd", kServicePort,
     "every other unit that a target wants, and every generator, masked"},
}};

// Alternately, so that what the machine does meanwhile falls on all of them.
void MeasureBoot(const Options& options, const std::string& dir, std::vector<Row>& rows) {
  const HostFacts facts = GatherHostFacts();
  std::array<std::vector<double>, kBoots.size()> ms;
  for (int i = 0; i < options.boots; ++i) {
    fmt::print(stderr, "\rboot {}/{} ", i + 1, options.boots);
    for (size_t kind = 0; kind < kBoots.size(); ++kind) {
      ms[kind].push_back(BootOnce({e2e::BinDir(), e2e::Image(kBoots[kind].image), dir + "/vm",
                                   facts, kBoots[kind].ready_port}));
    }
  }
  fmt::print(stderr, "\n");
  for (size_t kind = 1; kind < kBoots.size(); ++kind) {
    rows.push_back(
        {kBoots[kind].name, Median(ms[kind]), "ms", Median(ms[0]), {}, kBoots[kind].note});
  }
}

std::string InGuest(e2e::Host& host, const std::string& script) {
  const e2e::Outcome outcome = host.Berth({"exec", "vm", "--", "sh", "-c", script});
  if (outcome.code != 0) Die(script + ": " + outcome.err);
  return outcome.out;
}

// Runs `measure` in a VM of `image` that is removed behind it.
void WithVm(e2e::Host& host, const std::string& image, auto&& measure) {
  for (const auto& command :
       {std::vector<std::string>{"create", "vm", "--image", e2e::Image(image), "--memory", kMemory},
        {"start", "vm"}}) {
    const e2e::Outcome outcome = host.Berth(command);
    if (outcome.code != 0) Die(command[0] + " of " + image + ": " + outcome.err);
  }
  measure();
  host.Berth({"kill", "vm"});
  const e2e::Outcome removed = host.Berth({"rm", "vm"});
  if (removed.code != 0) Die("rm: " + removed.err);
}

void MeasureRss(e2e::Host& host, std::vector<Row>& rows) {
  for (const int services : {1, 10, 100}) {
    WithVm(host, fmt::format("init-rss-{}", services), [&] {
      // Returns when it is ready; each service comes after the one before.
      InGuest(host, fmt::format("berth-init start s{} --timeout 60", services));
      const std::string running = InGuest(host, "berth-init status | grep -c ' ready '");
      if (std::atoi(running.c_str()) != services) Die("ready services: " + running);
      const std::string status = InGuest(host, "cat /proc/1/status");
      rows.push_back({fmt::format("berth-init RSS, services: {}", services),
                      GuestRssMib(status),
                      "MiB",
                      {},
                      {},
                      fmt::format("of it anonymous: {:.3g} MiB; the rest is the program",
                                  SumMib(status, {"RssAnon:"}))});
    });
  }
}

void MeasureRestart(const Options& options, e2e::Host& host, std::vector<Row>& rows) {
  std::vector<double> restart;
  std::vector<double> floor;
  WithVm(host, "init-restart", [&] {
    std::istringstream lines(
        InGuest(host, fmt::format("bench-restart /run/bench.fifo {}", options.restarts)));
    // Of jiffies a millisecond is a quarter.
    const std::string clock =
        InGuest(host, "cat /sys/devices/system/clocksource/clocksource0/current_clocksource");
    if (clock.contains("jiffies")) Die("restart: the guest's clock counts ticks: " + clock);
    std::string what;
    double ns = 0;
    while (lines >> what >> ns) (what == "floor" ? floor : restart).push_back(ns / 1e6);
  });
  if (restart.size() != static_cast<size_t>(options.restarts) || floor.size() != restart.size())
    Die(fmt::format("{} restarts and {} of the floor", restart.size(), floor.size()));
  rows.push_back({"SIGKILL of a service to its restart, p50",
                  Median(restart),
                  "ms",
                  Median(floor),
                  {},
                  "floor: a program that kills, reaps and spawns the same service itself"});
  rows.push_back({"SIGKILL of a service to its restart, p99",
                  Percentile(restart, 0.99),
                  "ms",
                  Percentile(floor, 0.99),
                  {},
                  ""});
}

void Measure(const Options& options, std::vector<Row>& rows) {
  e2e::Host host;
  MeasureBoot(options, host.dir(), rows);
  MeasureRss(host, rows);
  MeasureRestart(options, host, rows);
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::Options options;
  berth::bench::Program program{"The benchmarks of PID 1: each value beside its floor, in one run"};
  program.app().add_option("--boots", options.boots, "Boots under each PID 1");
  program.app().add_option("--restarts", options.restarts, "Kills of the service");
  return program.Run(argc, argv, [&](auto& rows) { Measure(options, rows); });
}
