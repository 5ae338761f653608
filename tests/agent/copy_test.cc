// SPDX-License-Identifier: Apache-2.0
//
// Whole copies: the real agent, the real client, files in between.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>
#include <vector>

#include "protocol/base/io.h"
#include "protocol/files/outgoing.h"
#include "protocol/wire/handshake.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/copy_client.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

namespace fs = std::filesystem;

void Write(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CopyTest : public ::testing::Test {
 protected:
  CopyTest() {
    fs::create_directory(dir_ / "guest");
    fs::create_directory(dir_ / "host");
  }
  std::string Guest(const std::string& name = {}) const { return dir_ / ("guest/" + name); }
  std::string Here(const std::string& name = {}) const { return dir_ / ("host/" + name); }

  UniqueFd Open(v1::CopyStart::Direction direction, const std::string& path,
                const std::string& name = {}) const {
    v1::Envelope request;
    request.mutable_copy_start()->set_direction(direction);
    request.mutable_copy_start()->set_path(path);
    request.mutable_copy_start()->set_name(name);
    UniqueFd fd = rig_.Connect();
    EXPECT_TRUE(
        WriteFull(fd.get(), guest::EncodeOpening(request).value(), Deadline::In(kPatience)));
    return fd;
  }
  Result<v1::CopyDone> Put(
      const std::string& from, const std::string& to, const std::string& name,
      const std::function<void()>& between = [] {}) {
    BERTH_ASSIGN(auto reader, files::TreeReader::Open(from, false));
    return guest::CopyToGuest(Open(v1::CopyStart::TO_GUEST, to, name), std::move(reader), -1,
                              Hooks(between));
  }
  Result<v1::CopyDone> Get(
      const std::string& from, const std::string& to, const std::string& name,
      const std::function<void()>& between = [] {}) {
    return guest::CopyFromGuest(Open(v1::CopyStart::FROM_GUEST, from), Options(to, name), -1,
                                Hooks(between));
  }
  static files::WriteOptions Options(const std::string& path, const std::string& name) {
    return {.path = path,
            .name = name,
            .content = false,
            .into_directory = false,
            .keep_owner = false,
            .stream = false,
            .max_entries = wire::kMaxCopyEntries,
            .max_bytes = wire::kMaxCopyBytes};
  }
  guest::CopyHooks Hooks(const std::function<void()>& between = [] {}) {
    return {.progress = [between](const guest::CopyProgress&) { between(); },
            .note = [this](const files::Note& note) { notes_.push_back(note); }};
  }

  TempDir dir_;
  AgentRig rig_;
  std::vector<files::Note> notes_;
};

TEST_F(CopyTest, ATreeGoesInAndComesOut) {
  fs::create_directories(Here("t/a/b"));
  std::string large;
  for (int i = 0; i < 3'000'000; ++i) large += static_cast<char>(i * 7 ^ i >> 8);
  Write(Here("t/large"), large);
  Write(Here("t/a/b/small"), "small");
  fs::create_hard_link(Here("t/large"), Here("t/a/again"));
  fs::create_symlink("../large", Here("t/a/link"));
  for (int i = 0; i < 500; ++i) Write(Here("t/a/b/" + std::to_string(i)), std::to_string(i));
  const auto put = Put(Here("t"), Guest(), "t");
  ASSERT_TRUE(put) << put.error().Message();
  EXPECT_EQ(put->entries(), 507U);
  EXPECT_EQ(Read(Guest("t/large")), large);
  const auto got = Get(Guest("t"), Here("back"), "t");
  ASSERT_TRUE(got) << got.error().Message();
  EXPECT_EQ(got->entries(), 507U);
  EXPECT_EQ(got->bytes(), put->bytes());
  EXPECT_EQ(Read(Here("back/large")), large);
  EXPECT_EQ(Read(Here("back/a/b/499")), "499");
  EXPECT_TRUE(fs::equivalent(Here("back/large"), Here("back/a/again")));
  EXPECT_EQ(fs::read_symlink(Here("back/a/link")), "../large");
}

TEST_F(CopyTest, WhatTheGuestCannotDoComesAsItsFailure) {
  const auto missing = Get(Guest("missing"), Here(), "missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().errnum, ENOENT);
  EXPECT_EQ(missing.error().step, Step("guest"));
  Write(Here("f"), std::string(5 << 20, 'x'));
  const auto nowhere = Put(Here("f"), Guest("no/such/place"), "f");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().errnum, ENOENT) << nowhere.error().Message();
  EXPECT_EQ(Get("relative", Here(), "x").error().errnum, EINVAL);
}

TEST_F(CopyTest, AFullDiskOfTheGuestIsHeardWhileTheHostStillSends) {
  Write(Here("f"), std::string(5 << 20, 'x'));
  // /dev/full takes no name; a limit of the file size is as good as a full disk.
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1 << 20, .rlim_max = old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto put = Put(Here("f"), Guest(), "f");
  setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().errnum, EFBIG) << put.error().Message();
  EXPECT_TRUE(fs::is_empty(Guest()));
}

