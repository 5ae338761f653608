// SPDX-License-Identifier: Apache-2.0
#include "init/config_decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>

namespace berth::init {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// A text without mistakes.
Config Clean(std::string_view text) {
  DecodedConfig decoded = DecodeConfigText("t", text);
  EXPECT_THAT(decoded.mistakes, IsEmpty()) << text;
  return std::move(decoded.config);
}

std::vector<std::string> Mistakes(std::string_view text) {
  return DecodeConfigText("t", text).mistakes;
}

std::vector<std::string> Names(const Config& config) {
  std::vector<std::string> names;
  for (const ServiceConfig& service : config.services) names.push_back(service.name);
  return names;
}

const ServiceConfig& Service(const Config& config, std::string_view name) {
  const auto found = std::ranges::find(config.services, name, &ServiceConfig::name);
  if (found == config.services.end()) throw std::out_of_range(std::string(name));
  return *found;
}

TEST(DecodeConfig, AnEmptyTextGivesTheDefaults) {
  const Config config = Clean("");
  EXPECT_EQ(config.hostname, "");
  EXPECT_EQ(config.configure_timeout, 5s);
  EXPECT_EQ(config.shutdown.grace, 10s);
  EXPECT_THAT(config.services, IsEmpty());
}

TEST(DecodeConfig, TopLevelEnvironmentAndSysctls) {
  const Config config = Clean(R"(
hostname = "web1"
modules = ["virtio_net", "loop"]
configure_timeout = 3
[environment]
ZED = "last letter, first line"
PORT = 8080
DEBUG = true
[sysctl]
"net.ipv4.ip_forward" = true
vm.swappiness = 10
[sysctl.kernel]
pid_max = "65536"
)");
  EXPECT_EQ(config.hostname, "web1");
  EXPECT_THAT(config.modules, ElementsAre("virtio_net", "loop"));
  EXPECT_EQ(config.configure_timeout, 3s);
  EXPECT_THAT(config.environment, ElementsAre(Pair("ZED", "last letter, first line"),
                                              Pair("PORT", "8080"), Pair("DEBUG", "true")));
  EXPECT_THAT(config.sysctls,
              ElementsAre(Pair("net.ipv4.ip_forward", "1"), Pair("vm.swappiness", "10"),
                          Pair("kernel.pid_max", "65536")));
}

TEST(DecodeConfig, Log) {
  const Config config = Clean("[log]\nlevel = 'error'\nlines_per_minute = 3");
  EXPECT_EQ(config.log.level, LogLevel::kError);
  EXPECT_EQ(config.log.lines_per_minute, 3);
  EXPECT_EQ(DecodeConfigText("t", "log.level = 'loud'").mistakes.size(), 1u);
  EXPECT_EQ(config.log.ring_bytes, 4U << 20);
  EXPECT_TRUE(config.log.syslog);
  const Config other = Clean("[log]\nring = '256K'\nsyslog = false");
  EXPECT_EQ(other.log.ring_bytes, 256U << 10);
  EXPECT_FALSE(other.log.syslog);
  EXPECT_THAT(Mistakes("log.ring = '255K'"),
              testing::Contains(HasSubstr("log.ring: not from 256K to 1G")));
  EXPECT_THAT(Mistakes("log.ring = '2G'"), testing::Contains(HasSubstr("not from 256K to 1G")));
}

TEST(DecodeConfig, Mounts) {
  const Config config = Clean(R"(
[[mount]]
source = "/dev/vdb"
target = "/var/lib/data/"
options = ["ro", "noatime,data=ordered", "rw", "size=1M"]
format = "if-blank"
fatal = false
wait = "3s"
[[mount]]
type = "tmpfs"
target = "/scratch"
)");
  ASSERT_EQ(config.mounts.size(), 2U);
  const MountConfig& disk = config.mounts[0];
  EXPECT_EQ(disk.source, "/dev/vdb");
  EXPECT_EQ(disk.target, "/var/lib/data");
  EXPECT_EQ(disk.type, "");
  EXPECT_EQ(disk.flags, static_cast<unsigned long>(MS_NOATIME)) << "rw takes ro back";
  EXPECT_EQ(disk.data, "data=ordered,size=1M");
  EXPECT_TRUE(disk.format_if_blank);
  EXPECT_FALSE(disk.fatal);
  EXPECT_EQ(disk.wait, 3s);
  EXPECT_EQ(config.mounts[1].source, "tmpfs");
  EXPECT_TRUE(config.mounts[1].fatal);
}

TEST(DecodeConfig, MountMistakes) {
  EXPECT_THAT(Mistakes("[[mount]]\ntarget='/a'\ntype='ext4'"),
              ElementsAre("t:1:1: mount: no \"source\", which it needs"));
  EXPECT_THAT(Mistakes("[[mount]]\ntarget='/a'\nsource='tag'"),
              ElementsAre(HasSubstr("no \"type\"")));
  EXPECT_THAT(Mistakes("[[mount]]\ntarget='a'\ntype='tmpfs'"),
              ElementsAre("t:2:8: mount.target: \"a\" is not an absolute path"));
  EXPECT_THAT(Mistakes("[[mount]]\ntarget='/'\ntype='tmpfs'"), ElementsAre(HasSubstr("the root")));
  EXPECT_THAT(Mistakes("[[mount]]\ntarget='/a'\nsource='/b'\noptions=['bind', 'ro', 'size=4M']"),
              ElementsAre(HasSubstr("mount.options: \"size=4M\" is for a file system")));
  EXPECT_THAT(Mistakes("[[mount]]\ntarget='/a'\ntype='xfs'\nsource='/dev/vdb'\nformat='if-blank'"),
              ElementsAre(HasSubstr("mount.format: only an ext4")));
  EXPECT_THAT(
      Mistakes("[[mount]]\ntarget='/a'\ntype='tmpfs'\n[[mount]]\ntarget='/a/'\ntype='tmpfs'"),
      ElementsAre("t:5:8: mount.target: \"/a/\" is there already, in line 2"));
}

TEST(DecodeConfig, Network) {
  const Config config = Clean(R"(
[network]
dns = ["10.0.0.1", "fd00::1"]
search = "example.org"
[network.hosts]
db = "10.0.0.3"
both = ["10.0.0.4", "fd00::4"]
[network.interface.eth0]
address = "10.0.0.2/24"
gateway = ["10.0.0.1", "fd00::1"]
routes = [{ to = "10.1.0.0/16", via = "10.0.0.9", metric = 5 }, { to = "fd01::/16" }]
mtu = 1400
wait = 1
fatal = true
[network.interface."eth0.100"]
dhcp = ["/sbin/udhcpc", "-f"]
)");
  EXPECT_THAT(config.network.dns, ElementsAre("10.0.0.1", "fd00::1"));
  EXPECT_THAT(config.network.search, ElementsAre("example.org"));
  EXPECT_THAT(config.network.hosts, ElementsAre(Pair("db", "10.0.0.3"), Pair("both", "10.0.0.4"),
                                                Pair("both", "fd00::4")));
  ASSERT_EQ(config.network.interfaces.size(), 2U);
  const InterfaceConfig& eth0 = config.network.interfaces[0];
  EXPECT_EQ(eth0.name, "eth0");
  EXPECT_THAT(eth0.addresses, ElementsAre("10.0.0.2/24"));
  ASSERT_EQ(eth0.routes.size(), 4U);
  EXPECT_EQ(eth0.routes[0].to, "default");
  EXPECT_EQ(eth0.routes[1].via, "fd00::1");
  EXPECT_EQ(eth0.routes[2].metric, 5U);
  EXPECT_EQ(eth0.routes[3].via, "");
  EXPECT_EQ(eth0.mtu, 1400U);
  EXPECT_TRUE(eth0.fatal);
  EXPECT_EQ(config.network.interfaces[1].name, "eth0.100");
  EXPECT_THAT(config.network.interfaces[1].dhcp, ElementsAre("/sbin/udhcpc", "-f"));
}

TEST(DecodeConfig, NetworkMistakes) {
  const auto in_eth0 = [](std::string_view text) {
    return Mistakes("[network.interface.eth0]\n" + std::string(text));
  };
  EXPECT_THAT(in_eth0("address='10.0.0.2'"), ElementsAre(HasSubstr("without a prefix length")));
  EXPECT_THAT(in_eth0("gateway='10.0.0.1/24'"), ElementsAre(HasSubstr("not an address")));
  EXPECT_THAT(in_eth0("routes=[{to='10.0.0.0/8',via='fd00::1'}]"),
              ElementsAre(HasSubstr("two families")));
  EXPECT_THAT(in_eth0("routes=[{to='default'}]"), ElementsAre(HasSubstr("needs \"via\"")));
  EXPECT_THAT(in_eth0("mtu=67"), ElementsAre(HasSubstr("67 is not within 68 to 65535")));
  EXPECT_THAT(in_eth0("dhcp=[]"), ElementsAre(HasSubstr("names no program")));
  EXPECT_THAT(in_eth0("address=['10.0.0.2/24', 5]"),
              ElementsAre("t:2:25: network.interface.eth0.address: expected a text, found the "
                          "integer 5"));
  EXPECT_THAT(Mistakes("[network.interface.a234567890123456]"),
              ElementsAre(HasSubstr("not a name of an interface")));
}

TEST(DecodeConfig, FilesAndUsers) {
  const Config config = Clean(R"(
[[file]]
path = "/etc/motd"
content = "hello\n"
mode = "0600"
owner = "app:33"
[user.app]
uid = 1000
groups = ["video"]
home = "/home/app"
[user.db]
uid = 70
gid = 71
)");
  ASSERT_EQ(config.files.size(), 1U);
  EXPECT_EQ(config.files[0].content, "hello\n");
  EXPECT_EQ(config.files[0].mode, 0600U);
  EXPECT_EQ(config.files[0].owner, "app:33");
  ASSERT_EQ(config.users.size(), 2U);
  EXPECT_EQ(config.users[0].gid, 1000U) << "as the uid";
  EXPECT_EQ(config.users[1].gid, 71U);
  EXPECT_THAT(Mistakes("[[file]]\npath='/a'\nmode='0999'"), ElementsAre(HasSubstr("not a mode")));
  EXPECT_THAT(Mistakes("[[file]]\npath='/a'\n[[file]]\npath='/a'"),
              ElementsAre(HasSubstr("there already, in line 2")));
  EXPECT_THAT(Mistakes("[user.app]"), ElementsAre("t:1:1: user.app: no \"uid\", which it needs"));
}

TEST(DecodeConfig, AServiceWithEveryKey) {
  const Config config = Clean(R"(
[service.db]
exec = "postgres"
[service.web]
exec = "/usr/sbin/nginx"
args = ["-g", "daemon off;"]
env = { B = "1", A = 2 }
env_file = "-/etc/default/web"
cwd = "/srv"
user = "www"
group = 33
groups = ["adm", 4]
capabilities = ["CAP_NET_BIND_SERVICE", "chown"]
no_new_privs = true
rlimits = { nofile = "1024:4096", core = 0, memlock = "unlimited" }
limits = { memory = "64M", pids = 100, cpus = 0.5 }
after = "db"
requires = ["db"]
ready = { port = 80, address = "10.0.0.2", interval = "50ms", timeout = 30 }
health = { exec = ["/bin/check", "x"], interval = "1m", unhealthy_after = 5, action = "restart" }
restart = "always"
restart_codes = [1, 75]
stop_signal = "QUIT"
stop_timeout = "20s"
reload_signal = 10
main = true
wait_for_configure = true
start = "socket"
sockets = [{ listen = "tcp:0.0.0.0:80" }, { name = "ctl", listen = "unix:/run/w", mode = "0600" }]
output = "/var/log/web"
[service.web.backoff]
first = "50ms"
longest = "10s"
jitter = 0
stable_after = "5s"
budget = 3
on_crash_loop = "shutdown"
)");
  ASSERT_THAT(Names(config), ElementsAre("db", "web"));
  const ServiceConfig& web = config.services[1];
  EXPECT_EQ(web.exec, "/usr/sbin/nginx");
  EXPECT_THAT(web.args, ElementsAre("-g", "daemon off;"));
  EXPECT_THAT(web.env, ElementsAre(Pair("B", "1"), Pair("A", "2")));
  EXPECT_EQ(web.env_file, "/etc/default/web");
  EXPECT_TRUE(web.env_file_optional);
  EXPECT_EQ(web.cwd, "/srv");
  EXPECT_EQ(web.user, "www");
  EXPECT_EQ(web.group, "33");
  EXPECT_THAT(web.groups, ElementsAre("adm", "4"));
  EXPECT_EQ(web.capabilities, (1U << 10) | 1U);
  EXPECT_TRUE(web.no_new_privs);
  ASSERT_EQ(web.rlimits.size(), 3U);
  EXPECT_EQ(web.rlimits[0].resource, RLIMIT_NOFILE);
  EXPECT_EQ(web.rlimits[0].limit.rlim_cur, 1024U);
  EXPECT_EQ(web.rlimits[2].limit.rlim_max, RLIM_INFINITY);
  EXPECT_EQ(web.limits.memory_bytes, 64U << 20);
  EXPECT_EQ(web.limits.pids, 100U);
  EXPECT_EQ(web.limits.cpus, 0.5);
  EXPECT_THAT(web.after, ElementsAre("db"));
  EXPECT_THAT(web.requires_, ElementsAre("db"));
  ASSERT_TRUE(web.ready.probe);
  EXPECT_EQ(web.ready.probe->kind, Probe::Kind::kPort);
  EXPECT_EQ(web.ready.probe->port, 80);
  EXPECT_EQ(web.ready.probe->address, "10.0.0.2");
  EXPECT_EQ(web.ready.interval, 50ms);
  EXPECT_EQ(web.ready.timeout, 30s);
  ASSERT_TRUE(web.health);
  EXPECT_THAT(web.health->probe.exec, ElementsAre("/bin/check", "x"));
  EXPECT_EQ(web.health->interval, 60s);
  EXPECT_EQ(web.health->unhealthy_after, 5);
  EXPECT_TRUE(web.health->restart_unhealthy);
  EXPECT_EQ(web.restart.when, RestartWhen::kAlways);
  EXPECT_THAT(web.restart.codes, ElementsAre(1, 75));
  EXPECT_EQ(web.restart.first, 50ms);
  EXPECT_EQ(web.restart.jitter, 0);
  EXPECT_EQ(web.restart.budget, 3);
  EXPECT_TRUE(web.restart.shutdown_on_crash_loop);
  EXPECT_EQ(web.stop_signal, 3);
  EXPECT_EQ(web.reload_signal, 10);
  EXPECT_TRUE(web.main);
  EXPECT_TRUE(web.wait_for_configure);
  EXPECT_TRUE(web.on_demand);
  EXPECT_TRUE(web.enabled);
  ASSERT_EQ(web.sockets.size(), 2U);
  EXPECT_EQ(web.sockets[0].name, "web");
  EXPECT_EQ(web.sockets[1].name, "ctl");
  EXPECT_EQ(web.sockets[1].mode, 0600U);
  EXPECT_EQ(web.output, "/var/log/web");
  EXPECT_EQ(config.services[0].output, "log");
  EXPECT_FALSE(config.services[0].block_on_full);
  EXPECT_EQ(web.mistake, "");
}

TEST(DecodeConfig, ServiceMistakes) {
  const auto in_web = [](std::string_view text) {
    return Mistakes("[service.web]\nexec='x'\n" + std::string(text));
  };
  const struct {
    std::string_view text;
    std::string_view says;
  } kCases[] = {
      {"exec=''", "not TOML"},  // twice
      {"restart='sometimes'",
       "t:3:9: service.web.restart: \"sometimes\" is not one of never, "
       "on-failure, always"},
      {"restrat='never'", "t:3:1: service.web.restrat: no such key; did you mean \"restart\"?"},
      {"restart=5", "service.web.restart: expected a text, found the integer 5"},
      {"restart='never'\nrestart_codes=[1]",
       "t:4:1: service.web.restart_codes: no use with restart = \"never\""},
      {"restart_codes=[256]", "256 is not within 0 to 255"},
      {"oneshot=true\nrestart='always'", "t:4:1: service.web.restart: a oneshot"},
      {"oneshot=true\nhealth={port=1}", "t:4:1: service.web.health: no use for a oneshot"},
      {"start='socket'", "t:3:1: service.web.start: \"socket\" needs \"sockets\""},
      {"start='later'", "not one of boot, socket, manual"},
      {"sockets=[{listen='tcp:80'}]", "\"tcp:80\" is not a socket"},
      {"sockets=[{}]", "service.web.sockets: no \"listen\""},
      {"sockets=[{listen='tcp:0.0.0.0:80',mode='0600'}]", "only a Unix socket has one"},
      {"sockets=[{listen='vsock:1'},{listen='vsock:1'}]",
       "service.web.sockets: \"vsock:1\" is taken by \"web\" already"},
      {"ready={port=0}", "0 is not within 1 to 65535"},
      {"ready={port=1,file='/a'}", "there is \"port\" already"},
      {"ready={notify=true,port=1}", "there is \"notify\" already"},
      {"ready={address='1.1.1.1'}", "service.web.ready.address: needs a \"port\""},
      {"health={}", "needs one of \"port\", \"file\" and \"exec\""},
      {"health={port=1,action='reboot'}", "not one of none, restart"},
      {"health={port=1,unhealthy_after=0}", "0 is not within 1 to 1000"},
      {"health={exec=['bin/x']}", "neither an absolute path nor a bare name"},
      {"backoff={first='1m'}", "\"first\" is more than \"longest\""},
      {"backoff={jitter=1.5}", "not within 0 to 1"},
      {"backoff={jitter=nan}", "not within 0 to 1"},
      {"backoff={on_crash_loop='panic'}", "not one of mark-failed, shutdown"},
      {"stop_timeout='25h'", "\"25h\" is not within 0s to 24h"},
      {"stop_timeout='soon'", "not a duration"},
      {"stop_timeout=-1", "-1 is not a duration"},
      {"stop_signal='SIGFOO'", "not a signal"},
      {"stop_signal=65", "65 is not a signal"},
      {"user=-1", "-1 is not within 0 to 4294967294"},
      {"user=4294967295", "not within"},
      {"user='a b'", "not a name or number"},
      {"capabilities=['CAP_NET_BND_SERVICE']", "did you mean \"CAP_NET_BIND_SERVICE\"?"},
      {"rlimits={nofiles=1}",
       "t:3:10: service.web.rlimits.nofiles: not a resource limit such as "
       "nofile; did you mean \"nofile\"?"},
      {"rlimits={nofile='2:1'}", "a soft limit above the hard one"},
      {"limits={memory='lots'}", "not a size"},
      {"limits={cpus=0.001}", "less than 0.01"},
      {"limits={pids=0}", "0 is not within"},
      {"env_file='x'", "not an absolute path"},
      {"cwd='/a/../b'", "a path with \"..\" in it"},
      {"output='file'", "not \"log\", \"console\", \"null\" or an absolute path"},
      {"on_full='wait'", "not one of drop, block"},
      {"output='console'\non_full='block'", "needs output = \"log\""},
      {"args='x'", "expected a list of texts, found the text \"x\""},
      {"after=['web','web']", "\"web\" is named twice"},
      {"env={'A=B'=1}", "not a name of a variable"},
      {"env={A=[1]}", "expected a text, an integer, true or false, found an array"},
      {"env={A=1979-05-27}", "found a date or time"},
  };
  for (const auto& [text, says] : kCases) {
    EXPECT_THAT(in_web(text), testing::Contains(HasSubstr(std::string(says)))) << text;
  }
}

TEST(DecodeConfig, ExecIsOneProgram) {
  EXPECT_THAT(Mistakes("[service.a]"),
              ElementsAre("t:1:1: service.a: no \"exec\", which it needs"));
  EXPECT_THAT(Mistakes("[service.a]\nexec=''"), ElementsAre(HasSubstr("\"\" is not a program")));
  EXPECT_THAT(Mistakes("[service.a]\nexec='bin/x'"), ElementsAre(HasSubstr("neither an absolute")));
  EXPECT_THAT(Mistakes("[service.a]\nexec='/bin/x -f'"), ElementsAre(HasSubstr("in \"args\"")));
  EXPECT_THAT(Mistakes("[service]\na=1"),
              ElementsAre("t:2:3: service.a: expected a table, found the integer 1"));
  EXPECT_THAT(Mistakes("[service.'a b']\nexec='x'"), ElementsAre(HasSubstr("not a name of a")));
}

TEST(DecodeConfig, ServicesComeInAnOrderThatTheirListsAdmit) {
  const Config config = Clean(R"(
service.c = {exec = "x", after = ["b"]}
service.d = {exec = "x"}
service.b = {exec = "x", requires = ["a"]}
service.a = {exec = "x"}
)");
  EXPECT_THAT(Names(config), ElementsAre("a", "b", "c", "d"));
}

TEST(DecodeConfig, CyclesArePrintedAndTheirServicesMarked) {
  const DecodedConfig decoded = DecodeConfigText("t", R"(
service.a = {exec = "x", after = ["b"]}
service.b = {exec = "x", requires = ["c"]}
service.c = {exec = "x", after = ["a"]}
service.d = {exec = "x", after = ["a"]}
service.e = {exec = "x", after = ["e"]}
)");
  EXPECT_THAT(decoded.mistakes, ElementsAre("t:4:35: service.c.after: a cycle: a -> b -> c -> a",
                                            "t:6:35: service.e.after: a cycle: e -> e"));
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_THAT(Service(decoded.config, name).mistake, HasSubstr("a -> b -> c -> a")) << name;
  }
  EXPECT_EQ(Service(decoded.config, "d").mistake, "");
}

