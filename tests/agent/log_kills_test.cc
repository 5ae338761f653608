// SPDX-License-Identifier: Apache-2.0
//
// A line's whole way, from a service's pipe into the host's store, while agent and berthd are
// killed at random. Each part is the real one, in a process of its own:
//
//   this process   PID 1: GuestLog keeps pipe, spool and ring, and each agent is handed them
//   service        writes numbered lines into the pipe; lives to its end
//   agent          agent::Agent, from one death to the next
//   vsock device   ScriptedDevice; lives to the end
//   berthd         LogFollower, LogArchive and store, from one death to the next
//
// A virtual machine does not outlive its berthd, so there the two cannot die apart; here they do.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <functional>
#include <random>
#include <utility>

#include "agent/identity.h"
#include "init/guest_log.h"
#include "protocol/base/control.h"
#include "supervisor/daemon/log_follower.h"
#include "supervisor/guest/dial.h"
#include "supervisor/hypervisor/vm_paths.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/scripted_device.h"

namespace berth::testing {
namespace {

namespace asio = boost::asio;
using std::chrono::microseconds;
using namespace std::chrono_literals;

constexpr uint64_t kLines = 1'000'000;
constexpr uint32_t kSeed = 1;  // of when each dies
constexpr size_t kRingBytes = 1024 * 1024;
constexpr uint64_t kStoreBytes = 256 * 1024 * 1024;  // all of it
constexpr const char* kService = "numbers";
constexpr microseconds kShortestLife = 200us;
constexpr microseconds kLongestLife = 900ms;  // a timer's microseconds are less than a second
// Of an agent under which the service drops: time for about a ring of lines.
constexpr microseconds kLongestDroppingLife = 20ms;
constexpr std::chrono::seconds kWholeTest{110};

enum class OnFull { kBlock, kDropNowAndThen };

// In memory that all of the processes share: what tells whether a life came to anything.
struct Progress {
  std::atomic<uint64_t> written{0};  // lines in the pipe, which is small
  std::atomic<uint64_t> kept{0};     // records in the store
};

// A process of this test's own, which dies with it.
class Child {
 public:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { Kill(); }

