// SPDX-License-Identifier: Apache-2.0
//
// What `berth forward` does once it listens: for each client that connects it asks berthd for a
// connection into the guest and moves the bytes of both. One thread around one poll(2), so that
// thousands of descriptors cost no more than those that have something to say.
//
// A slow side is never read ahead for: what it does not take stays with the other one
// (protocol/wire/relay.h). What the guest sends is bounded and checked. Where berthd goes away,
// open connections go on, and new clients wait until it is back.
#ifndef BERTH_SUPERVISOR_CLI_FORWARD_LOOP_H_
#define BERTH_SUPERVISOR_CLI_FORWARD_LOOP_H_

#include <poll.h>

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/wire/relay.h"
#include "supervisor/cli/api_stream.h"
#include "supervisor/cli/forward_listener.h"
#include "supervisor/cli/forward_spec.h"
#include "supervisor/guest/signal_capture.h"

namespace berth::cli {

struct ForwardRoute {
  ForwardListener listener;
  ForwardEnd remote;
};

// One connection into a guest, from the descriptor that berthd hands over to its end.
class ForwardLink {
 public:
  // `ends` but for its streams and the framed end, which is `guest`.
  ForwardLink(wire::RelayPool& pool, UniqueFd guest, wire::RelayEnds ends);
  ForwardLink(const ForwardLink&) = delete;
  ForwardLink& operator=(const ForwardLink&) = delete;

  // As Relay::Round. Error steps are the relay's, "guest" for what the guest refused, "handshake".
  Result<wire::Relay::Progress> Round();
  const wire::Relay::Wants& wants() const { return relay_.wants(); }
  int guest() const { return guest_.get(); }
  // The guest has connected: what fails from here on is the life of a connection.
  bool opened() const { return opened_; }

 private:
  Result<> OnMessage(const v1::Envelope& message);

  UniqueFd guest_;
  wire::Relay relay_;
  bool greeted_ = false;
  bool opened_ = false;
  const Deadline opening_;
};

class ForwardLoop {
 public:
  // `berthd`: its socket's path.
  ForwardLoop(std::string vm, std::string berthd, std::vector<ForwardRoute> routes);
  ForwardLoop(const ForwardLoop&) = delete;
  ForwardLoop& operator=(const ForwardLoop&) = delete;
  ~ForwardLoop();

  // Until a signal or the VM's end; the exit code.
  int Run();

 private:
  struct Client {
    UniqueFd fd;
    const ForwardRoute* route = nullptr;
  };
  struct Link {
    Client client;  // in front of the link, which uses its descriptor
    std::unique_ptr<ForwardLink> forward;
    bool opened = false;  // as the link said last
    bool more = false;    // it has work that no event announces
    size_t polled = 0;    // where its descriptors stand among those polled
    size_t polled_end = 0;
  };

  Outcome<> Connect();
  void AfterLoss();
  void Ask(Client client);
  void Accept(const ForwardRoute& route);
  void TakeAnswers();
  void TakeWatch(const Outcome<json>& state);
  void Begin(Client client, UniqueFd guest);
  void RunLinks(const std::vector<pollfd>& polled);
  bool MayAccept() const;
  int PollTimeoutMs() const;
  void Drop(const Client& client);
  // Once for each kind of trouble: a thousand clients meet the same.
  void Say(const std::string& text);

  const std::string vm_;
  const std::string berthd_;
  const std::vector<ForwardRoute> routes_;
  guest::SignalCapture signals_;
  wire::RelayPool pool_;
  std::list<Link> links_;  // after their pool
  std::optional<ApiStream> api_;
  std::optional<Deadline> reconnect_;
  int64_t watch_ = 0;                  // the call that waits for the VM's end
  std::map<int64_t, Client> waiting_;  // for a connection into the guest, by their call
  std::deque<Client> unasked_;         // berthd went away before it answered them
  std::optional<Failure> end_;
  std::set<std::string> said_;
  size_t unsaid_ = 0;
  size_t opening_ = 0;  // links that are not opened yet
  size_t max_links_ = 0;
};

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_FORWARD_LOOP_H_
