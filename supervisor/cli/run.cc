// SPDX-License-Identifier: Apache-2.0
//
// berth run IMAGE -- CMD…: a VM for one command: create, start, exec, remove. It removes the VM
// however it ends, but by SIGKILL.
#include <fmt/format.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/session.h"
#include "supervisor/cli/spec_options.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/guest/signal_capture.h"

namespace berth::cli {
namespace {

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

int Run(const Shared& shared, Options& options, const std::vector<std::string>& command) {
  const std::string name = options.name.empty() ? RandomName() : options.name;
  const std::string what = "run";
  if (command.empty()) {
    return Report(what, {daemon::kExitUsage, "no command; berth run IMAGE -- COMMAND…"});
  }
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
  (*command)->footer("Exits as berth exec does.");
}

}  // namespace berth::cli