  // `life`: until its own alarm, which finds it at whatever instruction; 0: none.
  void Start(microseconds life, const std::function<int()>& run) {
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ != 0) return;
    const itimerval death{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = life.count()}};
    setitimer(ITIMER_REAL, &death, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    _exit(run());
  }
  // True where it was this one that waitpid found.
  bool TakeEnd(pid_t pid) { return pid == pid_ && std::exchange(pid_, -1) > 0; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

// How long the next life of a process is: any time up to a bound, which doubles where a life was
// too short for this machine to get anywhere.
class Lives {
 public:
  explicit Lives(uint32_t seed) : random_(seed) {}

  microseconds Next(uint64_t progress) {
    if (lives_++ > 0) {
      bound_ = progress > seen_ ? std::max(bound_ * 7 / 8, kShortestLife * 2)
                                : std::min(bound_ * 2, kLongestLife);
    }
    seen_ = progress;
    return microseconds(
        std::uniform_int_distribution(kShortestLife.count(), bound_.count())(random_));
  }
  bool OneOf(uint32_t lives) { return random_() % lives == 0; }
  int lives() const { return lives_; }

 private:
  std::mt19937 random_;
  microseconds bound_ = 5ms;
  uint64_t seen_ = 0;
  int lives_ = 0;
};

int WriteNumbers(int fd, OnFull on_full, Progress& progress) {
  std::string text;
  for (uint64_t i = 1; i <= kLines; ++i) {
    text += std::to_string(i) + "\n";
    size_t n = 0;
    if (text.size() >= PIPE_BUF) {
      // As stdio cuts them; where lines may be lost, each is to be whole or not there.
      n = on_full == OnFull::kBlock ? PIPE_BUF : text.rfind('\n', PIPE_BUF - 1) + 1;
    }
    if (i == kLines) n = text.size();
    if (n == 0) continue;
    if (write(fd, text.data(), n) != static_cast<ssize_t>(n)) return 1;
    text.erase(0, n);
    progress.written = i;
  }
  return 0;
}

int RunAgent(int listener, UniqueFd control, const TempDir& dir) {
  asio::io_context context;
  v1::Hello hello = agent::MakeAgentHello();
  hello.set_boot_id(std::string(16, 'b'));
  agent::Agent agent(context, {.listener = UniqueFd(dup(listener)),
                               .control = std::move(control),
                               .host = guest::UnixEndpoint(dir / "nobody").value(),
                               .hello = std::move(hello),
                               .terminate = {},
                               .service_socket = dir / "nobody",
                               .cgroup_root = "",
                               .kernel_log = ""});
  agent.Start();
  context.run();
  return 1;  // PID 1 has not closed
}

VmSpec Spec() {
  VmSpec spec;
  spec.name = "vm";
  spec.logs.max_bytes = kStoreBytes;
  return spec;
}

// As it hears of each by Ready.
asio::awaitable<void> HearOfAgents(daemon::LogFollower& follower, int starts) {
  asio::posix::stream_descriptor bell(co_await asio::this_coro::executor, dup(starts));
  for (int heard = 1;; ++heard) {
    follower.AgentIs(std::to_string(heard));
    uint64_t count = 0;
    co_await bell.async_read_some(asio::buffer(&count, sizeof(count)), asio::use_awaitable);
  }
}

// What `berth logs -n 1` shows.
asio::awaitable<std::string> LastLine(daemon::VmLogs& logs) {
  const logs::Filter filter{.sources = {kService}};
  const auto at = co_await logs.FindLast(1, filter);
  if (!at) co_return "";
  const auto page = co_await logs.Read(*at, filter, {});
  co_return page && !page->lines.empty() ? page->lines.back().text : "";
}

// Ends the process once all is kept.
asio::awaitable<void> AwaitLast(daemon::VmLogsPtr logs, Progress& progress) {
  for (;;) {
    const uint64_t changes = logs->changes();
    const auto tail = co_await logs->Tail();
    if (!tail) _exit(2);
    progress.kept = tail->last_seq;
    if (co_await LastLine(*logs) == std::to_string(kLines)) _exit(0);
    if (logs->trouble() && logs->trouble()->errnum == EPROTO) _exit(3);
    while (logs->changes() == changes) co_await logs->changed().Wait(Deadline::In(kPatience));
  }
}

int RunBerthd(const TempDir& dir, int agent_starts, Progress& progress) {
  asio::io_context context;
  daemon::LogArchive archive(context.get_executor(), dir / "state");
  const daemon::VmLogsPtr logs = archive.Of(Spec());
  const auto follower = std::make_shared<daemon::LogFollower>(
      context.get_executor(),
      daemon::LogFollower::Parts{dir / "vsock.sock", logs, [](const std::string& trouble) {
                                   if (!trouble.empty()) _exit(4);
                                 }});
  follower->Start();
  asio::co_spawn(context, HearOfAgents(*follower, agent_starts), asio::detached);
  asio::co_spawn(context, AwaitLast(logs, progress), asio::detached);
  context.run();
  return 5;  // it has no reason to
}

class LogKills : public ::testing::Test {
 protected:
  LogKills() {
    std::filesystem::create_directories(VmPaths{dir_ / "state/vms/vm"}.dir);
    const auto endpoint = guest::UnixEndpoint(dir_ / "agent.sock").value();
    listener_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(listener_.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
    EXPECT_EQ(listen(listener_.get(), 128), 0);
    void* const shared =
        mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(shared, MAP_FAILED);
    progress_ = new (shared) Progress;
    log_.Open({.ring_bytes = kRingBytes, .syslog = false}, std::nullopt, "");
  }
  ~LogKills() override { munmap(progress_, sizeof(Progress)); }

  void Run(OnFull on_full) {
    service_config_.name = kService;
    const int out = log_.OutputOf(0, service_config_, -1).value().out;
    device_.Start(0us, [&] {
      const ScriptedDevice device(dir_ / "vsock.sock", dir_ / "agent.sock");
      return pause();
    });
    service_.Start(0us, [&] { return WriteNumbers(out, on_full, *progress_); });
    StartAgent(on_full);
    const Deadline deadline = Deadline::In(kWholeTest);
    for (bool all_kept = false; !all_kept;) {
      ASSERT_FALSE(deadline.Passed()) << progress_->written << " lines were written";
      int status = 0;
      const pid_t pid = waitpid(-1, &status, 0);
      const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
      if (agent_.TakeEnd(pid)) {
        ASSERT_TRUE(killed) << "the agent: " << status;
        StartAgent(on_full);
      } else if (berthd_.TakeEnd(pid)) {
        all_kept = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        ASSERT_TRUE(killed || all_kept) << "berthd: " << status;
        if (killed) StartBerthd();
      } else {
        ASSERT_TRUE(service_.TakeEnd(pid));
        ASSERT_EQ(status, 0) << "the service";
      }
    }
    agent_.Kill();
    RecordProperty("lives_of_agent", agents_.lives());
    RecordProperty("lives_of_berthd", berthds_.lives());
    // The last of each was not killed, or not at random.
    EXPECT_GT(agents_.lives(), 6);
    EXPECT_GT(berthds_.lives(), 6);
  }

  // Reads all that is kept. The lines that gaps stand for; each other one is there once, in order.
  void Check() {
    auto store =
        logs::Store::Open(VmPaths{dir_ / "state/vms/vm"}.LogStore(), {.max_bytes = kStoreBytes});
    ASSERT_TRUE(store);
    const logs::PageBounds bounds{
        .lines = 50'000, .text_bytes = 1 << 20, .scanned_bytes = 16 << 20};
    uint64_t due = 1;
    uint64_t covered = 0;  // records that gaps stand for, since the last line
    std::string text;
    logs::Page page;
    while (!page.end) {
      page = (*store)->Read(page.next, {}, bounds).value();
      for (const logs::Line& line : page.lines) {
        if (line.gap) {
          ASSERT_EQ(line.gap->errnum, 0) << "of the host's making, before " << due;
          ASSERT_EQ(text, "");
          covered += line.gap->to - line.gap->from + 1;
          ++gaps_;
          continue;
        }
        if (line.source != kService) continue;  // the agent's own
        text += line.text;
        if ((line.header.flags & LogFlag::kPartial) != 0) {
          ++cut_;
          continue;
        }
        uint64_t number = 0;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
        ASSERT_TRUE(parsed.ptr == text.data() + text.size()) << '"' << text << "\" for " << due;
        ASSERT_GE(number, due) << "there twice";
        ASSERT_LE(number - due, covered) << "after " << due;
        lost_ += number - due;
        due = number + 1;
        covered = 0;
        text.clear();
      }
    }
    EXPECT_EQ(due, kLines + 1);
    std::printf("seed %u: %d lives of the agent, %d of berthd; %ju lines in %ju gaps, %ju cut\n",
                kSeed, agents_.lives(), berthds_.lives(), uintmax_t{lost_}, uintmax_t{gaps_},
                uintmax_t{cut_});
  }

  uint64_t lost_ = 0;
  uint64_t gaps_ = 0;
  uint64_t cut_ = 0;

 private:
  void StartAgent(OnFull on_full) {
    // The first lines are more than the ring holds, and nobody is there to keep them.
    const bool alone = on_full == OnFull::kDropNowAndThen && progress_->written < kLines / 20;
    if (!alone && berthds_.lives() == 0) StartBerthd();
    const bool drops = on_full == OnFull::kDropNowAndThen && (alone || agents_.OneOf(4));
    microseconds life = agents_.Next(progress_->written);
    if (drops && !alone) life = std::min(life, kLongestDroppingLife);
    // PID 1 tells each agent what its service wants.
    service_config_.block_on_full = !drops;
    ASSERT_TRUE(log_.OutputOf(0, service_config_, -1));
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    control_.Reset(pair[0]);
    UniqueFd agents(pair[1]);
    const ControlPacket packet{.kind = ControlKind::kBootPhasesEnd,
                               .agent_starts = static_cast<uint32_t>(agents_.lives())};
    ASSERT_EQ(send(pair[0], &packet, sizeof(packet), 0), static_cast<ssize_t>(sizeof(packet)));
    log_.SendAll(pair[0]);
    agent_.Start(life, [&] {
      control_.Reset();
      return RunAgent(listener_.get(), std::move(agents), dir_);
    });
    ASSERT_EQ(eventfd_write(agent_starts_.get(), 1), 0);
  }
  void StartBerthd() {
    berthd_.Start(berthds_.Next(progress_->kept),
                  [&] { return RunBerthd(dir_, agent_starts_.get(), *progress_); });
  }

  TempDir dir_;
  UniqueFd listener_;
  UniqueFd control_;                                               // of the agent that lives
  UniqueFd agent_starts_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};  // heard by berthd
  Progress* progress_ = nullptr;
  init::GuestLog log_;
  init::ServiceConfig service_config_;
  Lives agents_{kSeed};
  Lives berthds_{kSeed + 1};
  Child device_;
  Child service_;
  Child agent_;
  Child berthd_;
};

TEST_F(LogKills, EachLineOfAServiceThatBlocksIsKeptOnce) {
  ASSERT_NO_FATAL_FAILURE(Run(OnFull::kBlock));
  ASSERT_NO_FATAL_FAILURE(Check());
  EXPECT_EQ(gaps_, 0U);
}

TEST_F(LogKills, EachLineIsKeptOnceOrAGapStandsForIt) {
  ASSERT_NO_FATAL_FAILURE(Run(OnFull::kDropNowAndThen));
  ASSERT_NO_FATAL_FAILURE(Check());
  EXPECT_GT(gaps_, 0U);
}

}  // namespace
}  // namespace berth::testing
