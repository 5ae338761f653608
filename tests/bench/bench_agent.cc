// SPDX-License-Identifier: Apache-2.0
//
// berth-agent beside what people use today, in one guest and one run: qemu-guest-agent over
// virtio-serial, and dropbear over user networking. usage: berth-bench-agent BIN_DIR IMAGES_DIR
// GUEST_BIN_DIR [--json FILE] [--rounds N] [--mib N] [--sessions N] [--lines N]
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "protocol/base/clock.h"
#include "tests/bench/peers.h"
#include "tests/bench/proc_status.h"
#include "tests/bench/program.h"
#include "tests/bench/report.h"
#include "tests/bench/vsock_client.h"
#include "tests/e2e/host.h"

namespace berth::bench {
namespace {

constexpr const char* kPeer = "/usr/lib/berth-bench/bench-peer";
constexpr const char* kVm = "bench";
constexpr auto kLogPatience = std::chrono::minutes(3);

struct Options {
  std::string guest_bin_dir;
  int rounds = 100;
  int mib = 64;
  int sessions = 100;
  int lines = 300'000;
};

double MsOf(auto&& action) {
  const int64_t begin = MonotonicNs();
  action();
  return static_cast<double>(MonotonicNs() - begin) / 1e6;
}

// Stands in PATH where QEMU does, and gives it what berthd's VMs do not have: a serial port for
// qemu-guest-agent, and a network card whose port 22 is one of this host.
class QemuWithPeers {
 public:
  QemuWithPeers(const std::string& dir, uint16_t port) {
    const e2e::Outcome real = e2e::RunCommand({"sh", "-c", "command -v qemu-system-x86_64"});
    if (real.code != 0) Die("no qemu-system-x86_64 in PATH");
    const std::string path = dir + "/qemu-system-x86_64";
    std::ofstream(path) << fmt::format(
        "#!/bin/sh\ncase \"$*\" in *-kernel*) set -- \"$@\" -device virtio-serial-device -chardev "
        "socket,id=qga,server=on,wait=off,path={0}/qga.sock -device "
        "virtserialport,chardev=qga,name=org.qemu.guest_agent.0 -netdev "
        "user,id=net0,restrict=off,hostfwd=tcp:127.0.0.1:{1}-:22 -device "
        "virtio-net-device,netdev=net0 ;; esac\nexec {2} \"$@\"\n",
        dir, port, real.out.substr(0, real.out.find('\n')));
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    setenv("PATH", (dir + ":" + getenv("PATH")).c_str(), 1);
  }
};

struct Guest {
  std::string vsock;
  QemuGuestAgent qga;
  uint16_t ssh_port;
  std::string ssh_key;