TEST_F(CopyTest, NotesOfTheGuestReachThePerson) {
  fs::create_directories(Guest("t"));
  ASSERT_EQ(mkfifo(Guest("t/fifo").c_str(), 0600), 0);
  std::string path = Guest("t/d");
  for (int i = 0; i < wire::kMaxCopyDepth; ++i) {
    fs::create_directory(path);
    path += "/d";
  }
  const auto got = Get(Guest("t"), Here(), "t");
  ASSERT_TRUE(got) << got.error().Message();
  EXPECT_EQ(got->left_out(), 1U);
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_EQ(notes_[0].errnum, ENAMETOOLONG);
  EXPECT_TRUE(fs::is_fifo(Here("t/fifo")));
}

TEST_F(CopyTest, StreamsGoBothWays) {
  Pipe in;
  ASSERT_EQ(write(in.write.get(), "from a pipe", 11), 11);
  in.write.Reset();
  const auto put =
      guest::CopyToGuest(Open(v1::CopyStart::TO_GUEST, Guest("f")),
                         files::TreeReader::OfStream(in.read.get()), in.read.get(), Hooks());
  ASSERT_TRUE(put) << put.error().Message();
  EXPECT_EQ(Read(Guest("f")), "from a pipe");
  // A hole comes as zeros; more than a pipe holds, so that its reader is waited for.
  ASSERT_EQ(truncate(Guest("f").c_str(), 1 << 20), 0);
  Pipe out;
  std::string read;
  std::thread reader([&] { read = ReadAll(out.read.get()); });
  files::WriteOptions options = Options("", "");
  options.stream = true;
  const auto got = guest::CopyFromGuest(Open(v1::CopyStart::FROM_GUEST, Guest("f")), options,
                                        out.write.get(), Hooks());
  out.write.Reset();
  reader.join();
  ASSERT_TRUE(got) << got.error().Message();
  EXPECT_EQ(read, "from a pipe" + std::string((1 << 20) - 11, '\0'));
}

TEST_F(CopyTest, ASignalEndsACopyAndLeavesNothing) {
  Write(Guest("f"), std::string(50 << 20, 'x'));
  bool sent = false;
  const auto got = Get(Guest("f"), Here(), "f", [&] {
    if (!std::exchange(sent, true)) pthread_kill(pthread_self(), SIGINT);
  });
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().step, Step("interrupted"));
  EXPECT_EQ(got.error().detail, "signal 2");
  EXPECT_TRUE(fs::is_empty(Here()));
  EXPECT_TRUE(Eventually([&] { return rig_.Connections() == 0; }));
}

TEST_F(CopyTest, AHostThatGoesAwayLeavesNothingInTheGuest) {
  {
    RawClient client(Open(v1::CopyStart::TO_GUEST, Guest(), "f"));
    client.Send([] {
      v1::Envelope message;
      message.mutable_copy_entry()->set_kind(v1::CopyEntry::FILE);
      return message;
    }());
    client.SendData(files::Outgoing::kStream, std::string(100'000, 'x'));
    ASSERT_TRUE(client.Read());
  }
  EXPECT_TRUE(Eventually([&] { return rig_.Connections() == 0; }));
  EXPECT_TRUE(fs::is_empty(Guest()));
}

TEST_F(CopyTest, AHostThatBreaksTheProtocolIsTold) {
  RawClient client(Open(v1::CopyStart::TO_GUEST, Guest(), "f"));
  client.SendData(files::Outgoing::kStream, "data of no file");
  EXPECT_EQ(client.ReadFailure().errnum(), EPROTO);
}

TEST_F(CopyTest, SoManyCopiesAndNoMore) {
  std::vector<RawClient> clients;
  for (int i = 0; i < wire::kMaxCopies; ++i) {
    clients.emplace_back(Open(v1::CopyStart::TO_GUEST, Guest(), "f"));
    ASSERT_TRUE(clients.back().Read()) << "its Hello";
  }
  const auto one_more = Get(Guest(), Here(), "guest");
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().errnum, EAGAIN);
  clients.clear();
  EXPECT_TRUE(Eventually([&] { return Get(Guest(), Here(), "guest").has_value(); }));
}

// --- A guest that lies ---

// Answers the client as a guest would, with the frames that a test gives it.
class LyingGuest {
 public:
  LyingGuest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    client_.Reset(ends[0]);
    guest_.emplace(UniqueFd(ends[1]));
  }
  void Hello(uint32_t generation = wire::kGeneration) {
    v1::Envelope message;
    message.mutable_hello()->set_generation(generation);
    message.mutable_hello()->set_oldest_generation(1);
    guest_->Send(message);
  }
  void Entry(v1::CopyEntry::Kind kind, const std::string& name, const std::string& target = {}) {
    v1::Envelope message;
    message.mutable_copy_entry()->set_kind(kind);
    message.mutable_copy_entry()->set_name(name);
    message.mutable_copy_entry()->set_target(target);
    guest_->Send(message);
  }
  RawClient& guest() { return *guest_; }
  UniqueFd TakeClient() { return std::move(client_); }

 private:
  UniqueFd client_;
  std::optional<RawClient> guest_;
};

