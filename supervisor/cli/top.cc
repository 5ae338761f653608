// SPDX-License-Identifier: Apache-2.0
//
// berth top: what all running VMs use, drawn again and again on a terminal, once elsewhere. All are
// asked at once, a bounded number at a time; one that does not answer is shown as such and holds
// nobody up.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <deque>
#include <map>

#include "supervisor/cli/api_stream.h"
#include "supervisor/cli/command.h"
#include "supervisor/cli/stats_view.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/daemon/paths.h"
#include "supervisor/guest/signal_capture.h"
#include "supervisor/guest/terminal.h"

namespace berth::cli {
namespace {

// berthd answers 32 calls of one client at once.
constexpr size_t kMaxAsked = 16;
constexpr auto kSecondLook = std::chrono::seconds(1);
// berthd gives a guest 5 s; what is not there then is not waited for where all is printed once.
constexpr auto kPatience = std::chrono::seconds(7);
constexpr char kCtrlC = 3;

struct TopOptions {
  std::string sort = "cpu";
  std::string interval = "2s";
};

// The terminal's other screen, without a cursor, for as long as this lives.
class Screen {
 public:
  explicit Screen(bool on) : on_(on), keys_(on ? STDIN_FILENO : -1) {
    if (on_) Put("\x1b[?1049h\x1b[?25l");
  }
  ~Screen() {
    if (on_) Put("\x1b[?25h\x1b[?1049l");
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // At most as many lines as the terminal has. Its keys are raw: each line goes back by itself.
  static void Draw(const std::string& text) {
    const auto size = guest::SizeOfTerminal(STDOUT_FILENO);
    size_t left = size ? size->rows : 24;
    std::string out = "\x1b[H";
    for (size_t begin = 0; begin < text.size() && left > 0; --left) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      out += (begin == 0 ? "" : "\r\n") + text.substr(begin, end - begin) + "\x1b[K";
      begin = end + 1;
    }
    Put(out + "\x1b[J");
  }

 private:
  static void Put(const std::string& text) {
    fmt::print("{}", text);
    std::fflush(stdout);
  }

  bool on_;
  guest::RawTerminal keys_;
};

// What is known of the VMs, and asked.
class TopVms {
 public:
  explicit TopVms(ApiStream& api) : api_(api) {}

  // Asks who there is, unless that is being asked still.
  void Look() {
    if (list_ == 0) list_ = api_.Call("compute.vm.list", json::object());
  }

  Outcome<> Take(const ApiStream::Answer& answer) {
    if (answer.id == list_) {
      list_ = 0;
      if (!answer.result) return std::unexpected(answer.result.error());
      return TakeList(*answer.result);
    }
    const auto asked = asked_.find(answer.id);
    if (asked == asked_.end()) return {};
    const auto vm = vms_.find(asked->second);
    asked_.erase(asked);
    if (vm != vms_.end()) {
      vm->second.asked = false;
      if (answer.result) {
        vm->second.before = std::exchange(vm->second.after, *answer.result);
        vm->second.note.clear();
      } else {
        vm->second.note = answer.result.error().message;
        vm->second.before = vm->second.after = nullptr;
      }
    }
    AskMore();
    return {};
  }

  // Nothing is on its way.
  bool idle() const { return list_ == 0 && asked_.empty() && due_.empty(); }

  std::vector<TopRow> Rows() const {
    std::vector<TopRow> rows;
    for (const auto& [name, vm] : vms_) {
      if (!vm.after.is_null()) {
        rows.push_back(MakeTopRow(name, vm.before, vm.after));
      } else {
        TopRow row;
        row.vm = name;
        row.note = !vm.note.empty() ? vm.note : "does not answer";
        rows.push_back(std::move(row));
      }
    }
    return rows;
  }

 private:
  struct Vm {
    json before;  // the last two answers
    json after;
    std::string note;
    bool asked = false;
  };

  Outcome<> TakeList(const json& list) {
    std::map<std::string, Vm> now;
    for (const json& each : list) {
      if (each.value("state", "") != "Running") continue;
      const std::string name = each.value("name", "");
      auto known = vms_.extract(name);
      Vm vm = known.empty() ? Vm() : std::move(known.mapped());
      if (each.value("paused", false)) {
        vm.note = "paused";
        vm.before = vm.after = nullptr;
      } else if (!vm.asked) {
        vm.asked = true;
        due_.push_back(name);
      }
      now.emplace(name, std::move(vm));
    }
    vms_ = std::move(now);
    AskMore();
    return {};
  }

  void AskMore() {
    while (!due_.empty() && asked_.size() < kMaxAsked) {
      const int64_t id = api_.Call("compute.vm.stats", {{"name", due_.front()}});
      asked_.emplace(id, std::move(due_.front()));
      due_.pop_front();
    }
  }