  e2e::Outcome Ssh(const std::string& command) const {
    return RunDbclient(ssh_port, ssh_key, command);
  }
};

void MeasureRoundTrip(const Options& options, Guest& guest, std::vector<Row>& rows) {
  const UniqueFd peer = Dial(guest.vsock, kPeerPort);
  std::vector<double> floor;
  std::vector<double> berth;
  std::vector<double> qga;
  std::vector<double> ssh;
  char byte = 0;
  for (int i = 0; i < options.rounds; ++i) {
    fmt::print(stderr, "\rround trip {}/{} ", i + 1, options.rounds);
    floor.push_back(MsOf([&] {
      SendBytes(peer.get(), "s", 1);
      ReceiveBytes(peer.get(), &byte, 1);
    }));
    berth.push_back(MsOf([&] {
      if (RunExec(guest.vsock, {"/bin/true"}).code != 0) Die("exec true");
    }));
    qga.push_back(MsOf([&] { guest.qga.Run("/bin/true", {}, false); }));
    // A tenth: each takes a key exchange.
    if (i % 10 == 0) ssh.push_back(MsOf([&] { guest.Ssh("/bin/true"); }));
  }
  fmt::print(stderr, "\n");
  rows.push_back(
      {"true: berth-agent, p50", Median(berth), "ms", Median(floor), Target{true, 1.3},
       "floor: 1-byte echo + posix_spawn and wait of /bin/true over a raw vsock stream"});
  rows.push_back(
      {"true: berth-agent, p99", Percentile(berth, 0.99), "ms", Percentile(floor, 0.99), {}, ""});
  rows.push_back({"true: qemu-guest-agent, p50", Median(qga), "ms", Median(berth), Target{false, 5},
                  "against berth-agent; guest-exec, and guest-exec-status until it has exited"});
  rows.push_back({"true: qemu-guest-agent, p99",
                  Percentile(qga, 0.99),
                  "ms",
                  Percentile(berth, 0.99),
                  {},
                  ""});
  rows.push_back({"true: dropbear, p50", Median(ssh), "ms", Median(berth), Target{false, 5},
                  "against berth-agent; a dbclient process with its key exchange"});
  rows.push_back(
      {"true: dropbear, p99", Percentile(ssh, 0.99), "ms", Percentile(berth, 0.99), {}, ""});
}

void MeasureBulk(const Options& options, Guest& guest, std::vector<Row>& rows) {
  const uint64_t bytes = static_cast<uint64_t>(options.mib) << 20;
  const UniqueFd peer = Dial(guest.vsock, kPeerPort);
  const auto rate = [&](double ms) { return options.mib / (ms / 1e3); };
  const std::string n = std::to_string(bytes);
  const double floor_out = rate(MsOf([&] { MoveRaw(peer.get(), 'o', bytes); }));
  const double floor_in = rate(MsOf([&] { MoveRaw(peer.get(), 'i', bytes); }));
  const double berth_out = rate(MsOf([&] {
    if (RunExec(guest.vsock, {kPeer, "--source", n}).stdout_bytes != bytes) Die("stdout is short");
  }));
  const double berth_in = rate(MsOf([&] {
    if (RunExec(guest.vsock, {kPeer, "--sink", n}, bytes).code != 0) Die("stdin is short");
  }));
  if (RunExec(guest.vsock,
              {"/bin/sh", "-c", std::string(kPeer) + " --source " + n + " > /tmp/bulk"})
          .code != 0) {
    Die("no room for the file");
  }
  const double qga_out = rate(MsOf([&] { guest.qga.ReadBytes("/tmp/bulk", bytes); }));
  const double qga_in = rate(MsOf([&] { guest.qga.WriteBytes("/tmp/bulk", bytes); }));
  const double ssh_out = rate(MsOf([&] {
    if (guest.Ssh(std::string(kPeer) + " --source " + n).out.size() != bytes) Die("ssh is short");
  }));
  const double ssh_in = rate(MsOf([&] {
    const auto outcome = e2e::RunCommand(
        Dbclient(guest.ssh_port, guest.ssh_key, std::string(kPeer) + " --sink " + n),
        {.stdin_data = std::string(bytes, 'b')});
    if (outcome.code != 0) Die("ssh stdin is short: " + outcome.err);
  }));
  const std::string size = fmt::format("{} MiB", options.mib);
  rows.push_back(
      {size + " out: berth-agent", berth_out, "MiB/s", floor_out, {}, "floor: a raw vsock stream"});
  rows.push_back({size + " in: berth-agent", berth_in, "MiB/s", floor_in, {}, ""});
  rows.push_back({size + " out: qemu-guest-agent",
                  qga_out,
                  "MiB/s",
                  berth_out,
                  {},
                  "against berth-agent; a file, in base64"});
  rows.push_back({size + " in: qemu-guest-agent", qga_in, "MiB/s", berth_in, {}, ""});
  rows.push_back({size + " out: dropbear", ssh_out, "MiB/s", berth_out, {}, "against berth-agent"});
  rows.push_back({size + " in: dropbear", ssh_in, "MiB/s", berth_in, {}, ""});
}

void AllAtOnce(int count, const std::function<void()>& one) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(one);
  for (std::thread& each : threads) each.join();
}

void MeasureMany(const Options& options, Guest& guest, std::vector<Row>& rows) {
  const int count = options.sessions;
  const double berth = MsOf([&] {
    AllAtOnce(count, [&] {
      if (RunExec(guest.vsock, {"/bin/true"}).code != 0) std::abort();
    });
  });
  const double qga = MsOf([&] { guest.qga.RunAtOnce("/bin/true", count); });
  const double ssh = MsOf([&] {
    std::vector<std::unique_ptr<e2e::Process>> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(
          std::make_unique<e2e::Process>(Dbclient(guest.ssh_port, guest.ssh_key, "/bin/true")));
    }
    for (auto& each : clients) each->Wait(Deadline::In(std::chrono::minutes(5)));
  });
  const std::string name = fmt::format("{} sessions at once: ", count);
  rows.push_back({name + "berth-agent", berth, "ms", {}, {}, "all of them /bin/true"});
  rows.push_back({name + "qemu-guest-agent",
                  qga,
                  "ms",
                  berth,
                  {},
                  "against berth-agent; over its one channel"});
  rows.push_back({name + "dropbear",
                  ssh,
                  "ms",
                  berth,
                  {},
                  "against berth-agent; those that it refuses included"});
}

std::string BinBerth(const e2e::Host& host) {
  return e2e::BinDir() + "/berth --socket " + host.socket();
}