TEST(DecodeConfig, MissingServicesAndASecondMain) {
  const DecodedConfig decoded = DecodeConfigText("t", R"(
service.web = {exec = "x", main = true, requires = ["databse"]}
service.database = {exec = "x", main = true, after = ["zzzzz"]}
)");
  EXPECT_THAT(
      decoded.mistakes,
      ElementsAre("t:2:53: service.web.requires: there is no service \"databse\"; did you mean "
                  "\"database\"?",
                  "t:3:33: service.database.main: \"web\" is the main service already",
                  "t:3:55: service.database.after: there is no service \"zzzzz\""));
  EXPECT_NE(Service(decoded.config, "web").mistake, "");
  EXPECT_NE(Service(decoded.config, "database").mistake, "");
}

TEST(DecodeConfig, ThereIsABoundOnServices) {
  std::string text;
  for (size_t i = 0; i <= kMaxServices; ++i) {
    text += "service.s" + std::to_string(i) + " = {exec = 'x'}\n";
  }
  const DecodedConfig decoded = DecodeConfigText("t", text);
  EXPECT_EQ(decoded.config.services.size(), kMaxServices);
  EXPECT_THAT(decoded.mistakes, ElementsAre(StartsWith("t:257:9: service.s256: more than 256")));
}

// --- What a mistake does to a machine that boots all the same. ---

