// SPDX-License-Identifier: Apache-2.0
//
// berth run IMAGE -- CMD…: a VM for one command: create, start, exec, remove. Without a command the
// VM runs until its guest ends it, and its main service's end is ours. It removes the VM however it
// ends, but by SIGKILL.
#include <fmt/format.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/session.h"
#include "supervisor/cli/spec_options.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/guest/signal_capture.h"

namespace berth::cli {
namespace {

constexpr int kTimedOutCode = daemon::Info(daemon::Kind::kTimedOut).exit_code;

struct Options {
  std::string name;
  SpecOptions spec;
  SessionOptions session;
};

std::string RandomName() {
  uint32_t number = 0;
  if (getrandom(&number, sizeof(number), 0) != sizeof(number))
    number = static_cast<uint32_t>(getpid());
  return fmt::format("run-{:08x}", number);
}

// Removes the VM with its last breath, on a connection of its own: the one that the calls went over
// may wait for an answer still.
class Removal {
 public:
  Removal(const Shared& shared, std::string name) : shared_(shared), name_(std::move(name)) {}
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;
  ~Removal() {
    auto client = shared_.Connect();
    const auto removed = client
                             ? client->Call("compute.vm.remove", {{"name", name_}, {"force", true}},
                                            Deadline::In(std::chrono::minutes(1)))
                             : std::unexpected(client.error());
    if (!removed) {
      fmt::print(stderr, "berth: run: {} was not removed: {}\n", name_, removed.error().message);
    }
  }

 private:
  const Shared& shared_;
  const std::string name_;
};

void PrintEnd(bool timed_out, const json& guest_exit) {
  fmt::print(stderr, "{}\n", json{{"timed_out", timed_out}, {"guest_exit", guest_exit}}.dump());
}

// Until the guest ends the VM. Our exit code is that of its main service.
int AwaitEnd(const Shared& shared, Client& client, const std::string& name,
             const std::optional<uint64_t>& timeout_ms) {
  using std::chrono::milliseconds;
  json params = {{"name", name}, {"states", {"Stopped", "Failed"}}};
  const auto until = Deadline::Clock::now() + milliseconds(timeout_ms.value_or(0));
  Outcome<json> ended = std::unexpected(Failure{});
  do {
    // berthd waits an hour at most, and is asked again.
    if (timeout_ms) {
      const auto left = std::chrono::ceil<milliseconds>(until - Deadline::Clock::now()).count();
      params["timeout_ms"] = std::max<int64_t>(left, 0);
    }
    ended = client.Call("compute.vm.wait", params, Deadline::In(kVmCall));
  } while (!ended && ended.error().exit_code == kTimedOutCode &&
           (!timeout_ms || Deadline::Clock::now() < until));
  if (!ended) {
    if (ended.error().exit_code != kTimedOutCode) {
      return Report("run", {daemon::kExitBerthFailed, ended.error().message});
    }
    if (shared.json) {
      PrintEnd(true, nullptr);
    } else {
      fmt::print(stderr, "berth: run: the VM ran over --timeout and is ended\n");
    }
    return daemon::kExitTimedOut;
  }
  const auto vm = client.Call("compute.vm.status", {{"name", name}}, Deadline::In(kQuickCall));
  if (!vm) return Report("run", {daemon::kExitBerthFailed, vm.error().message});
  const json guest_exit = vm->value("guest_exit", json());
  if (shared.json) {
    PrintEnd(false, guest_exit);
  } else if (!shared.quiet) {
    fmt::print(stderr, "berth: run: {}\n", OneLine(vm->value("why", "")));
  }
  if (!shared.json && guest_exit.is_null() && vm->value("state", "") == "Stopped") {
    fmt::print(stderr,
               "berth: run: the guest did not say how it ended, so its main service's exit code is "
               "not known\n");
  }
  return ExitCodeOfGuest(*vm);
}

int Run(const Shared& shared, Options& options, const std::vector<std::string>& command) {
  const SessionOptions& session = options.session;
  if (command.empty() && (session.interactive || session.tty || !session.env.empty() ||
                          !session.cwd.empty() || !session.user.empty())) {
    throw CLI::ValidationError("run", "-i, -t, -e, -w and -u are for a command: -- COMMAND…");
  }
  const std::string name = options.name.empty() ? RandomName() : options.name;
  const std::string what = "run";
  // From here on a signal ends the waiting and not the program: there is a VM to remove.
  guest::SignalCapture signals({SIGINT, SIGTERM, SIGHUP});
  auto client = shared.Connect();
  if (!client) return Report(what, {daemon::kExitBerthFailed, client.error().message});
  client->set_interrupt_fd(signals.fd());
  const auto failed = [&](const Failure& failure) {
    if (const auto signal = signals.Take()) return daemon::kExitSignalBase + *signal;
    return Report(what, {daemon::kExitBerthFailed, failure.message});
  };

  auto created = client->Call("compute.vm.create", {{"spec", ToSpec(name, options.spec)}},
                              Deadline::In(kQuickCall));
  if (!created) return failed(created.error());
  const Removal removal(shared, name);
  auto started = client->Call("compute.vm.start", {{"name", name}}, Deadline::In(kVmCall));
  if (!started) return failed(started.error());
  if (command.empty()) {
    const int code = AwaitEnd(shared, *client, name, options.session.timeout_ms);
    if (const auto signal = signals.Take()) return daemon::kExitSignalBase + *signal;
    return code;
  }
  // The session takes the signals for itself and hands them to the command.
  return RunSession(*client, what, name, command, options.session, shared.json);
}

}  // namespace

void AddRun(CLI::App& app, Shared& shared) {
  auto options = std::make_shared<Options>();
  const auto command = std::make_shared<CLI::App*>(nullptr);
  *command = AddCommand(
      app, shared, "run", "run a program in a VM of its own", [&shared, options, command] {
        return Run(shared, *options, shared.has_tail ? shared.tail : (*command)->remaining());
      });
  (*command)->prefix_command();
  (*command)->add_option("IMAGE", options->spec.image, "directory with an image.json")->required();
  (*command)->add_option("--name", options->name, "of the VM; default: run- and a random number");
  AddSpecOptions(*command, options->spec);
  AddSessionOptions(*command, options->session);
  (*command)->footer(
      "Exits as berth exec does. Without a command: with its main service's code, once the guest "
      "has ended.");
}

}  // namespace berth::cli
