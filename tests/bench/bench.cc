// SPDX-License-Identifier: Apache-2.0
//
// The benchmarks of Berth's spine, in one run, each value beside the floor it is held against.
// docs/performance.md shows a run and says how to make one. usage: berth-bench BIN_DIR
// IMAGES_DIR GUEST_BIN_DIR [--json FILE] [--boots N] [--execs N] [--mib N]
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "protocol/base/clock.h"
#include "protocol/wire/limits.h"
#include "tests/bench/boot.h"
#include "tests/bench/proc_status.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"
#include "tests/bench/vsock_client.h"
#include "tests/e2e/host.h"

namespace berth::bench {
namespace {

constexpr double kMib = 1024.0 * 1024.0;

struct Options {
  std::string guest_bin_dir;
  int boots = 10;
  int execs = 200;
  int mib = 256;
  int bulk_rounds = 3;
};

double MsOf(auto&& action) {
  const int64_t begin = MonotonicNs();
  action();
  return static_cast<double>(MonotonicNs() - begin) / 1e6;
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Alternately, so that what the machine does meanwhile falls on both.
void MeasureBoot(const Options& options, const HostFacts& facts, const std::string& dir,
                 std::vector<Row>& rows) {
  std::vector<double> floor;
  std::vector<double> minimal;
  std::vector<double> demo;
  for (int i = 0; i < options.boots; ++i) {
    fmt::print(stderr, "\rboot {}/{} ", i + 1, options.boots);
    floor.push_back(BootOnce({e2e::BinDir(), e2e::Image("bench-floor"), dir + "/vm", facts}));
    minimal.push_back(BootOnce({e2e::BinDir(), e2e::Image("bench-minimal"), dir + "/vm", facts}));
    demo.push_back(BootOnce({e2e::BinDir(), e2e::Image("demo"), dir + "/vm", facts}));
  }
  fmt::print(stderr, "\n");
  rows.push_back({"boot to agent ready, initramfs alone", Median(minimal), "ms", Median(floor),
                  Target{true, 1.15}, ""});
  rows.push_back({"boot to agent ready, demo image",
                  Median(demo),
                  "ms",
                  Median(floor),
                  {},
                  "the same floor, which mounts no root: the demo also loads virtio-blk, erofs and "
                  "overlay, mounts and switches root"});
}

void MeasureExec(const Options& options, const std::string& vsock, e2e::Host& host,
                 std::vector<Row>& rows) {
  const UniqueFd peer = Dial(vsock, kPeerPort);
  std::vector<double> echo;
  std::vector<double> spawn;
  std::vector<double> dial;
  std::vector<double> exec;
  std::vector<double> started;
  char byte = 0;
  for (int i = 0; i < options.execs; ++i) {
    echo.push_back(MsOf([&] {
      SendBytes(peer.get(), "e", 1);
      ReceiveBytes(peer.get(), &byte, 1);
    }));
    spawn.push_back(MsOf([&] {
      SendBytes(peer.get(), "s", 1);
      ReceiveBytes(peer.get(), &byte, 1);
    }));
    dial.push_back(MsOf([&] { const UniqueFd closed = Dial(vsock, wire::kAgentPort); }));
    const ExecResult result = RunExec(vsock, {"/bin/true"});
    if (result.code != 0) Die("exec true gave " + std::to_string(result.code));
    exec.push_back(static_cast<double>(result.total_ns) / 1e6);
    started.push_back(static_cast<double>(result.started_ns) / 1e6);
  }
  // One `s` is an echo and a spawn-and-wait: the floor as it stands in one measurement.
  rows.push_back({"vsock 1-byte echo, p50", Median(echo), "ms", {}, {}, ""});
  rows.push_back({"vsock 1-byte echo, p95", Percentile(echo, 0.95), "ms", {}, {}, ""});
  rows.push_back({"vsock connect, p50", Median(dial), "ms", {}, {}, ""});
  rows.push_back({"exec true, warm, p50", Median(exec), "ms", Median(spawn), Target{true, 1.5},
                  fmt::format("floor: 1-byte echo + posix_spawn and wait of /bin/true; the value "
                              "includes a connection of its own; "
                              "ExecStarted after {:.3g} ms",
                              Median(started))});
  rows.push_back(
      {"exec true, warm, p99", Percentile(exec, 0.99), "ms", Percentile(spawn, 0.99), {}, ""});
  std::vector<double> cli;
  for (int i = 0; i < options.execs / 4; ++i) {
    cli.push_back(MsOf([&] { host.Berth({"exec", "bench", "--", "true"}); }));
  }
  rows.push_back({"berth exec true (CLI, berthd), p50", Median(cli), "ms", Median(spawn), {}, ""});
}

void MeasureBulk(const Options& options, const std::string& vsock, std::vector<Row>& rows) {
  const uint64_t bytes = static_cast<uint64_t>(options.mib) << 20;
  const UniqueFd peer = Dial(vsock, kPeerPort);
  const auto rate = [&](double ms) { return static_cast<double>(bytes) / kMib / (ms / 1e3); };
  std::vector<double> raw_out;
  std::vector<double> raw_in;
  std::vector<double> out;
  std::vector<double> in;
  for (int i = 0; i < options.bulk_rounds; ++i) {
    fmt::print(stderr, "\rbulk {}/{} ", i + 1, options.bulk_rounds);
    raw_out.push_back(rate(MsOf([&] { MoveRaw(peer.get(), 'o', bytes); })));
    out.push_back(rate(MsOf([&] {
      const ExecResult result =
          RunExec(vsock, {"/tmp/bench-peer", "--source", std::to_string(bytes)});
      if (result.stdout_bytes != bytes)
        Die(fmt::format("stdout: {} of {} bytes", result.stdout_bytes, bytes));
    })));
    raw_in.push_back(rate(MsOf([&] { MoveRaw(peer.get(), 'i', bytes); })));
    in.push_back(rate(MsOf([&] {
      if (RunExec(vsock, {"/tmp/bench-peer", "--sink", std::to_string(bytes)}, bytes).code != 0)
        Die("stdin came short");
    })));
  }
  fmt::print(stderr, "\n");
  rows.push_back({"bulk stdout", Median(out), "MiB/s", Median(raw_out), Target{false, 0.85},
                  "floor: a raw vsock stream through the same device; the value adds a program and "
                  "a pipe in the guest"});
  rows.push_back({"bulk stdin", Median(in), "MiB/s", Median(raw_in), Target{false, 0.85}, ""});
}

// Without shared memory, which for berth-vsock is the guest's own, mapped.
double HostRssMib(const std::string& status) { return SumMib(status, {"RssAnon:", "RssFile:"}); }

void MeasureFootprint(const Options& options, e2e::Host& host, std::vector<Row>& rows) {
  const auto size = [](const std::string& path) {
    return static_cast<double>(std::filesystem::file_size(path));
  };
  rows.push_back({"berth-init, stripped",
                  size(options.guest_bin_dir + "/berth-init") / 1024,
                  "KiB",
                  {},
                  Target{true, 700e3 / 1024},
                  ""});
  rows.push_back({"berth-agent, stripped",
                  size(options.guest_bin_dir + "/berth-agent") / 1024,
                  "KiB",
                  {},
                  Target{true, 1.5e6 / 1024},
                  ""});
  const auto guest = [&](const std::string& pid) {
    return GuestRssMib(
        host.Berth({"exec", "bench", "--", "sh", "-c", "cat /proc/" + pid + "/status"}).out);
  };
  rows.push_back({"berth-init RSS", guest("1"), "MiB", {}, Target{true, 0.7}, ""});
  rows.push_back({"berth-agent RSS",
                  guest("$(pidof berth-agent)"),
                  "MiB",
                  {},
                  Target{true, 2.5},
                  "after the runs above"});
  for (const std::string program : {"berth-shim", "berth-vsock", "berthd"}) {
    for (const pid_t pid : e2e::ProcessesNaming(host.dir())) {
      const std::string cmdline = ReadAll(fmt::format("/proc/{}/cmdline", pid));
      if (!cmdline.substr(0, cmdline.find('\0')).ends_with("/" + program)) continue;
      rows.push_back({program + " RSS",
                      HostRssMib(ReadAll(fmt::format("/proc/{}/status", pid))),
                      "MiB",
                      {},
                      {},
                      ""});
    }
  }
}

void Measure(const Options& options, std::vector<Row>& rows) {
  const HostFacts facts = GatherHostFacts();
  fmt::print(stderr, "KVM: {}\n", facts.kvm.text);

  e2e::Host host;
  MeasureBoot(options, facts, host.dir(), rows);

  const auto created =
      host.Berth({"create", "bench", "--image", e2e::Image("demo"), "--memory", "256"});
  if (created.code != 0) Die("create: " + created.err);
  const auto begun = host.Berth({"start", "bench"});
  if (begun.code != 0) Die("start: " + begun.err);
  const auto copied = host.Berth({"exec", "-i", "bench", "--", "sh", "-c",
                                  "cat > /tmp/bench-peer && chmod +x /tmp/bench-peer"},
                                 {.stdin_data = ReadAll(options.guest_bin_dir + "/bench-peer")});
  if (copied.code != 0) Die("copying bench-peer: " + copied.err);
  auto peer = host.StartBerth(
      {"exec", "bench", "--", "/tmp/bench-peer", std::to_string(kPeerPort), "/bin/true"});
  if (!peer->WaitForOutput("listening", Deadline::In(std::chrono::seconds(30))))
    Die("bench-peer does not come up");

  const std::string vsock = host.VmDir("bench") + "/vsock.sock";
  MeasureExec(options, vsock, host, rows);
  MeasureBulk(options, vsock, rows);
  MeasureFootprint(options, host, rows);
  host.Berth({"kill", "bench"});
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::Options options;
  berth::bench::Program program{"Berth's benchmarks: each value beside its floor, in one run"};
  program.app().add_option("guest_bin_dir", options.guest_bin_dir, "Guest programs")->required();
  program.app().add_option("--boots", options.boots, "Boots of each image");
  program.app().add_option("--execs", options.execs, "Round trips of each kind");
  program.app().add_option("--mib", options.mib, "MiB of each bulk transfer");
  return program.Run(argc, argv, [&](auto& rows) { Measure(options, rows); });
}