TEST(DecodeConfig, AServiceWithAMistakeIsMarkedAndTheOthersAreNot) {
  const DecodedConfig decoded = DecodeConfigText("t", R"(
[service.a]
exec = "x"
restart = "sometimes"
[service.b]
exec = "x"
[sysctl]
"bad name" = 1
)");
  EXPECT_EQ(decoded.mistakes.size(), 2U);
  EXPECT_THAT(Service(decoded.config, "a").mistake, StartsWith("t:4:11: service.a.restart: "));
  EXPECT_EQ(Service(decoded.config, "b").mistake, "");
}

TEST(DecodeConfig, UnitsWithAMistakeAreLeftOut) {
  const DecodedConfig decoded = DecodeConfigText("t", R"(
[[mount]]
target = "/a"
type = "tmpfs"
wat = 1
fatal = false
[[mount]]
target = "/b"
type = "tmpfs"
[[file]]
path = "x"
[user.u]
[network.interface.eth0]
mtu = 1
[service.s]
exec = "x"
)");
  EXPECT_EQ(decoded.mistakes.size(), 4U);
  ASSERT_EQ(decoded.config.mounts.size(), 1U);
  EXPECT_EQ(decoded.config.mounts[0].target, "/b");
  EXPECT_THAT(decoded.config.files, IsEmpty());
  EXPECT_THAT(decoded.config.users, IsEmpty());
  EXPECT_THAT(decoded.config.network.interfaces, IsEmpty());
  EXPECT_EQ(decoded.config.services[0].mistake, "");
}

