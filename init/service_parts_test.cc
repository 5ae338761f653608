// SPDX-License-Identifier: Apache-2.0
//
// The parts of a service's start that are pure, and sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "init/service_cgroup.h"
#include "init/service_command.h"
#include "init/service_notify.h"
#include "init/service_sockets.h"
#include "init/service_spawn.h"

namespace berth::init {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

TEST(ParseEnvFile, TakesAssignmentsCommentsAndQuotes) {
  const auto parsed = ParseEnvFile("A=1\n\n# no\n B = two words \nC=\"quo ted\"\r\nD=\nE=a=b", "f");
  ASSERT_TRUE(parsed) << parsed.error().Message();
  EXPECT_THAT(*parsed, ElementsAre(Pair("A", "1"), Pair("B", "two words"), Pair("C", "quo ted"),
                                   Pair("D", ""), Pair("E", "a=b")));
}

// A FIFO, be it for the environment or for the output, would hold PID 1 until its other end comes.
TEST(SpawnService, WaitsForNobodyAtAFifo) {
  const std::string fifo = testing::TempDir() + "/service-fifo";
  unlink(fifo.c_str());
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const Config config;
  ServiceConfig service;
  service.exec = "/bin/true";
  service.output = fifo;
  const ServiceSpawn spawn{
      .config = &config, .service = &service, .probe = {}, .sockets = {}, .notify_path = {}};
  const auto to_nobody = SpawnService(spawn);
  ASSERT_FALSE(to_nobody);
  EXPECT_EQ(to_nobody.error().errnum, ENXIO);
  service.output = "null";
  service.env_file = fifo;
  const auto from_nobody = SpawnService(spawn);
  ASSERT_FALSE(from_nobody);
  EXPECT_EQ(from_nobody.error().step, Step("env-file"));
  unlink(fifo.c_str());
}

// PID 1 opens the output as root: a service's user must not choose what it writes to.
class SpawnServiceOutput : public testing::Test {
 protected:
  SpawnServiceOutput() {
    char name[] = "/tmp/berth-output-XXXXXX";
    dir_ = mkdtemp(name);
    std::filesystem::create_directory(dir_ + "/real");
    service_.exec = "/bin/true";
  }
  ~SpawnServiceOutput() override { std::filesystem::remove_all(dir_); }
  // The errno of a start with its output at `path`; 0 where it starts.
  int StartWith(const std::string& path) {
    service_.output = path;
    const auto pid = SpawnService(
        {.config = &config_, .service = &service_, .probe = {}, .sockets = {}, .notify_path = {}});
    if (!pid) return pid.error().errnum;
    EXPECT_EQ(waitpid(*pid, nullptr, 0), *pid);
    return 0;
  }

  std::string dir_;
  Config config_;
  ServiceConfig service_;
};

TEST_F(SpawnServiceOutput, IsNotLedAwayByALink) {
  const std::string target = dir_ + "/real/secret";
  std::ofstream(target) << "";
  ASSERT_EQ(symlink(target.c_str(), (dir_ + "/out").c_str()), 0);
  EXPECT_EQ(StartWith(dir_ + "/out"), ELOOP);
}

TEST_F(SpawnServiceOutput, GoesThroughALinkThatRootMadeAndThroughNoOther) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string link = dir_ + "/link";
  for (const std::string& to :
       {dir_ + "/real", std::string("real"),
        std::string("../") + dir_.substr(dir_.rfind('/') + 1) + "//real/"}) {
    ASSERT_EQ(symlink(to.c_str(), link.c_str()), 0);
    EXPECT_EQ(StartWith(link + "/out"), 0) << to;
    EXPECT_EQ(unlink((dir_ + "/real/out").c_str()), 0) << to;
    ASSERT_EQ(lchown(link.c_str(), 1234, 1234), 0);
    EXPECT_EQ(StartWith(link + "/out"), ELOOP) << to;
    ASSERT_EQ(unlink(link.c_str()), 0);
  }
  ASSERT_EQ(symlink("link", link.c_str()), 0);
  EXPECT_EQ(StartWith(link + "/out"), ELOOP) << "a circle";
}

TEST_F(SpawnServiceOutput, IsAFileAFifoOrACharacterDevice) {
  EXPECT_EQ(StartWith("/dev/null"), 0);
  EXPECT_EQ(StartWith(dir_ + "/real"), EISDIR);
  EXPECT_EQ(StartWith(dir_ + "/no/out"), ENOENT);
  EXPECT_EQ(StartWith(dir_ + "//out"), 0);
}

TEST(ParseEnvFile, NamesTheLineOfWhatIsNoAssignment) {
  for (const char* text : {"A=1\nnothing\n", "A=1\n=x\n"}) {
    const auto parsed = ParseEnvFile(text, "/etc/env");
    ASSERT_FALSE(parsed);
    EXPECT_THAT(parsed.error().detail, HasSubstr("/etc/env:2"));
  }
}

