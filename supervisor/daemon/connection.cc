// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/connection.h"

#include <spdlog/spdlog.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/base/io.h"
#include "protocol/base/text.h"
#include "protocol/wire/readiness.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr size_t kReadBytes = 16 * 1024;

// The VM that a call is about, for the log: a name of anybody's making until it is checked.
std::string NamedIn(const json& params) {
  const auto spec = params.find("spec");
  const json& holder = spec == params.end() ? params : *spec;
  const auto name = holder.find("name");
  if (name == holder.end() || !name->is_string()) return {};
  return Printable(name->get<std::string>(), kMaxVmNameBytes);
}

}  // namespace

Connection::Connection(Socket socket, Caller caller, Service& service, ConnectionLimits limits)
    : socket_(std::move(socket)),
      caller_([&] {
        caller.recorded = std::make_shared<std::set<std::string>>();
        return std::move(caller);
      }()),
      service_(service),
      limits_(limits),
      changed_(socket_.get_executor()),
      line_timer_(socket_.get_executor()),
      write_timer_(socket_.get_executor()) {}

void Connection::Start() {
  const auto self = shared_from_this();
  asio::co_spawn(
      socket_.get_executor(),
      [](std::shared_ptr<Connection> c) -> awaitable<void> { co_await c->WatchHangUp(); }(self),
      asio::detached);
  asio::co_spawn(
      socket_.get_executor(),
      [](std::shared_ptr<Connection> c) -> awaitable<void> { co_await c->ReadLoop(); }(self),
      asio::detached);
  asio::co_spawn(
      socket_.get_executor(),
      [](std::shared_ptr<Connection> c) -> awaitable<void> { co_await c->WriteLoop(); }(self),
      asio::detached);
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  ++line_epoch_;
  ++write_epoch_;
  line_timer_.cancel();
  write_timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  queue_.clear();
  changed_.NotifyAll();
}

bool Connection::MayRead() const {
  return in_flight_ < limits_.max_in_flight && queued_bytes_ < limits_.max_queued_bytes;
}

void Connection::Watch(std::chrono::milliseconds timeout, const char* what,
                       asio::steady_timer& timer, uint64_t& epoch) {
  const uint64_t mine = ++epoch;
  timer.expires_after(timeout);
  timer.async_wait(
      [weak = weak_from_this(), what, mine, &epoch](const boost::system::error_code& code) {
        const auto self = weak.lock();
        if (code || !self || epoch != mine || self->closed_) return;
        spdlog::warn("api: {}: closed: {}", self->caller_.Text(), what);
        self->Close();
      });
}

awaitable<void> Connection::WatchHangUp() {
  // What was sent before is still read and done: only waiting for an answer is of no use now.
  co_await wire::AwaitReady(socket_, Socket::wait_error);
  gone_ = true;
  changed_.NotifyAll();
}

awaitable<void> Connection::AwaitGone() {
  while (!gone_) co_await changed_.Wait(Deadline::In(lifecycle::kUntilNotified));
}

awaitable<void> Connection::ReadLoop() {
  std::string input;
  size_t searched = 0;
  bool watched = false;
  while (!closed_) {
    if (!MayRead()) {
      co_await changed_.Wait(Deadline::In(lifecycle::kUntilNotified));
      continue;
    }
    if (const size_t end = input.find('\n', searched); end != std::string::npos) {
      ++line_epoch_;
      watched = false;
      std::string_view line(input.data(), end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) {
        ++in_flight_;
        asio::co_spawn(
            socket_.get_executor(),
            [](std::shared_ptr<Connection> c, Incoming incoming) -> awaitable<void> {
              co_await c->Handle(std::move(incoming));
            }(shared_from_this(), ParseLine(line)),
            asio::detached);
      }
      input.erase(0, end + 1);
      searched = 0;
      continue;
    }
    searched = input.size();
    if (input.size() > kMaxLineBytes) {
      Queue(Dump(ErrorObject(
                nullptr,
                {kInvalidRequest, "a line over " + std::to_string(kMaxLineBytes) + " bytes", {}})),
            {});
      break;
    }
    if (!input.empty() && !watched) {
      watched = true;
      Watch(limits_.line_timeout, "the rest of a line did not come", line_timer_, line_epoch_);
    }
    const size_t used = input.size();
    input.resize(used + kReadBytes);
    boost::system::error_code code;
    const size_t n =
        co_await socket_.async_read_some(asio::buffer(input.data() + used, kReadBytes),
                                         asio::redirect_error(asio::use_awaitable, code));
    input.resize(used + n);
    if (code) break;
  }
  ++line_epoch_;
  // What was asked is still answered: a client may close its writing half and wait.
  input_ended_ = true;
  changed_.NotifyAll();
}

