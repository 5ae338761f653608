// SPDX-License-Identifier: Apache-2.0
//
// Host: a private berthd in a directory of its own, and what a test says to it through the CLI.
// When it goes, it checks that nothing is left: no process, no mount, no file.
#ifndef BERTH_TESTS_E2E_HOST_H_
#define BERTH_TESTS_E2E_HOST_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/unique_fd.h"
#include "tests/e2e/process.h"

namespace berth::e2e {

// What the build made, or where BERTH_BIN_DIR and BERTH_IMAGES_DIR say.
std::string BinDir();  // berth, berthd, berth-shim, berth-vsock
// "demo" and the variants of tests/e2e/images, as a path; what is one already stays as it is.
std::string Image(const std::string& name);
std::string GuestBinDir();  // berth-init and the rest of the guest's
std::string SourceDir();    // this repository
// Whether the guest's programs have AddressSanitizer (tests/e2e/guest/sanitized). It keeps what
// they free, so what they take of memory says nothing then.
bool GuestIsSanitized();

class Host {
 public:
  // Starts berthd and waits until it listens. `state_dir` may be a directory that the test
  // prepared; empty: a new one.
  explicit Host(std::string state_dir = {}, std::vector<std::string> berthd_args = {});
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  // Ends berthd as an operator would (SIGTERM) and fails the test where anything remains.
  ~Host();

  // `berth ARGS…` against this daemon.
  Outcome Berth(std::vector<std::string> args, RunOptions options = {});
  std::unique_ptr<Process> StartBerth(std::vector<std::string> args, RunOptions options = {});
  // Creates and starts a VM of `image`; the test fails where either does not work.
  void Up(const std::string& vm, const std::string& image = "demo",
          std::vector<std::string> create_args = {});
  // A number of `berth status VM --json`: "hypervisor_pid", "vsock_pid", "shim_pid"; -1 where it
  // has none.
  pid_t Pid(const std::string& vm, const std::string& field);
  // `berth status VM --json`'s "state".
  std::string State(const std::string& vm);

  std::string VmDir(const std::string& vm) const { return dir_ + "/s/vms/" + vm; }
  const std::string& dir() const { return dir_; }
  std::string socket() const { return dir_ + "/b.sock"; }
  Process& daemon() { return *daemon_; }
  // After the end of the first: another one on the same state directory.
  void StartDaemon();

 private:
  std::vector<std::string> Argv(std::vector<std::string> args) const;

  std::string dir_;  // short: Unix socket paths below it have 107 bytes
  std::string state_dir_;
  std::vector<std::string> berthd_args_;
  std::unique_ptr<Process> daemon_;
};

// A connection to a Unix socket on which `request` was sent and something that holds `awaited` has
// come back; empty, and the test fails, where it does not within 30 s.
UniqueFd Converse(const std::string& path, std::string_view request, std::string_view awaited);

// The processes whose command line names `text`.
std::vector<pid_t> ProcessesNaming(const std::string& text);

// What lives and belongs to `dir`, a line each: processes that name it, and Unix sockets bound
// below it. QEMU does not name a VM's directory, but holds the sockets that it inherited.
std::string AliveBelow(const std::string& dir);

}  // namespace berth::e2e

#endif  // BERTH_TESTS_E2E_HOST_H_