TEST(ParseEnvFile, TakesABoundedNumberOfVariables) {
  std::string text;
  for (size_t i = 0; i < kMaxEnvFileVariables; ++i) text += "V" + std::to_string(i) + "=\n";
  const auto parsed = ParseEnvFile(text, "/etc/env");
  ASSERT_TRUE(parsed) << parsed.error().Message();
  EXPECT_EQ(parsed->size(), kMaxEnvFileVariables);
  const auto refused = ParseEnvFile(text + "ONE_MORE=\n", "/etc/env");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().errnum, E2BIG);
}

TEST(ServiceEnvironment, LaterSourcesWinAndTheSystemsOwnCannotBeSet) {
  Config config;
  config.environment = {{"A", "all"}, {"HOME", "/all"}};
  ServiceConfig service;
  service.env = {{"A", "own"}, {"NOTIFY_SOCKET", "/mine"}, {"LISTEN_FDS", "7"}};
  service.sockets = {{.name = "a", .listen = ""}, {.name = "b", .listen = ""}};
  const int sockets[] = {10, 11};
  ServiceSpawn spawn{.config = &config,
                     .service = &service,
                     .probe = {},
                     .sockets = sockets,
                     .notify_path = "/run/n"};
  Account account;
  account.name = "web";
  account.home = "/srv";
  const auto environment = ServiceEnvironment(spawn, account, {{"A", "file"}, {"B", "file"}});
  for (const char* each : {"A=own", "B=file", "HOME=/all", "USER=web", "LOGNAME=web",
                           "NOTIFY_SOCKET=/run/n", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b"}) {
    EXPECT_THAT(environment, Contains(each));
  }
  EXPECT_THAT(environment, Not(Contains("A=all")));
  const std::string probe[] = {"/bin/true"};
  spawn.probe = probe;
  for (const std::string& each : ServiceEnvironment(spawn, account, {})) {
    EXPECT_FALSE(each.starts_with("LISTEN_PID=")) << "a probe has no sockets";
  }
}

TEST(ParseNotify, TakesWhatItKnowsAndSkipsTheRest) {
  const auto message = ParseNotify("MAINPID=1\nREADY=1\nSTATUS=all is well\nREADY=2\n");
  EXPECT_TRUE(message.ready);
  EXPECT_FALSE(message.stopping);
  EXPECT_EQ(message.status, "all is well");
  EXPECT_TRUE(ParseNotify("STOPPING=1").stopping);
  EXPECT_FALSE(ParseNotify("XREADY=1").ready);
  EXPECT_FALSE(ParseNotify("").ready);
}

TEST(ParseNotify, AStatusIsTextThatEndsWithACharacter) {
  EXPECT_EQ(ParseNotify("STATUS=a\xff \xc3 z").status, "a? ? z");
  const std::string cut = std::string(kMaxNotifyStatusBytes - 1, 'x');
  EXPECT_EQ(ParseNotify("STATUS=" + cut + "\xc3\xa9").status, cut);
}

TEST(NotifySocket, ToldOfTheSenderByTheKernelAndDropsWhatIsTooLong) {
  const std::string path = "/tmp/berth-notify-" + std::to_string(getpid());
  auto opened = NotifySocket::Open(path);
  ASSERT_TRUE(opened) << opened.error().Message();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::string long_text(kMaxNotifyBytes + 1, 'x');
  ASSERT_GT(send(fd.get(), long_text.data(), long_text.size(), 0), 0);
  // With a descriptor beside it, which must not stay open here.
  iovec part{const_cast<char*>("READY=1"), 7};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  const int own = fd.get();
  memcpy(CMSG_DATA(rights), &own, sizeof(own));
  ASSERT_GT(sendmsg(fd.get(), &header, 0), 0);
  const int free_before = dup(0);
  close(free_before);
  const auto received = opened->Take();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->sender, getpid());
  EXPECT_TRUE(received->message.ready);
  const int free_after = dup(0);
  close(free_after);
  EXPECT_EQ(free_after, free_before) << "the descriptor was taken in";
  EXPECT_FALSE(opened->Take());
  unlink(path.c_str());
}

TEST(ListenAddress, OfEachKind) {
  const auto tcp = ListenAddressOf("tcp:127.0.0.1:80");
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->address.ss_family, AF_INET);
  EXPECT_EQ(tcp->type, SOCK_STREAM);
  const auto udp = ListenAddressOf("udp:[::1]:53");
  ASSERT_TRUE(udp);
  EXPECT_EQ(udp->address.ss_family, AF_INET6);
  EXPECT_EQ(udp->type, SOCK_DGRAM);
  EXPECT_EQ(ListenAddressOf("unix:/run/x.sock")->unix_path, "/run/x.sock");
  EXPECT_EQ(ListenAddressOf("vsock:5000")->address.ss_family, AF_VSOCK);
  for (const char* wrong : {"", "tcp:", "tcp:80", "tcp:localhost:80", "tcp:127.0.0.1:65536",
                            "unix:x", "vsock:", "vsock:x", "sctp:1.2.3.4:5", "tcp:::1:80"}) {
    EXPECT_FALSE(ListenAddressOf(wrong)) << wrong;
  }
}

