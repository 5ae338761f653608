// SPDX-License-Identifier: Apache-2.0
//
// A cgroup (v2) for each exec session, so that all it ever started can be ended, whatever became of
// its process groups. Each stands in berth.sessions below the root of the hierarchy. Those that a
// session leaves empty serve the next ones: making and removing one costs more than a short
// program. Without cgroup2 sessions run all the same, and are ended by process group alone. One
// thread; outlives the sessions.
#ifndef BERTH_AGENT_SESSION_CGROUPS_H_
#define BERTH_AGENT_SESSION_CGROUPS_H_

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/unique_fd.h"

namespace berth::agent {

class SessionCgroups {
 public:
  // Kept for the next sessions; more are removed when they come back.
  static constexpr size_t kMaxIdle = 16;

  // `root`: where cgroup2 is mounted. What agents before this one left is removed once it is empty.
  explicit SessionCgroups(const std::string& root);
  SessionCgroups(const SessionCgroups&) = delete;
  SessionCgroups& operator=(const SessionCgroups&) = delete;

 private:
  struct Cgroup {
    std::string name;
    UniqueFd dir;
    UniqueFd events;  // its cgroup.events
  };

 public:
  // One session's. Given back when this ends; what still runs in it then goes on.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          cgroup_(std::move(other.cgroup_)),
          spoilt_(other.spoilt_) {}
    Lease& operator=(Lease&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(cgroup_, other.cgroup_);
      std::swap(spoilt_, other.spoilt_);
      return *this;
    }
    ~Lease() {
      if (pool_ != nullptr) pool_->Return(std::move(cgroup_), spoilt_);
    }

    // For SpawnPlan::cgroup; -1 where there is none.
    int dir() const { return cgroup_.dir.get(); }
    const std::string& name() const { return cgroup_.name; }
    // SIGKILL to all in it.
    void KillAll() const;
    // It takes no process any more: a session made cgroups of its own below it.
    void Spoil() { spoilt_ = true; }

   private:
    friend class SessionCgroups;
    Lease(SessionCgroups* pool, Cgroup cgroup) : pool_(pool), cgroup_(std::move(cgroup)) {}
    SessionCgroups* pool_ = nullptr;
    Cgroup cgroup_;
    bool spoilt_ = false;
  };

  // Empty where there is no cgroup2, or no more to be had.
  Lease Take();

 private:
  void Return(Cgroup cgroup, bool spoilt);
  // Removes some of those whose last process may have ended since.
  void Sweep();

  UniqueFd parent_;
  std::string prefix_;  // of this agent's, so that none is taken for one of another's
  unsigned made_ = 0;
  std::vector<Cgroup> idle_;
  std::deque<std::string> left_;  // names of those that were not empty
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_SESSION_CGROUPS_H_
