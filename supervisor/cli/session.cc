// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "supervisor/cli/command.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/guest/terminal.h"

namespace berth::cli {

void AddSessionOptions(CLI::App* app, SessionOptions& options) {
  app->add_flag("-i,--interactive", options.interactive, "pass stdin on to the program");
  app->add_flag("-t,--tty", options.tty, "give the program a terminal");
  app->add_option("-e,--env", options.env, "NAME=VALUE, or NAME for its value here")
      ->expected(1)
      ->take_all();
  app->add_option("-w,--workdir", options.cwd, "directory in the guest");
  app->add_option("-u,--user", options.user, "USER[:GROUP], names or numbers");
  AddDuration(app, "--timeout", options.timeout_ms, "SIGTERM then, and SIGKILL 5 s later");
}

json SessionParams(const std::string& vm, const std::vector<std::string>& command,
                   const SessionOptions& options) {
  json params = {
      {"name", vm}, {"argv", command}, {"tty", options.tty}, {"stdin", options.interactive}};
  json env = json::array();
  for (const std::string& each : options.env) {
    if (each.find('=') != std::string::npos) {
      env.push_back(each);
    } else if (const char* value = std::getenv(each.c_str())) {
      env.push_back(each + "=" + value);
    }
  }
  if (!env.empty()) params["env"] = std::move(env);
  if (!options.cwd.empty()) params["cwd"] = options.cwd;
  if (const size_t colon = options.user.find(':'); colon != std::string::npos) {
    params["user"] = options.user.substr(0, colon);
    params["group"] = options.user.substr(colon + 1);
  } else if (!options.user.empty()) {
    params["user"] = options.user;
  }
  if (options.detach) params["detach"] = true;
  if (options.timeout_ms) params["timeout_ms"] = *options.timeout_ms;
  if (options.tty) {
    if (const auto size = guest::SizeOfTerminal(STDIN_FILENO)) {
      params["rows"] = size->rows;
      params["columns"] = size->columns;
    }
    if (const char* term = std::getenv("TERM")) params["term"] = term;
  }
  return params;
}

int ExitCodeOf(const guest::ExecOutcome& outcome) {
  if (outcome.timed_out) return daemon::kExitTimedOut;
  if (outcome.signal) return daemon::kExitSignalBase + static_cast<int>(*outcome.signal & 0x7f);
  return static_cast<int>(outcome.code.value_or(0) & 0xff);
}

int ExitCodeOf(const Error& error) {
  // A Failure of the guest's: its step opens the detail.
  if (error.step.name() == "guest" && error.detail.starts_with("exec: ")) {
    if (error.errnum == ENOENT) return daemon::kExitNotFound;
    return daemon::kExitNotExecutable;
  }
  // The reader of our output is gone, as `berth exec … | head` does it.
  if (error.step.name() == "write-output" && error.errnum == EPIPE) {
    return daemon::kExitSignalBase + SIGPIPE;
  }
  if (error.step.name() == "interrupted") {
    const size_t space = error.detail.rfind(' ');
    return daemon::kExitSignalBase + std::atoi(error.detail.c_str() + space + 1);
  }
  return daemon::kExitBerthFailed;
}

int ExitCodeOfGuest(const json& vm) {
  if (vm.value("state", "") != "Stopped") return daemon::kExitBerthFailed;
  const json exit = vm.value("guest_exit", json());
  if (!exit.is_object() || exit.value("cause", "") == "crash-loop") return daemon::kExitBerthFailed;
  const auto number = [&](const char* key) { return exit.value(key, uint64_t{0}); };
  if (exit.contains("signal")) {
    return daemon::kExitSignalBase + static_cast<int>(number("signal") & 0x7f);
  }
  return static_cast<int>(number("code") & 0xff);
}

namespace {

// A session's connection has broken: berthd learns why a moment later, or does not.
constexpr auto kWhyWait = std::chrono::seconds(3);
constexpr uint64_t kWhyLookMs = 100;

std::string WhyLost(Client& client, const std::string& vm, const std::string& instance_id) {
  const Deadline deadline = Deadline::In(kWhyWait);
  do {
    const auto status = client.Call("compute.vm.status", {{"name", vm}}, deadline);
    if (!status) return "berthd does not know more: " + status.error().message;
    const std::string state = status->value("state", "");
    if (state != "Running") return vm + " is " + state + ": " + status->value("why", "");
    const json agent = status->value("instance", json::object()).value("agent", json::object());
    if (agent.value("state", "") == "lost" || agent.value("instance_id", "") != instance_id) {
      return "the guest's agent ended; what ran in its sessions was killed with it";
    }
    // The agent's end is told by no call that waits; the VM's is.
    [[maybe_unused]] const auto ended = client.Call(
        "compute.vm.wait",
        {{"name", vm}, {"states", {"Stopped", "Failed"}}, {"timeout_ms", kWhyLookMs}}, deadline);
  } while (!deadline.Passed());
  return "see berth status " + vm;
}

}  // namespace

json ToJson(const guest::ExecOutcome& outcome) {
  json out = {{"session", outcome.session},
              {"left", outcome.left},
              {"pid", outcome.pid},
              {"code", nullptr},
              {"signal", nullptr},
              {"core_dumped", outcome.core_dumped},
              {"timed_out", outcome.timed_out},
              {"output_held", outcome.output_held},
              {"oom_kill", nullptr},
              {"user_us", outcome.user_us},
              {"system_us", outcome.system_us},
              {"max_rss_kib", outcome.max_rss_kib},
              {"wall_us", outcome.wall_us}};
  if (outcome.code) out["code"] = *outcome.code;
  if (outcome.signal) out["signal"] = *outcome.signal;
  if (!outcome.oom_kill.empty()) out["oom_kill"] = outcome.oom_kill;
  return out;
}

int RunSession(Client& client, const std::string& what, const std::string& vm,
               const std::vector<std::string>& command, const SessionOptions& options, bool json) {
  guest::ExecStreams streams;
  streams.stdin_fd = options.interactive ? STDIN_FILENO : -1;
  streams.stdin_open = options.interactive;
  streams.tty = options.tty;
  streams.detach = options.detach;
  return CarrySession(client, what, vm, "compute.vm.exec", SessionParams(vm, command, options),
                      streams, json);
}

int CarrySession(Client& client, const std::string& what, const std::string& vm,
                 const std::string& method, nlohmann::json params, guest::ExecStreams streams,
                 bool json) {
  std::string instance_id;
  streams.instance_id = &instance_id;
  auto connection = client.CallForFd(method, std::move(params), Deadline::In(kQuickCall));
  if (!connection) {
    return Report(what, {daemon::kExitBerthFailed, connection.error().message});
  }
  const auto outcome = guest::RunExecSession(std::move(*connection), streams);
  if (!outcome) {
    const int code = ExitCodeOf(outcome.error());
    // Nobody is there to read it, or the person knows: it was their key.
    if (code >= daemon::kExitSignalBase) return code;
    Error error = outcome.error();
    if (code == daemon::kExitBerthFailed && error.step.name() == "handshake") {
      error.detail = "the agent of " + vm + ": " + error.detail;
    }
    if (error.step.name() == "session" && error.errnum == ECONNRESET) {
      error.hint = WhyLost(client, vm, instance_id);
    }
    return Report(what, ToFailure(code, error));
  }
  if (streams.detach) {
    // Nothing else is on stdout, and scripts want it there.
    fmt::print("{}\n", json ? ToJson(*outcome).dump() : outcome->session);
    return 0;
  }
  if (json) {
    fmt::print(stderr, "{}\n", ToJson(*outcome).dump());
  } else if (outcome->left) {
    fmt::print(stderr, "\nberth: {}: left the session, which goes on\n", what);
  } else {
    if (outcome->timed_out) {
      fmt::print(stderr, "berth: {}: the command timed out and was ended\n", what);
    }
    if (!outcome->oom_kill.empty()) {
      fmt::print(stderr, "berth: {}: meanwhile {} was {}\n", what, vm, outcome->oom_kill);
    }
  }
  return outcome->left ? 0 : ExitCodeOf(*outcome);
}

}  // namespace berth::cli