// From a service's stdout to the host's disk: until the store answers with the last line.
void MeasureLogs(const Options& options, e2e::Host& host, Guest& guest, std::vector<Row>& rows) {
  const std::string last = std::to_string(options.lines);
  const auto say = [&](const std::string& program, const std::string& line) {
    const auto said = RunExec(
        guest.vsock,
        {"/bin/sh", "-c", "until [ -p /run/say ]; do sleep 0.1; done; " + program + " >/run/say"});
    if (said.code != 0) Die("the service does not listen");
    const Deadline deadline = Deadline::In(kLogPatience);
    const std::string shown = "talker: " + line + "\n";
    while (host.Berth({"logs", "--no-time", "--source", "talker", "-n", "1", kVm}).out != shown) {
      if (deadline.Passed()) Die(line + " does not come");
    }
  };
  say("echo begin", "begin");
  const double seconds = MsOf([&] { say("seq 1 " + last, last); }) / 1e3;
  const e2e::Outcome count = e2e::RunCommand(
      {"sh", "-c",
       fmt::format("{} logs --no-time --source talker {} | grep -c '^talker: [0-9]*$'",
                   BinBerth(host), kVm)},
      {.timeout = kLogPatience});
  if (count.out != last + "\n") Die("of " + last + " lines are there: " + count.out);
  uint64_t bytes = 0;
  for (int i = 1; i <= options.lines; ++i) bytes += std::to_string(i).size() + 1;
  const UniqueFd peer = Dial(guest.vsock, kPeerPort);
  constexpr uint64_t kMiB = 1 << 20;
  const uint64_t floor_mib = bytes / kMiB + 1;  // it moves whole chunks
  const double floor_rate = static_cast<double>(floor_mib) /
                            (MsOf([&] { MoveRaw(peer.get(), 'o', floor_mib * kMiB); }) / 1e3);
  const double mib = static_cast<double>(bytes) / kMiB;
  rows.push_back({"logs to the durable store",
                  options.lines / seconds,
                  "lines/s",
                  {},
                  Target{false, 100'000},
                  fmt::format("{} lines of seq through a service, none lost", options.lines)});
  rows.push_back({"logs to the durable store, bytes",
                  mib / seconds,
                  "MiB/s",
                  floor_rate,
                  {},
                  "text; floor: a raw vsock stream"});
}

void MeasureFootprint(e2e::Host& host, std::vector<Row>& rows) {
  const auto in_guest = [&](const std::string& script) {
    return host.Berth({"exec", kVm, "--", "sh", "-c", script}).out;
  };
  struct Program {
    const char* name;
    const char* path;
  };
  for (const auto& [name, path] :
       {Program{"berth-agent", "/sbin/berth-agent"}, Program{"qemu-ga", "/usr/sbin/qemu-ga"},
        Program{"dropbear", "/usr/sbin/dropbear"}}) {
    const std::string pid = fmt::format("$(pidof {})", name);
    rows.push_back({fmt::format("{} RSS", name),
                    GuestRssMib(in_guest("set -- " + pid + "; cat /proc/$1/status")),
                    "MiB",
                    {},
                    {},
                    ""});
    // With the libraries that it alone brings into memory: those of its map.
    const std::string files =
        in_guest("set -- " + pid +
                 "; awk '$6 ~ /^\\// {print $6}' /proc/$1/maps | sort -u | xargs stat -Lc %s | "
                 "awk '{s += $1} END {print s / 1024}'");
    rows.push_back({fmt::format("{} size with libraries", name),
                    std::atof(files.c_str()),
                    "KiB",
                    {},
                    {},
                    path});
  }
}

void Measure(const Options& options, std::vector<Row>& rows) {
  std::string dir = "/tmp/bagent-XXXXXX";
  if (mkdtemp(dir.data()) == nullptr) Die("mkdtemp");
  const auto port = static_cast<uint16_t>(20000 + getpid() % 20000);
  const QemuWithPeers qemu(dir, port);
  e2e::Host host;
  host.Up(kVm, "agent-peers", {"--memory", "512"});
  auto peer = host.StartBerth({"exec", kVm, "--", kPeer, std::to_string(kPeerPort), "/bin/true"});
  if (!peer->WaitForOutput("listening", Deadline::In(std::chrono::seconds(60)))) {
    Die("bench-peer does not come up");
  }
  Guest guest{host.VmDir(kVm) + "/vsock.sock", QemuGuestAgent(dir + "/qga.sock"), port,
              e2e::Image("agent-peers") + ".key"};
  guest.Ssh("/bin/true");
  MeasureRoundTrip(options, guest, rows);
  MeasureBulk(options, guest, rows);
  MeasureMany(options, guest, rows);
  MeasureLogs(options, host, guest, rows);
  MeasureFootprint(host, rows);
  host.Berth({"kill", kVm});
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::Options options;
  berth::bench::Program program{"berth-agent beside qemu-guest-agent and dropbear, in one guest"};
  program.app().add_option("guest_bin_dir", options.guest_bin_dir, "Guest programs")->required();
  program.app().add_option("--rounds", options.rounds, "Round trips");
  program.app().add_option("--mib", options.mib, "MiB of each bulk transfer");
  program.app().add_option("--sessions", options.sessions, "Sessions at once");
  program.app().add_option("--lines", options.lines, "Lines of the log");
  return program.Run(argc, argv, [&](auto& rows) { Measure(options, rows); });
}