awaitable<json> Connection::HandleOne(Request request, bool in_batch, UniqueFd* fd) {
  if (request.error) co_return ErrorObject(request.id, *request.error);
  const auto refuse = [&](RpcError error) {
    return request.notification ? json() : ErrorObject(request.id, error);
  };
  const Method* method = FindMethod(request.method);
  if (method == nullptr) {
    co_return refuse({kMethodNotFound, "no method is named '" + request.method + "'", {}});
  }
  if (method->hands_over && (in_batch || request.notification)) {
    co_return refuse({kInvalidRequest,
                      request.method + " hands a descriptor over: not in a batch, and with an id",
                      {}});
  }
  auto params = CheckParams(*method, request.params);
  if (!params) co_return refuse(params.error());
  if (method->changes) {
    spdlog::info("api: {}: {} {}", caller_.Text(), method->name, NamedIn(*params));
  }
  if (method->handler == nullptr) co_return ResultObject(request.id, Discover(Methods()));
  const std::string name = params->value("name", "");
  Caller caller = caller_;
  caller.gone = [self = shared_from_this()] { return self->AwaitGone(); };
  auto answer = co_await method->handler(service_, std::move(*params), std::move(caller));
  if (!answer) {
    const auto vm = service_.fleet.vms().find(name);
    co_return refuse(ToRpcError(answer.error(), vm == service_.fleet.vms().end()
                                                    ? ""
                                                    : lifecycle::Name(vm->second->state())));
  }
  *fd = std::move(answer->fd);
  co_return request.notification ? json() : ResultObject(request.id, std::move(answer->result));
}

awaitable<void> Connection::Handle(Incoming incoming) {
  json answers = json::array();
  UniqueFd fd;
  for (Request& request : incoming.requests) {
    const json id = request.id;
    json answer;
    // A handler that throws (the API's own libraries may) costs its caller an error, no more.
    try {
      answer = co_await HandleOne(std::move(request), incoming.batch, &fd);
    } catch (const std::exception& e) {
      spdlog::error("api: {}", e.what());
      answer = ErrorObject(id, {kInternalError, std::string("internal error: ") + e.what(), {}});
    }
    if (!answer.is_null()) answers.push_back(std::move(answer));
  }
  --in_flight_;
  changed_.NotifyAll();
  if (answers.empty()) co_return;
  Queue(Dump(incoming.batch ? answers : answers.front()), std::move(fd));
}

void Connection::Queue(std::string line, UniqueFd fd) {
  if (closed_) return;
  line += '\n';
  queued_bytes_ += line.size();
  queue_.push_back({std::move(line), std::move(fd)});
  changed_.NotifyAll();
}

awaitable<void> Connection::WriteLoop() {
  while (!closed_) {
    if (queue_.empty()) {
      if (input_ended_ && in_flight_ == 0) break;
      co_await changed_.Wait(Deadline::In(lifecycle::kUntilNotified));
      continue;
    }
    const Outgoing out = std::move(queue_.front());
    queue_.pop_front();
    const bool written = co_await WriteOne(out);
    queued_bytes_ -= out.line.size();
    changed_.NotifyAll();
    if (!written) break;
  }
  Close();
}

awaitable<bool> Connection::WriteOne(const Outgoing& out) {
  size_t done = 0;
  boost::system::error_code code;
  while (done < out.line.size()) {
    Watch(limits_.write_timeout, "it takes no answers", write_timer_, write_epoch_);
    done += co_await socket_.async_write_some(
        asio::buffer(out.line.data() + done, out.line.size() - done),
        asio::redirect_error(asio::use_awaitable, code));
    ++write_epoch_;
    if (code || closed_) co_return false;
  }
  write_timer_.cancel();
  if (!out.fd) co_return true;
  // The descriptor goes with a byte of its own, behind the line that announces it.
  Watch(limits_.write_timeout, "it takes no answers", write_timer_, write_epoch_);
  code = co_await wire::AwaitReady(socket_, Socket::wait_write);
  ++write_epoch_;
  write_timer_.cancel();
  if (code || closed_) co_return false;
  const auto sent = SendFd(socket_.native_handle(), out.fd.get(), Deadline::In({}));
  if (!sent) spdlog::warn("api: {}: {}", caller_.Text(), sent.error().Message());
  co_return sent.has_value();
}

}  // namespace berth::daemon