TEST(DecodeConfig, NoServiceStartsWithoutAFatalMount) {
  const DecodedConfig decoded = DecodeConfigText("t", R"(
[[mount]]
target = "/data"
source = "/dev/vdb"
wait = "ten"
[service.s]
exec = "x"
)");
  EXPECT_THAT(decoded.config.mounts, IsEmpty());
  EXPECT_THAT(decoded.config.services[0].mistake, StartsWith("t:5:8: mount.wait: \"ten\""));
}

TEST(DecodeConfig, AListThatIsNotFinishedLosesNoOtherSection) {
  const DecodedConfig decoded = DecodeConfigText("t", R"(
[service.a]
exec = "x"
args = ["1"
[service.b]
exec = "x"
)");
  EXPECT_THAT(decoded.mistakes, ElementsAre(testing::AllOf(StartsWith("t:5:1: not TOML: "),
                                                           HasSubstr("line 4 is not"))));
  EXPECT_NE(Service(decoded.config, "a").mistake, "");
  EXPECT_EQ(Service(decoded.config, "b").mistake, "");
}

TEST(DecodeConfig, ALineThatIsNotTomlMarksTheServiceOfItsSection) {
  const DecodedConfig decoded = DecodeConfigText("t", R"(
[service.a]
exec = "x"
args = [1]
[service.a.env]
X = yes
[service.b]
exec = "x"
)");
  EXPECT_THAT(decoded.mistakes, testing::Contains(StartsWith("t:6:5: not TOML: ")));
  EXPECT_NE(Service(decoded.config, "a").mistake, "");
  EXPECT_EQ(Service(decoded.config, "b").mistake, "");
}

TEST(DecodeConfig, ALineThatIsNotTomlElsewhereLetsNoServiceStart) {
  for (const char* text :
       {"hostname = web\n[service.s]\nexec='x'", "[[mount]]\ntarget = /a\n[service.s]\nexec='x'",
        "[shutdown\ngrace=1\n[service.s]\nexec='x'"}) {
    const DecodedConfig decoded = DecodeConfigText("t", text);
    EXPECT_EQ(decoded.mistakes.size(), 1U) << text << testing::PrintToString(decoded.mistakes);
    ASSERT_EQ(decoded.config.services.size(), 1U) << text;
    EXPECT_EQ(decoded.config.services[0].mistake, decoded.mistakes[0]) << text;
    EXPECT_THAT(decoded.config.mounts, IsEmpty()) << "half a mount";
  }
}

// --- Texts that are hardly ones. ---

TEST(DecodeConfig, SeveralSyntaxMistakesAreAllNamed) {
  EXPECT_THAT(Mistakes("hostname = web\nmodules = [\n[service.a]\nexec = x\n[service.b\nexec=1\n"
                       "[service.c]\nexec = 'x' 'y'\n"),
              ElementsAre(StartsWith("t:1:12: not TOML: "), StartsWith("t:3:"),
                          StartsWith("t:4:8: "), StartsWith("t:5:11: "), StartsWith("t:8:12: ")));
}

TEST(DecodeConfig, AListThatIsNotFinishedIsOneMistake) {
  EXPECT_THAT(
      Mistakes("[service.a]\nexec='x'\nargs = ['a',\nrestart = 'never'\noneshot = true\n"),
      ElementsAre(testing::AllOf(StartsWith("t:4:1: "), HasSubstr("line 3 is not finished"))));
}

TEST(DecodeConfig, SyntaxMistakesAreBounded) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "x = y\n\n";
  EXPECT_EQ(Mistakes(text).size(), kMaxSyntaxMistakes);
}