TEST(OpenServiceSocket, OfBothFamiliesOnOnePort) {
  const auto v4 = OpenServiceSocket({.name = "a", .listen = "tcp:0.0.0.0:0"});
  ASSERT_TRUE(v4) << v4.error().Message();
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  ASSERT_EQ(getsockname(v4->get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto v6 = OpenServiceSocket(
      {.name = "b", .listen = "tcp:[::]:" + std::to_string(ntohs(address.sin_port))});
  if (!v6 && v6.error().errnum == EAFNOSUPPORT) GTEST_SKIP() << "no IPv6 here";
  EXPECT_TRUE(v6) << v6.error().Message();
}

TEST(OpenServiceSocket, AtAnAddressThatIsNotThereYet) {
  for (const char* listen : {"tcp:192.0.2.1:0", "udp:192.0.2.1:0", "tcp:[2001:db8::1]:0"}) {
    const auto opened = OpenServiceSocket({.name = "a", .listen = listen});
    if (!opened && opened.error().errnum == EAFNOSUPPORT) continue;
    EXPECT_TRUE(opened) << opened.error().Message();
  }
}

TEST(OpenServiceSocket, TwoDoNotShareDatagrams) {
  const auto first = OpenServiceSocket({.name = "a", .listen = "udp:127.0.0.1:0"});
  ASSERT_TRUE(first) << first.error().Message();
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  ASSERT_EQ(getsockname(first->get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto second = OpenServiceSocket(
      {.name = "b", .listen = "udp:127.0.0.1:" + std::to_string(ntohs(address.sin_port))});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().errnum, EADDRINUSE);
}

TEST(IsConnectedToItself, WhereNobodyElseIsThere) {
  const UniqueFd alone(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(alone.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(alone.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  ASSERT_EQ(connect(alone.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_TRUE(IsConnectedToItself(alone.get()));

  const auto listener = OpenServiceSocket({.name = "a", .listen = "tcp:127.0.0.1:0"});
  ASSERT_TRUE(listener) << listener.error().Message();
  ASSERT_EQ(getsockname(listener->get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_FALSE(IsConnectedToItself(client.get()));
}

TEST(CpuMax, IsAShareOfAPeriod) {
  EXPECT_EQ(CpuMax(0.5), "50000 100000");
  EXPECT_EQ(CpuMax(2), "200000 100000");
  EXPECT_EQ(CpuMax(0.0001), "1000 100000") << "the kernel's least";
}

ServiceRow Shown() {
  ServiceRow row;
  strcpy(row.name, "web");
  row.state = ServiceState::kReady;
  row.health = ServiceHealth::kHealthy;
  row.pid = 42;
  row.start_ns = 1'000'000'000;
  row.restarts = 2;
  row.exit_code = 3;
  strcpy(row.detail, "a \"quoted\"\x1b[2J thing");
  strcpy(row.waits_for, "db");
  return row;
}

TEST(ServiceTable, IsAlignedAndKeepsControlCharactersFromTheTerminal) {
  const ServiceRow rows[] = {Shown()};
  EXPECT_EQ(ServiceTable(rows, 31'000'000'000),
            "SERVICE  STATE  HEALTH   PID  AGE  RESTARTS  LAST END  DETAIL\n"
            "web      ready  healthy  42   30s  2         exit 3    a \"quoted\"?[2J thing\n");
}

TEST(ServiceJson, EscapesWhatAServiceSaysOfItself) {
  const ServiceRow rows[] = {Shown()};
  const std::string json = ServiceJson(rows);
  EXPECT_THAT(json, HasSubstr("\"state\": \"ready\", \"health\": \"healthy\", \"pid\": 42"));
  EXPECT_THAT(json, HasSubstr("\"detail\": \"a \\\"quoted\\\"\\u001b[2J thing\""));
  EXPECT_THAT(json, HasSubstr("\"waits_for\": \"db\""));
  EXPECT_EQ(ServiceJson({}), "[]\n");
}

TEST(ServiceJson, OfBytesThatAreNoTextIsJsonAllTheSame) {
  ServiceRow row = Shown();
  strcpy(row.detail, "\xff then half of \xc3");
  EXPECT_THAT(ServiceJson({&row, 1}), HasSubstr("\"detail\": \"? then half of ?\""));
}

int Call(std::vector<const char*> words) {
  return RunServiceCommand(std::span(const_cast<char**>(words.data()), words.size()),
                           "/no/such/socket");
}

TEST(RunServiceCommand, ExitCodesTellWrongCallsFromAMissingServer) {
  EXPECT_EQ(Call({"status"}), kNoServer);
  EXPECT_EQ(Call({"start", "web"}), kNoServer);
  EXPECT_EQ(Call({"start"}), kServiceUsage);
  EXPECT_EQ(Call({"start", "web", "db"}), kServiceUsage);
  EXPECT_EQ(Call({"start", "web", "--json"}), kServiceUsage);
  EXPECT_EQ(Call({"start", "web", "--timeout", "0"}), kServiceUsage);
  EXPECT_EQ(Call({"start", "web", "--timeout", "1s"}), kServiceUsage);
  EXPECT_EQ(Call({"stop", std::string(64, 'x').c_str()}), kNoSuchService);
}

}  // namespace
}  // namespace berth::init
