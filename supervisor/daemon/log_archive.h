// SPDX-License-Identifier: Apache-2.0
//
// LogArchive: the log stores of a daemon's VMs, and the one thread on which all of them are read
// and written: a disk that takes its time holds up logs, and nothing else. VmLogs is one VM's; it
// is shared by who writes to it (a LogFollower) and who reads it (the API), and outlives the VM
// where one of them still does.
//
// All calls are made on the daemon's thread; the stores themselves are touched on the other one
// only.
#ifndef BERTH_SUPERVISOR_DAEMON_LOG_ARCHIVE_H_
#define BERTH_SUPERVISOR_DAEMON_LOG_ARCHIVE_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "protocol/base/result.h"
#include "supervisor/hypervisor/vm_spec.h"
#include "supervisor/lifecycle/notifier.h"
#include "supervisor/logs/store.h"

namespace berth::daemon {

class VmLogs {
 public:
  VmLogs(boost::asio::any_io_executor executor, boost::asio::thread_pool& disk, std::string dir,
         logs::StoreBounds bounds);
  VmLogs(const VmLogs&) = delete;
  VmLogs& operator=(const VmLogs&) = delete;

  struct Facts {
    uint64_t id = 0;  // of the store: another one after the VM was removed and created anew
    bool empty = true;
  };
  // Each opens the store where that was not done yet, and is as logs::Store has it. They keep what
  // they need alive on the other thread; the caller keeps the VmLogs.
  boost::asio::awaitable<Result<Facts>> Look();
  boost::asio::awaitable<Result<logs::Store::Tail>> Tail();
  boost::asio::awaitable<Result<>> Append(logs::BootId boot_id, std::string records);
  boost::asio::awaitable<Result<logs::Page>> Read(logs::Position after, logs::Filter filter,
                                                  logs::PageBounds bounds);
  // Before the last `lines` lines; looks at all that is kept if need be, in steps between which the
  // logs of other VMs have their turn.
  boost::asio::awaitable<Result<logs::Position>> FindLast(size_t lines, logs::Filter filter);

  // Told at every Append, and when what stands below changes; counts them too.
  lifecycle::Notifier& changed() { return changed_; }
  uint64_t changes() const { return changes_; }

  // A follower is at work: more may come. One of an earlier start may still be reading what is
  // left.
  bool followed() const { return followers_ > 0; }
  // Why nothing comes from the guest at present, if it does not.
  const std::optional<Error>& trouble() const { return trouble_; }
  void AddFollower();
  void RemoveFollower();
  void SetTrouble(std::optional<Error> trouble);

 private:
  struct Shelf;  // what the other thread works on

  template <typename Work>
  auto OnDisk(Work work);
  void Changed();

  boost::asio::thread_pool& disk_;
  const std::shared_ptr<Shelf> shelf_;
  lifecycle::Notifier changed_;
  uint64_t changes_ = 0;
  int followers_ = 0;
  std::optional<Error> trouble_;
};

using VmLogsPtr = std::shared_ptr<VmLogs>;

class LogArchive {
 public:
  LogArchive(boost::asio::any_io_executor executor, std::string state_dir)
      : executor_(std::move(executor)), state_dir_(std::move(state_dir)) {}

  // Of a VM whose spec this is.
  VmLogsPtr Of(const VmSpec& spec);
  // The VM's directory goes away.
  void Forget(const std::string& vm) { vms_.erase(vm); }

 private:
  boost::asio::any_io_executor executor_;
  const std::string state_dir_;
  std::map<std::string, VmLogsPtr> vms_;
  boost::asio::thread_pool disk_{1};  // last: joined before the rest goes
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_LOG_ARCHIVE_H_
