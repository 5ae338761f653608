// SPDX-License-Identifier: Apache-2.0
//
// PID 1's side of the control socket (protocol/base/service_control.h): who may ask, what is asked,
// and the answer when it is true. Never blocks; the event loop says when a descriptor is ready.
#ifndef BERTH_INIT_SERVICE_SERVER_H_
#define BERTH_INIT_SERVICE_SERVER_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "init/service_graph.h"
#include "protocol/base/result.h"
#include "protocol/base/service_control.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

class ServiceServer {
 public:
  using Time = ServiceGraph::Time;
  using Configure = std::function<Result<>(std::string_view)>;

  Result<> Open(const std::string& path);
  int fd() const { return listener_.get(); }

  // `watch` adds a client's descriptor to the event loop, under the client's number.
  void Accept(const std::function<void(int fd, uint64_t client)>& watch, Time now);
  void Read(uint64_t client, ServiceGraph& graph, const Configure& configure, Time now);
  // Answers those whose order has come to its end, or whose time has.
  void Answer(const ServiceGraph& graph, Time now);
  // Closes those who connected and said nothing.
  void DropIdle(Time now);
  std::optional<Time> next_deadline() const;

 private:
  struct Client {
    UniqueFd fd;
    Time deadline;
    std::optional<ServiceOrder> order;  // what it waits for; none: its request has not come yet
  };
  static void Send(Client& client, const Result<>& result);
  // What is to be said at once; nothing where the order is under way.
  std::optional<Result<>> Serve(Client& client, const ServiceRequest& request,
                                std::string_view text, ServiceGraph& graph,
                                const Configure& configure, Time now);

  UniqueFd listener_;
  std::map<uint64_t, Client> clients_;
  uint64_t next_client_ = 0;
  bool configured_ = false;
};

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_SERVER_H_
