// SPDX-License-Identifier: Apache-2.0
//
// OomWatch: hears from the kernel's log (/dev/kmsg) which processes it killed for want of memory.
// Only what comes after its start: an agent that was started again repeats nothing. Runs on the
// agent's thread; owned by the agent.
#ifndef BERTH_AGENT_OOM_WATCH_H_
#define BERTH_AGENT_OOM_WATCH_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

// A record of /dev/kmsg as an OomKill: Linux' "oom-kill:constraint=…,task=…,pid=…,uid=…"
// (mm/oom_kill.c, since 4.19). Nullopt for any other, and for one that was not written by the
// kernel itself. Texts are UTF-8, and cut.
std::optional<v1::OomKill> ParseOomRecord(std::string_view record);

class OomWatch {
 public:
  using OnKill = std::function<void(v1::OomKill kill)>;

  OomWatch(boost::asio::any_io_executor executor, OnKill on_kill)
      : log_(std::move(executor)), on_kill_(std::move(on_kill)) {}
  OomWatch(const OomWatch&) = delete;
  OomWatch& operator=(const OomWatch&) = delete;

  // Opens the log at its end. Step "kmsg"; a kernel without one has no such events.
  Result<> Open(const std::string& path);
  // Until the log ends, which the kernel's never does.
  boost::asio::awaitable<void> Run();

  // Takes records, never waiting, and not many: a kill is logged before its process ends.
  void TakeNow() { [[maybe_unused]] const Turn turn = TakeTurn(); }
  // Of this agent's life; `last` is of the latest.
  uint64_t kills() const { return kills_; }
  const v1::OomKill& last() const { return last_; }

 private:
  enum class Turn { kMore, kEmpty, kEnd };
  Turn TakeTurn();

  boost::asio::posix::stream_descriptor log_;
  OnKill on_kill_;
  uint64_t kills_ = 0;
  v1::OomKill last_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_OOM_WATCH_H_