TEST(DecodeConfig, BytesThatAreNoText) {
  EXPECT_THAT(Mistakes(std::string_view("a='\0'", 5)),
              ElementsAre(StartsWith("t:1:4: a NUL byte")));
  EXPECT_THAT(Mistakes("\n a='\xff'"), testing::Contains(StartsWith("t:2:")));
}

TEST(DecodeConfig, LettersOutsideOfATextThatAreNotAscii) {
  for (const char* text : {"clé = 1", "[service.\u0494]", "hostname = é", "a \u3001 = 1"}) {
    EXPECT_THAT(Mistakes(text), testing::Not(IsEmpty())) << text;
  }
  EXPECT_EQ(Clean("environment.A = \"\"\"\\\n  é\"\"\"").environment.at(0).second, "é");
}

TEST(DecodeConfig, HeadersThatBeginWithNoKey) {
  for (const char* text : {"[.a]", "[=]", "[ ,a]", "[[.a]]", "[\x17]", "[", "[[", "a.=1", ".a=1"}) {
    EXPECT_THAT(Mistakes(text), testing::Not(IsEmpty())) << text;
  }
}

TEST(DecodeConfig, NestingIsBounded) {
  EXPECT_THAT(Mistakes("modules = " + std::string(100'000, '[')),
              testing::Contains(HasSubstr("nest")));
  std::string dots = "a";
  for (int i = 0; i < 100'000; ++i) dots += ".a";
  EXPECT_THAT(Mistakes(dots + "=1"), ElementsAre(HasSubstr("more than 512 dots in a line")));
  EXPECT_THAT(Mistakes("[" + dots.substr(0, 801) + "]"),
              testing::Contains(HasSubstr("nested deeper than 16 levels")));
}

}  // namespace
}  // namespace berth::init
