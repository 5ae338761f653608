// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the API share: a server over a real Unix socket, with a scripted host behind
// it. The server runs in a thread of its own; clients are plain blocking sockets, so that they can
// misbehave.
#ifndef BERTH_SUPERVISOR_DAEMON_SERVER_FIXTURE_H_
#define BERTH_SUPERVISOR_DAEMON_SERVER_FIXTURE_H_

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include "protocol/base/io.h"
#include "supervisor/daemon/server.h"
#include "supervisor/lifecycle/fake_host.h"
#include "supervisor/lifecycle/memory_store.h"

namespace berth::daemon {

namespace asio = boost::asio;
using lifecycle::FakeInstance;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr auto kSoon = seconds(20);

class TestClient {
 public:
  explicit TestClient(const std::string& path)
      : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    connected_ = connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }

  bool Send(const std::string& text) {
    return WriteFull(fd_.get(), text, Deadline::In(kSoon)).has_value();
  }
  // One line without its newline; empty where the server has closed.
  std::string ReadLine() {
    std::string line;
    char c = 0;
    while (ReadFull(fd_.get(), std::as_writable_bytes(std::span(&c, 1)), Deadline::In(kSoon))) {
      if (c == '\n') return line;
      line += c;
    }
    return {};
  }
  json Call(const std::string& method, json params, int id = 1) {
    const json request = {
        {"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
    if (!Send(request.dump() + "\n")) return {};
    return json::parse(ReadLine(), nullptr, false);
  }
  // True once the server has closed the connection; what comes before that is thrown away.
  bool WaitForClose() {
    char chunk[4096];
    for (;;) {
      if (!PollFor(fd_.get(), POLLIN, Deadline::In(kSoon))) return false;
      const ssize_t n = read(fd_.get(), chunk, sizeof(chunk));
      if (n == 0 || (n < 0 && errno == ECONNRESET)) return true;
      if (n < 0) return false;
    }
  }

 private:
  UniqueFd fd_;
  bool connected_ = false;
};

class ServerTest : public testing::Test {
 protected:
  ~ServerTest() override {
    if (thread_.joinable()) {
      OnLoop([&] {
        server_->StopListening();
        server_->CloseAll();
        asio::co_spawn(io_, fleet_.Shutdown(milliseconds(0)), asio::detached);
        work_.reset();
      });
      thread_.join();
    }
    std::filesystem::remove_all(dir_);
  }

  void Serve(ServerOptions options = {}) {
    options.socket = socket_path();
    server_.emplace(io_.get_executor(), service_, std::move(options));
    const auto listening = server_->Listen();
    ASSERT_TRUE(listening) << listening.error().Message();
    thread_ = std::thread([this] { io_.run(); });
  }
  // Runs `what` on the server's thread.
  void OnLoop(const std::function<void()>& what) {
    std::promise<void> done;
    asio::post(io_, [&] {
      what();
      done.set_value();
    });
    done.get_future().get();
  }
  void Create(TestClient& client, const std::string& name = "vm") {
    const json answer =
        client.Call("compute.vm.create", {{"spec", {{"name", name}, {"image", "/i"}}}});
    ASSERT_TRUE(answer.contains("result")) << answer;
  }
  std::string socket_path() const { return dir_ + "/b.sock"; }

  static std::string MakeDir() {
    char pattern[] = "/tmp/berth-api-XXXXXX";
    return mkdtemp(pattern);
  }

  const std::string dir_ = MakeDir();
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  lifecycle::MemoryStore store_{100};
  lifecycle::FakeHost host_;
  lifecycle::Fleet fleet_{host_, store_, io_.get_executor()};
  LogArchive logs_{io_.get_executor(), dir_};
  Service service_{fleet_,
                   dir_,
                   socket_path(),
                   0,
                   []() -> asio::awaitable<std::vector<Check>> {
                     co_return std::vector<Check>{{"kvm", Verdict::kWarning, "slow", "be patient"}};
                   },
                   logs_};
  std::optional<Server> server_;
  std::thread thread_;
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_SERVER_FIXTURE_H_
