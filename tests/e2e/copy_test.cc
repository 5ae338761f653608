// SPDX-License-Identifier: Apache-2.0
//
// `berth cp` with a booted guest: what comes out is what went in, and what is interrupted leaves
// nothing behind.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

namespace fs = std::filesystem;

void Put(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string Get(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Kind, mode, owner, time, blocks, links and content of everything below `path`.
std::string Listing(const std::string& path) {
  std::vector<std::string> names{"."};
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    names.push_back(entry.path().lexically_relative(path));
  }
  std::ranges::sort(names);
  std::ostringstream listing;
  for (const std::string& name : names) {
    struct stat status{};
    const std::string full = path + "/" + name;
    EXPECT_EQ(lstat(full.c_str(), &status), 0) << full;
    listing << name << ": " << std::oct << status.st_mode << std::dec << ' ' << status.st_uid << ':'
            << status.st_gid << ' ' << status.st_mtim.tv_sec << '.' << status.st_mtim.tv_nsec;
    if (S_ISLNK(status.st_mode)) listing << " -> " << fs::read_symlink(full).string();
    if (S_ISREG(status.st_mode)) {
      listing << ' ' << status.st_size << " bytes, " << status.st_nlink << " names, "
              << (status.st_blocks * 512 < status.st_size ? "sparse, " : "")
              << std::hash<std::string>()(Get(full));
    }
    listing << '\n';
  }
  return listing.str();
}

class Copy : public testing::Test {
 protected:
  Copy() {
    dir_ = host_.dir() + "/files";
    fs::create_directories(dir_);
  }
  // The test's host looks for what is left below its directory when it goes.
  ~Copy() override { fs::remove_all(dir_); }

  Outcome Cp(std::vector<std::string> args, RunOptions options = {}) {
    args.insert(args.begin(), "cp");
    return host_.Berth(std::move(args), std::move(options));
  }
  Outcome Exec(const std::string& script) {
    return host_.Berth({"exec", "vm", "--", "sh", "-c", script});
  }
  // `fed`: has stdin of the test's to take meanwhile.
  bool Eventually(const std::string& script, const std::string& out, Process* fed = nullptr) {
    const auto deadline = Deadline::In(60s);
    Outcome last;
    while (!deadline.Passed()) {
      if (fed != nullptr)
        fed->WaitForOutput("berth: ", Deadline::In(std::chrono::milliseconds(50)));
      last = Exec(script);
      if (last.code == 0 && last.out == out) return true;
    }
    ADD_FAILURE() << script << ": " << last;
    return false;
  }

  Host host_;
  std::string dir_;
};

TEST_F(Copy, ATreeComesBackAsItWas) {
  host_.Up("vm");
  const std::string tree = dir_ + "/tree";
  fs::create_directories(tree + "/sub/empty");
  Put(tree + "/plain", "plain\n");
  Put(tree + "/empty", "");
  Put(tree + "/new\nline \xff", "odd name");
  Put(tree + "/sub/large", std::string(3'000'000, 'l'));
  Put(tree + "/su", "#!");
  fs::create_hard_link(tree + "/plain", tree + "/sub/again");
  fs::create_symlink("../../etc/passwd", tree + "/sub/link");
  fs::create_symlink("/etc", tree + "/absolute");
  ASSERT_EQ(mkfifo((tree + "/fifo").c_str(), 0640), 0);
  {
    const UniqueFd sparse(open((tree + "/sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(pwrite(sparse.get(), "data", 4, 20 << 20), 4);
    ASSERT_EQ(ftruncate(sparse.get(), 100 << 20), 0);
  }
  ASSERT_EQ(chown((tree + "/su").c_str(), 1234, 5678), 0);
  ASSERT_EQ(chmod((tree + "/su").c_str(), 06751), 0);
  ASSERT_EQ(lchown((tree + "/sub/link").c_str(), 1234, 5678), 0);
  ASSERT_EQ(chmod((tree + "/empty").c_str(), 0), 0);
  ASSERT_EQ(chmod((tree + "/sub/empty").c_str(), 01777), 0);
  const timespec times[] = {{1'234'567'890, 987'654'321}, {1'234'567'890, 987'654'321}};
  ASSERT_EQ(utimensat(AT_FDCWD, (tree + "/sub/empty").c_str(), times, 0), 0);
  ASSERT_EQ(utimensat(AT_FDCWD, (tree + "/plain").c_str(), times, 0), 0);
  const std::string before = Listing(tree);

  const Outcome in = Cp({"-a", tree, "vm:/run"});
  ASSERT_EQ(in.code, 0) << in;
  EXPECT_TRUE(in.err.contains("13 entries")) << in;
  EXPECT_EQ(
      Exec("cat /run/tree/plain; stat -c '%a %u:%g %Y' /run/tree/su /run/tree/plain").out,
      "plain\n6751 1234:5678 " + Exec("stat -c %Y /run/tree/su").out + "644 0:0 1234567890\n");
  EXPECT_LT(std::stoi("0" + Exec("du -k /run/tree/sparse").out), 1000) << "holes stay holes";
  const Outcome out = Cp({"-a", "vm:/run/tree", dir_ + "/back"});
  ASSERT_EQ(out.code, 0) << out;
  EXPECT_EQ(Listing(dir_ + "/back"), before);

  // Without -a owners are the receiver's, and no file lends their rights.
  ASSERT_EQ(Cp({tree + "/su", "vm:/run/plain-su"}).code, 0);
  EXPECT_EQ(Exec("stat -c '%a %u:%g' /run/plain-su").out, "751 0:0\n");
  ASSERT_EQ(Cp({"vm:/run/tree/su", dir_ + "/su"}).code, 0);
  struct stat status{};
  ASSERT_EQ(lstat((dir_ + "/su").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0751U);
  EXPECT_EQ(status.st_uid, 0U);

  // "SRC/." is its content, and a directory that is there takes the source by its name.
  ASSERT_EQ(Cp({tree + "/sub/.", "vm:/run/content"}).code, 0);
  EXPECT_EQ(Exec("ls /run/content").out, "again\nempty\nlarge\nlink\n");
  ASSERT_EQ(Cp({tree + "/plain", tree + "/sub/again", "vm:/run/content/"}).code, 0);
  EXPECT_EQ(Exec("cat /run/content/plain").out, "plain\n");
}

TEST_F(Copy, StreamsAndMistakes) {
  host_.Up("vm");
  const Outcome version = Cp({"vm:/proc/version", "-"});
  EXPECT_EQ(version.code, 0) << version;
  EXPECT_TRUE(version.out.starts_with("Linux version")) << version;
  EXPECT_EQ(version.err, "");
  std::string all(1'000'000, '\0');
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * i >> 3);
  ASSERT_EQ(Cp({"-", "vm:/run/f"}, {.stdin_data = all}).code, 0);
  const Outcome back = Cp({"vm:/run/f", "-"});
  EXPECT_TRUE(back.out == all) << back.err;
  const Outcome asked = Cp({"--json", "vm:/run/f", dir_ + "/f"});
  EXPECT_EQ(nlohmann::json::parse(asked.out, nullptr, false).value("bytes", 0U), all.size())
      << asked;

  const Outcome missing = Cp({"vm:/no/such", dir_});
  EXPECT_EQ(missing.code, 1) << missing;
  EXPECT_TRUE(missing.err.contains("ENOENT")) << missing;
  const Outcome directory = Cp({"vm:/etc", "-"});
  EXPECT_EQ(directory.code, 1) << directory;
  EXPECT_TRUE(directory.err.contains("EISDIR")) << directory;
  const Outcome device = Cp({"vm:/dev/null", dir_});
  EXPECT_EQ(device.code, 1) << device;
  EXPECT_TRUE(device.err.contains("a device")) << device;
  EXPECT_EQ(Cp({dir_ + "/f", "vm:/no/such/place"}).code, 1);
  EXPECT_EQ(Cp({dir_ + "/missing", "vm:/run"}).code, 1);
  EXPECT_EQ(Cp({dir_ + "/f", dir_ + "/g"}).code, 2);
  EXPECT_EQ(Cp({"vm:/run/f"}).code, 2);
  EXPECT_EQ(Cp({"other:/run/f", dir_}).code, 3);
  EXPECT_EQ(Cp({"--max-size", "1K", "vm:/run/f", dir_ + "/h"}).code, 1);
  EXPECT_FALSE(fs::exists(dir_ + "/h"));
  // What devices and sockets there are in a tree is left out, and said.
  const Outcome devices = Cp({"vm:/dev", dir_ + "/dev"});
  EXPECT_EQ(devices.code, 1) << devices;
  EXPECT_TRUE(devices.err.contains("left out: ") && devices.err.contains("a device")) << devices;
  EXPECT_TRUE(host_.Berth({"events"}).out.contains("from the guest's /dev"));
}

TEST_F(Copy, QuarterOfAGibibyteBothWays) {
  host_.Up("vm", "demo", {"--memory", "1024"});
  constexpr size_t kMiB = 256;
  const std::string path = dir_ + "/large";
  {
    std::ofstream file(path, std::ios::binary);
    std::mt19937_64 random(4711);
    std::vector<uint64_t> block((1 << 20) / sizeof(uint64_t));
    for (size_t i = 0; i < kMiB; ++i) {
      for (uint64_t& word : block) word = random();
      file.write(reinterpret_cast<const char*>(block.data()), 1 << 20);
    }
  }
  ASSERT_EQ(Exec("mkdir -p /run/l && mount -t tmpfs -o size=400m none /run/l").code, 0);
  const auto begin = std::chrono::steady_clock::now();
  const Outcome in = Cp({path, "vm:/run/l/large"});
  ASSERT_EQ(in.code, 0) << in;
  const auto middle = std::chrono::steady_clock::now();
  const Outcome out = Cp({"vm:/run/l/large", dir_ + "/back"});
  ASSERT_EQ(out.code, 0) << out;
  const auto end = std::chrono::steady_clock::now();
  EXPECT_TRUE(Get(path) == Get(dir_ + "/back"));
  const auto ms = [](auto duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  };
  std::cout << "256 MiB: " << ms(middle - begin) << " ms in, " << ms(end - middle) << " ms out\n";
}

TEST_F(Copy, WhatIsInterruptedLeavesNothing) {
  host_.Up("vm", "demo", {"--memory", "768"});
  ASSERT_EQ(Exec("mkdir -p /run/d && mount -t tmpfs -o size=500m none /run/d").code, 0);
  // The client is killed while it copies to the guest: its stdin has not ended.
  {
    auto cp = host_.StartBerth({"cp", "-", "vm:/run/d/f"});
    cp->WriteStdin(std::string(1 << 20, 'x'));
    ASSERT_TRUE(
        Eventually("[ $(df -k /run/d | tail -n1 | awk '{print $3}') -ge 1000 ]", "", cp.get()));
    EXPECT_EQ(Exec("ls -A /run/d").out, "") << "it has no name yet";
    cp->Signal(SIGKILL);
    EXPECT_EQ(cp->Wait(Deadline::In(30s)).signal, SIGKILL);
    ASSERT_TRUE(Eventually("df -k /run/d | tail -n1 | awk '{print $3}'", "0\n"));
    EXPECT_EQ(Exec("ls -A /run/d").out, "");
  }
  // The agent is killed.
  {
    auto cp = host_.StartBerth({"cp", "-", "vm:/run/d/f"});
    cp->WriteStdin(std::string(1 << 20, 'x'));
    ASSERT_TRUE(
        Eventually("[ $(df -k /run/d | tail -n1 | awk '{print $3}') -ge 1000 ]", "", cp.get()));
    host_.Berth({"exec", "vm", "--", "sh", "-c", "kill -9 $(pidof berth-agent)"});
    const Outcome ended = cp->Wait(Deadline::In(60s));
    EXPECT_EQ(ended.code, 1) << ended;
    EXPECT_TRUE(ended.err.contains("the agent or the VM went away")) << ended;
    ASSERT_TRUE(Eventually("df -k /run/d | tail -n1 | awk '{print $3}'", "0\n"));
    EXPECT_EQ(Exec("ls -A /run/d").out, "");
  }
  // The client is killed, and told to end, while it copies from the guest.
  ASSERT_EQ(Exec("dd if=/dev/zero of=/run/d/big bs=1M count=400 2>/dev/null").code, 0);
  for (const int signal : {SIGKILL, SIGINT}) {
    fs::create_directories(dir_ + "/into");
    const size_t events = host_.Berth({"events"}).out.size();
    auto cp = host_.StartBerth({"cp", "vm:/run/d/big", dir_ + "/into"});
    const auto deadline = Deadline::In(60s);
    while (host_.Berth({"events"}).out.size() == events && !deadline.Passed()) {
    }
    cp->Signal(signal);
    const Outcome ended = cp->Wait(Deadline::In(30s));
    EXPECT_TRUE(signal == SIGKILL ? ended.signal == SIGKILL : ended.code == 130) << ended;
    EXPECT_TRUE(fs::is_empty(dir_ + "/into"));
  }
  // The VM is killed.
  auto cp = host_.StartBerth({"cp", "-", "vm:/run/f"});
  ASSERT_EQ(host_.Berth({"kill", "vm"}).code, 0);
  EXPECT_NE(cp->Wait(Deadline::In(60s)).code, 0);
}

TEST_F(Copy, AFullDiskOfTheGuestIsSaid) {
  host_.Up("vm");
  ASSERT_EQ(Exec("mkdir -p /run/small && mount -t tmpfs -o size=1m none /run/small").code, 0);
  Put(dir_ + "/f", std::string(8 << 20, 'x'));
  const Outcome full = Cp({dir_ + "/f", "vm:/run/small/"});
  EXPECT_EQ(full.code, 1) << full;
  EXPECT_TRUE(full.err.contains("ENOSPC")) << full;
  EXPECT_EQ(Exec("ls -A /run/small").out, "");
}

TEST_F(Copy, LinksInTheDestinationLeadNowhere) {
  host_.Up("vm");
  fs::create_directories(dir_ + "/t/sub");
  Put(dir_ + "/t/sub/escaped", "x");
  Put(dir_ + "/t/file", "new");
  // A process of the guest prepares what root will copy into.
  ASSERT_EQ(
      Exec("mkdir -p /run/d /run/out; echo precious >/run/out/file; ln -s /run/out /run/d/sub;"
           "ln -s /run/out/file /run/d/file")
          .code,
      0);
  const Outcome in = Cp({dir_ + "/t/.", "vm:/run/d"});
  EXPECT_EQ(in.code, 1) << in;
  EXPECT_TRUE(in.err.contains("ENOTDIR")) << in;
  ASSERT_EQ(Cp({dir_ + "/t/file", "vm:/run/d"}).code, 0);
  EXPECT_EQ(Exec("ls /run/out; cat /run/out/file /run/d/file").out, "file\nprecious\nnew");
  // And the other way: a guest's links come as they are, and are followed by nobody.
  ASSERT_EQ(Exec("mkdir -p /run/e; ln -s " + dir_ + " /run/e/x; ln -s ../../.. /run/e/y").code, 0);
  ASSERT_EQ(Cp({"vm:/run/e", dir_ + "/e"}).code, 0);
  EXPECT_EQ(fs::read_symlink(dir_ + "/e/x"), dir_);
  EXPECT_EQ(fs::read_symlink(dir_ + "/e/y"), "../../..");
}

}  // namespace
}  // namespace berth::e2e