  ApiStream& api_;
  std::map<std::string, Vm> vms_;
  std::map<int64_t, std::string> asked_;
  std::deque<std::string> due_;
  int64_t list_ = 0;  // the call on its way
};

json RowsJson(const std::vector<TopRow>& rows) {
  json out = json::array();
  for (const TopRow& row : rows) {
    if (!row.note.empty()) {
      out.push_back({{"vm", row.vm}, {"note", row.note}});
      continue;
    }
    out.push_back({{"vm", row.vm},
                   {"cpu_percent", row.cpu},
                   {"host_cpu_percent", row.host_cpu},
                   {"memory_bytes", row.memory_bytes},
                   {"memory_total_bytes", row.memory_total_bytes},
                   {"host_rss_bytes", row.host_rss_bytes},
                   {"load", row.load},
                   {"rx_per_s", row.rx},
                   {"tx_per_s", row.tx},
                   {"read_per_s", row.read},
                   {"write_per_s", row.write}});
  }
  return out;
}

class Top {
 public:
  Top(const Shared& shared, const TopOptions& options, ApiStream api)
      : shared_(shared),
        order_(options.sort == "mem" ? TopOrder::kMemory : TopOrder::kCpu),
        interval_(ParseDuration(options.interval)),
        api_(std::move(api)),
        vms_(api_),
        live_(!shared.json && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1),
        signals_({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) {}

  int Run() {
    std::optional<Failure> failed;
    std::optional<int> code;
    {
      // Gone, whatever happens, before an error is said.
      const Screen screen(live_);
      code = live_ ? Live(failed) : Once(failed);
    }
    return failed ? Report("top", *failed) : code.value_or(0);
  }

 private:
  enum class Came { kTime, kKey, kSignal };

  // Takes what comes until the deadline, a key or a signal.
  Outcome<Came> Wait(Deadline deadline, bool until_idle) {
    for (;;) {
      if (until_idle && vms_.idle()) return Came::kTime;
      pollfd polled[] = {{.fd = api_.fd(), .events = api_.wants(), .revents = 0},
                         {.fd = signals_.fd(), .events = POLLIN, .revents = 0},
                         {.fd = live_ ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0}};
      const int n = poll(polled, std::size(polled), deadline.PollTimeoutMs());
      if (n < 0 && errno == EINTR) continue;
      if (n == 0) return Came::kTime;
      if (polled[1].revents != 0) {
        signal_ = signals_.Take().value_or(SIGWINCH);
        // What is printed once has no size to follow.
        if (signal_ == SIGWINCH && !live_) continue;
        return Came::kSignal;
      }
      if (polled[2].revents != 0) return Came::kKey;
      auto answers = api_.Move();
      if (!answers) {
        return std::unexpected(ToFailure(daemon::kExitUnreachable, answers.error()));
      }
      for (const ApiStream::Answer& answer : *answers) {
        if (auto taken = vms_.Take(answer); !taken) return std::unexpected(taken.error());
      }
    }
  }

  std::vector<TopRow> Sorted() const {
    auto rows = vms_.Rows();
    SortTop(rows, order_);
    return rows;
  }

  // Two looks, and the table.
  std::optional<int> Once(std::optional<Failure>& failed) {
    for (int look = 0; look < 2; ++look) {
      const Deadline second = Deadline::In(kSecondLook);
      vms_.Look();
      auto came = Wait(Deadline::In(kPatience), true);
      if (came && *came == Came::kTime && look == 0) came = Wait(second, false);
      if (!came) {
        failed = came.error();
        return std::nullopt;
      }
      if (*came == Came::kSignal) return daemon::kExitSignalBase + signal_;
    }
    const auto rows = Sorted();
    if (shared_.json) {
      fmt::print("{}\n", RowsJson(rows).dump(2));
    } else {
      fmt::print("{}", RenderTop(rows, TerminalWidth()));
    }
    return 0;
  }

  std::optional<int> Live(std::optional<Failure>& failed) {
    Deadline next = Deadline::In(std::chrono::milliseconds(0));
    for (bool quick = true;;) {
      if (next.Passed()) {
        vms_.Look();
        // The first rates come soon.
        next = Deadline::In(quick ? std::min<std::chrono::milliseconds>(interval_, kSecondLook)
                                  : interval_);
        quick = false;
      }
      const auto came = Wait(next, false);
      if (!came) {
        failed = came.error();
        return std::nullopt;
      }
      if (*came == Came::kSignal && signal_ != SIGWINCH) return daemon::kExitSignalBase + signal_;
      if (*came == Came::kKey) {
        char key = 0;
        const ssize_t n = read(STDIN_FILENO, &key, 1);
        if (n == 0 || (n < 0 && errno != EINTR) || key == 'q') return 0;
        if (key == kCtrlC) return daemon::kExitSignalBase + SIGINT;
        if (key == 'c') order_ = TopOrder::kCpu;
        if (key == 'm') order_ = TopOrder::kMemory;
      }
      Screen::Draw(fmt::format("berth top  {}  sorted by {}   q quits, c by cpu, m by memory\n\n",
                               ClockTime(RealtimeNs()),
                               order_ == TopOrder::kCpu ? "cpu" : "memory") +
                   RenderTop(Sorted(), TerminalWidth()));
    }
  }

  const Shared& shared_;
  TopOrder order_;
  const std::chrono::milliseconds interval_;
  ApiStream api_;
  TopVms vms_;
  const bool live_;
  guest::SignalCapture signals_;
  int signal_ = 0;  // the last that came
};

}  // namespace

void AddTop(CLI::App& app, Shared& shared) {
  auto options = std::make_shared<TopOptions>();
  CLI::App* command =
      AddCommand(app, shared, "top", "what all running VMs use", [&shared, options] {
        if (ParseDuration(options->interval) < std::chrono::milliseconds(100)) {
          throw CLI::ValidationError("--interval", "at least 100ms");
        }
        auto berthd = DialBerthd(daemon::SocketPath(shared.socket));
        if (!berthd) return Report("top", berthd.error());
        return Top(shared, *options, ApiStream(std::move(*berthd))).Run();
      });
  command->add_option("--sort", options->sort, "cpu or mem; default: cpu")
      ->check(CLI::IsMember({"cpu", "mem"}));
  command->add_option("--interval", options->interval, "between two looks; default: 2s")
      ->type_name("DURATION");
}

}  // namespace berth::cli
