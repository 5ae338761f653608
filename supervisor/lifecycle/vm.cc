// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/vm.h"

#include <spdlog/spdlog.h>

#include "protocol/base/clock.h"

namespace berth::lifecycle {

Vm::Vm(VmSpec spec, Journal& journal, boost::asio::any_io_executor executor)
    : spec_(std::move(spec)), journal_(journal), changed_(std::move(executor)) {}

InstancePtr Vm::instance() const {
  if (const auto* starting = std::get_if<Starting>(&body_)) return starting->instance;
  if (const auto* running = std::get_if<Running>(&body_)) return running->instance;
  if (const auto* stopping = std::get_if<Stopping>(&body_)) return stopping->instance;
  if (const auto* failed = std::get_if<Failed>(&body_)) return failed->leftover;
  return nullptr;
}

Result<> Vm::Created(const std::string& why) {
  created_realtime_ns_ = RealtimeNs();
  const StoredVm record{spec_, state(), created_realtime_ns_, {}};
  auto seq = journal_.Record(Entry{.vm = name(), .kind = EntryKind::kCreated, .why = why}, &record);
  if (!seq) return std::unexpected(seq.error());
  return {};
}

Result<> Vm::Apply(Event event, Body next, std::string why) {
  const State from = state();
  BERTH_ASSIGN(const State to, Advance(from, event));
  if (to != StateOf(next)) {
    return Fail("transition", EPROTO,
                "'" + std::string(Name(event)) + "' leads to " + std::string(Name(to)) +
                    ", not to " + std::string(Name(StateOf(next))));
  }
  if (why.size() > kMaxWhyBytes) why.resize(kMaxWhyBytes);
  Transition transition{0, from, event, to, std::move(why), RealtimeNs(), MonotonicNs()};
  std::deque<Transition> ring = ring_;
  ring.push_back(transition);
  if (ring.size() > kMaxRing) ring.pop_front();
  const StoredVm record{spec_, to, created_realtime_ns_, ring};
  Entry entry{.vm = name(), .kind = EntryKind::kTransition, .why = transition.why};
  entry.transition = std::move(transition);
  // Recorded first: nobody hears of a state that a restart would not know of.
  BERTH_ASSIGN(const uint64_t seq, journal_.Record(std::move(entry), &record));
  ring.back().seq = seq;
  ring_ = std::move(ring);
  body_ = std::move(next);
  spdlog::info("{}: {} -> {} ({}): {}", name(), Name(from), Name(to), Name(event),
               ring_.back().why);
  changed_.NotifyAll();
  return {};
}

void Vm::Note(EntryKind kind, std::string why, std::optional<uint64_t> count) {
  if (why.size() > kMaxWhyBytes) why.resize(kMaxWhyBytes);
  spdlog::info("{}: {}: {}", name(), Name(kind), why);
  Entry entry{.vm = name(), .kind = kind, .why = std::move(why), .count = count};
  if (auto seq = journal_.Record(std::move(entry), nullptr); !seq) {
    spdlog::error("{}: event not recorded: {}", name(), seq.error().Message());
  }
}

}  // namespace berth::lifecycle