TEST_F(CopyTest, AGuestsTreeCannotLeaveItsDestination) {
  for (const char* name : {"../escaped", "..", "/etc/escaped"}) {
    LyingGuest liar;
    liar.Hello();
    liar.Entry(v1::CopyEntry::DIRECTORY, "");
    liar.Entry(v1::CopyEntry::FILE, name);
    const auto got = guest::CopyFromGuest(liar.TakeClient(), Options(Here(), "t"), -1, Hooks());
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().errnum, EPROTO) << name;
  }
  LyingGuest liar;
  liar.Hello();
  liar.Entry(v1::CopyEntry::DIRECTORY, "");
  liar.Entry(v1::CopyEntry::SYMLINK, "out", Guest());
  liar.Entry(v1::CopyEntry::DIRECTORY, "out");
  EXPECT_EQ(
      guest::CopyFromGuest(liar.TakeClient(), Options(Here(), "t"), -1, Hooks()).error().errnum,
      ENOTDIR);
  EXPECT_TRUE(fs::is_empty(Guest()));
  EXPECT_FALSE(fs::exists(dir_ / "escaped"));
}

TEST_F(CopyTest, ANoteWithinItsBoundsAndNoMoreOfThemThanAllowed) {
  LyingGuest liar;
  liar.Hello();
  std::string notes;
  for (uint64_t i = 0; i <= wire::kMaxCopyNotes; ++i) {
    notes += RawClient::Encoded(
        [](v1::Envelope& message) { message.mutable_copy_note()->set_path("p"); });
  }
  // In one piece: nobody reads yet.
  liar.guest().SendBytes(notes);
  const auto got = guest::CopyFromGuest(liar.TakeClient(), Options(Here(), "t"), -1, Hooks());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().errnum, EPROTO);
  EXPECT_EQ(notes_.size(), wire::kMaxCopyNotes);
}

TEST_F(CopyTest, AnOlderAgentIsNamed) {
  LyingGuest old;
  old.Hello(2);
  const auto got = guest::CopyFromGuest(old.TakeClient(), Options(Here(), "t"), -1, Hooks());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().errnum, EPROTONOSUPPORT);
  EXPECT_EQ(got.error().hint, "rebuild its image with this release");
}

TEST_F(CopyTest, AnAnswerThatIsNotOfWhatWasSentIsAnError) {
  Write(Here("f"), "text");
  LyingGuest liar;
  liar.Hello();
  auto reader = files::TreeReader::Open(Here("f"), false);
  ASSERT_TRUE(reader);
  std::thread guest([&] {
    while (!liar.guest().ReadMessage().has_copy_done()) {
    }
    v1::Envelope done;
    done.mutable_copy_done()->set_entries(1);
    done.mutable_copy_done()->set_bytes(4);
    done.mutable_copy_done()->set_checksum(1);
    liar.guest().Send(done);
  });
  const auto put = guest::CopyToGuest(liar.TakeClient(), std::move(*reader), -1, Hooks());
  guest.join();
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().errnum, EIO);
}

TEST_F(CopyTest, AGuestThatEndsEarlyIsAnError) {
  for (const bool greeted : {false, true}) {
    LyingGuest gone;
    if (greeted) gone.Hello();
    gone.guest().Close();
    const auto got = guest::CopyFromGuest(gone.TakeClient(), Options(Here(), "t"), -1, Hooks());
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().errnum, ECONNRESET);
  }
}

}  // namespace
}  // namespace berth::testing
