// SPDX-License-Identifier: Apache-2.0
//
// TreeWriter against a sender that lies, and against others that change its destination.
#include "protocol/files/tree_writer.h"

#include "protocol/files/tree_fixture.h"
#include "protocol/wire/channel.h"

namespace berth::files {
namespace {

// Frames as a hostile peer makes them. It counts as an honest one would, where a test does not say
// otherwise.
class Sender {
 public:
  explicit Sender(WriteOptions options) : writer_(std::move(options)) {}

  Result<> Send(const std::function<void(v1::Envelope&)>& fill) {
    v1::Envelope message;
    fill(message);
    const std::string frame = wire::EncodeMessage(message).value();
    const auto payload = std::as_bytes(std::span(frame)).subspan(wire::kFrameHeaderBytes);
    if (!message.has_copy_done()) messages_.Add(payload);
    if (message.has_copy_entry()) done_.set_entries(done_.entries() + 1);
    return writer_.HandleFrame({wire::FrameKind::kMessage, wire::Stream{}, payload});
  }
  Result<> Entry(
      v1::CopyEntry::Kind kind, const std::string& name,
      const std::function<void(v1::CopyEntry&)>& more = [](v1::CopyEntry&) {}) {
    return Send([&](v1::Envelope& message) {
      v1::CopyEntry& entry = *message.mutable_copy_entry();
      entry.set_kind(kind);
      entry.set_name(name);
      entry.set_mode(kind == v1::CopyEntry::DIRECTORY ? 0755 : 0644);
      if (kind == v1::CopyEntry::FILE) content_ = Checksum();
      more(entry);
    });
  }
  Result<> Directory(const std::string& name) { return Entry(v1::CopyEntry::DIRECTORY, name); }
  Result<> Symlink(const std::string& name, const std::string& target) {
    return Entry(v1::CopyEntry::SYMLINK, name, [&](auto& entry) { entry.set_target(target); });
  }
  Result<> Data(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    content_.Add(bytes);
    size_ += text.size();
    done_.set_bytes(done_.bytes() + text.size());
    return writer_.HandleFrame({wire::FrameKind::kData, Outgoing::kStream, bytes});
  }
  Result<> Hole(uint64_t bytes) {
    content_.Add(bytes);
    size_ += bytes;
    return Send([&](v1::Envelope& message) { message.mutable_copy_hole()->set_bytes(bytes); });
  }
  Result<> FileEnd(const std::function<void(v1::CopyFileEnd&)>& more = [](v1::CopyFileEnd&) {}) {
    return Send([&](v1::Envelope& message) {
      message.mutable_copy_file_end()->set_size(std::exchange(size_, 0));
      message.mutable_copy_file_end()->set_checksum(content_.Value());
      more(*message.mutable_copy_file_end());
    });
  }
  Result<> File(const std::string& name, std::string_view text, uint64_t link = 0) {
    BERTH_TRY(Entry(v1::CopyEntry::FILE, name, [&](auto& entry) { entry.set_link(link); }));
    BERTH_TRY(Data(text));
    return FileEnd();
  }
  Result<> Leave() {
    return Send([](v1::Envelope& message) { message.mutable_copy_leave(); });
  }
  Result<> Done(const std::function<void(v1::CopyDone&)>& more = [](v1::CopyDone&) {}) {
    return Send([&](v1::Envelope& message) {
      done_.set_checksum(messages_.Value());
      *message.mutable_copy_done() = done_;
      more(*message.mutable_copy_done());
    });
  }
  TreeWriter& writer() { return writer_; }

 private:
  TreeWriter writer_;
  Checksum messages_;
  Checksum content_;
  uint64_t size_ = 0;
  v1::CopyDone done_;
};

class HostileTest : public TreeTest {
 protected:
  HostileTest() {
    fs::create_directories(dir_ + "/outside");
    Write(dir_ + "/outside/precious", "untouched");
  }
  ~HostileTest() override {
    EXPECT_EQ(Read(dir_ + "/outside/precious"), "untouched");
    size_t outside = 0;
    for (const auto& entry : fs::directory_iterator(dir_ + "/outside")) {
      outside += !entry.path().empty();
    }
    EXPECT_EQ(outside, 1U) << "something left the destination";
    ExpectNothingTemporary();
  }
  std::string Outside(const std::string& name = {}) const { return dir_ + "/outside/" + name; }
};

int Errno(const Result<>& result) { return result ? 0 : result.error().errnum; }

TEST_F(HostileTest, AnHonestOneIsTaken) {
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Directory(""));
  ASSERT_TRUE(sender.File("a", "text"));
  ASSERT_TRUE(sender.Leave());
  ASSERT_TRUE(sender.Done());
  EXPECT_TRUE(sender.writer().done());
  EXPECT_EQ(Read(To("t/a")), "text");
}

TEST_F(HostileTest, NamesThatLeadElsewhere) {
  for (const std::string& name :
       {std::string(".."), std::string("."), std::string(), std::string("../outside/x"),
        Outside("x"), std::string("a/b"), std::string("/"), std::string("x\0y", 3),
        std::string(256, 'x')}) {
    for (const auto kind : {v1::CopyEntry::FILE, v1::CopyEntry::DIRECTORY, v1::CopyEntry::FIFO,
                            v1::CopyEntry::LINK, v1::CopyEntry::SYMLINK}) {
      Sender sender(Into("t"));
      ASSERT_TRUE(sender.Directory(""));
      EXPECT_EQ(Errno(sender.Entry(kind, name,
                                   [&](auto& entry) {
                                     if (kind == v1::CopyEntry::SYMLINK) entry.set_target("x");
                                     if (kind == v1::CopyEntry::LINK) entry.set_link(1);
                                   })),
                EPROTO)
          << name;
    }
  }
  Sender named(Into("t2"));
  EXPECT_EQ(Errno(named.Directory("mine")), EPROTO) << "the root's name is the receiver's";
}

TEST_F(HostileTest, ALinkOfTheirOwnIsNoWayOut) {
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Directory(""));
  ASSERT_TRUE(sender.Symlink("out", Outside()));
  EXPECT_EQ(Errno(sender.Directory("out")), ENOTDIR);
}

TEST_F(HostileTest, ALinkToAFileIsReplacedNotWrittenThrough) {
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Directory(""));
  ASSERT_TRUE(sender.Symlink("f", Outside("precious")));
  ASSERT_TRUE(sender.File("f", "evil"));
  EXPECT_TRUE(S_ISREG(Status(To("t/f")).st_mode));
  EXPECT_EQ(Read(To("t/f")), "evil");
}

TEST_F(HostileTest, AHardLinkByWayOfASwappedDirectoryIsNoWayOut) {
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Directory(""));
  ASSERT_TRUE(sender.Directory("d"));
  ASSERT_TRUE(sender.File("precious", "x", 1));
  ASSERT_TRUE(sender.Leave());
  // Somebody else in the destination: the directory becomes a link to where it should not go.
  fs::rename(To("t/d"), To("t/moved"));
  fs::create_directory_symlink(Outside(), To("t/d"));
  EXPECT_EQ(
      Errno(sender.Entry(v1::CopyEntry::LINK, "stolen", [](auto& entry) { entry.set_link(1); })),
      ELOOP);
  EXPECT_FALSE(Exists(To("t/stolen")));
}

TEST_F(HostileTest, AHardLinkToAFileThatWasReplacedIsRefused) {
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Directory(""));
  ASSERT_TRUE(sender.File("a", "x", 1));
  fs::remove(To("t/a"));
  fs::create_hard_link(Outside("precious"), To("t/a"));
  EXPECT_EQ(Errno(sender.Entry(v1::CopyEntry::LINK, "b", [](auto& e) { e.set_link(1); })), ESTALE);
  EXPECT_FALSE(Exists(To("t/b")));
}

TEST_F(HostileTest, ADirectoryThatIsSwappedWhileItIsOpenIsNotFollowed) {
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Directory(""));
  ASSERT_TRUE(sender.Directory("d"));
  fs::rename(To("t/d"), To("t/moved"));
  fs::create_directory_symlink(Outside(), To("t/d"));
  ASSERT_TRUE(sender.File("x", "evil"));
  ASSERT_TRUE(sender.Leave());
  EXPECT_EQ(Read(To("t/moved/x")), "evil");
}

TEST_F(HostileTest, LinksThatAreThereAreNotFollowedIntoDirectories) {
  fs::create_directories(To("t"));
  fs::create_directory_symlink(Outside(), To("t/d"));
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Directory(""));
  EXPECT_EQ(Errno(sender.Directory("d")), ENOTDIR);
}

TEST_F(HostileTest, DuplicateNamesReplaceEachOther) {
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Directory(""));
  ASSERT_TRUE(sender.File("a", "first"));
  ASSERT_TRUE(sender.File("a", "second"));
  EXPECT_EQ(Read(To("t/a")), "second");
  EXPECT_EQ(Errno(sender.Directory("a")), ENOTDIR);
}

TEST_F(HostileTest, FramesInNoOrder) {
  EXPECT_EQ(Errno(Sender(Into("t")).Data("x")), EPROTO);
  EXPECT_EQ(Errno(Sender(Into("t")).Hole(1)), EPROTO);
  EXPECT_EQ(Errno(Sender(Into("t")).FileEnd()), EPROTO);
  EXPECT_EQ(Errno(Sender(Into("t")).Leave()), EPROTO);
  EXPECT_EQ(Errno(Sender(Into("t")).Done()), EPROTO);
  EXPECT_EQ(Errno(Sender(Into("t")).Entry(v1::CopyEntry::LINK, "")), EPROTO);
  EXPECT_EQ(Errno(Sender(Into("t")).Send([](auto& message) { message.mutable_ping(); })), EPROTO);
  {
    Sender sender(Into("t"));
    ASSERT_TRUE(sender.Directory(""));
    EXPECT_EQ(Errno(sender.Data("x")), EPROTO) << "data without a file";
  }
  {
    Sender sender(Into("t"));
    ASSERT_TRUE(sender.Directory(""));
    ASSERT_TRUE(sender.Entry(v1::CopyEntry::FILE, "f"));
    EXPECT_EQ(Errno(sender.Entry(v1::CopyEntry::FILE, "g")), EPROTO) << "a file in a file";
    EXPECT_EQ(Errno(sender.Hole(0)), EPROTO);
    EXPECT_EQ(Errno(sender.Done()), EPROTO);
    EXPECT_EQ(Errno(sender.Leave()), EPROTO);
  }
  {
    Sender sender(Into("t"));
    ASSERT_TRUE(sender.Directory(""));
    ASSERT_TRUE(sender.Leave());
    EXPECT_EQ(Errno(sender.File("x", "x")), EPROTO) << "behind the root";
    EXPECT_EQ(Errno(sender.Leave()), EPROTO);
  }
  {
    Sender sender(Into("one"));
    ASSERT_TRUE(sender.File("", "x"));
    ASSERT_TRUE(sender.Done());
    EXPECT_EQ(Errno(sender.Done()), EPROTO) << "two CopyDone";
    EXPECT_EQ(Errno(sender.File("", "x")), EPROTO);
  }
  {
    TreeWriter writer(Into("t"));
    EXPECT_EQ(Errno(writer.HandleFrame({wire::FrameKind::kEnd, Outgoing::kStream, {}})), EPROTO);
    const std::byte byte{};
    EXPECT_EQ(Errno(writer.HandleFrame(
                  {wire::FrameKind::kData, wire::Stream::kStderr, std::span(&byte, 1)})),
              EPROTO);
  }
}

TEST_F(HostileTest, AnnouncedSizesAreBelievedInNothing) {
  Sender sender(Into("f"));
  ASSERT_TRUE(sender.Entry(v1::CopyEntry::FILE, "", [](auto& e) { e.set_size(UINT64_MAX); }));
  ASSERT_TRUE(sender.Data("abc"));
  ASSERT_TRUE(sender.FileEnd());
  EXPECT_EQ(Status(To("f")).st_size, 3);
}

TEST_F(HostileTest, BytesAndHolesAreCountedTogether) {
  WriteOptions options = Into("f");
  options.max_bytes = 100;
  Sender sender(options);
  ASSERT_TRUE(sender.Entry(v1::CopyEntry::FILE, ""));
  ASSERT_TRUE(sender.Hole(90));
  EXPECT_EQ(Errno(sender.Hole(UINT64_MAX)), E2BIG) << "it wraps in nothing";
  ASSERT_TRUE(sender.Data("0123456789"));
  EXPECT_EQ(Errno(sender.Data("x")), E2BIG);
  EXPECT_FALSE(Exists(To("f")));
}

TEST_F(HostileTest, EntriesAndDepthAndLinksAreBounded) {
  WriteOptions options = Into("t");
  options.max_entries = 2;
  Sender few(options);
  ASSERT_TRUE(few.Directory(""));
  ASSERT_TRUE(few.File("a", "x"));
  EXPECT_EQ(Errno(few.File("b", "x")), E2BIG);

  Sender deep(Into("deep"));
  ASSERT_TRUE(deep.Directory(""));
  for (int i = 1; i < wire::kMaxCopyDepth; ++i) ASSERT_TRUE(deep.Directory("d"));
  EXPECT_EQ(Errno(deep.Directory("d")), E2BIG);

  Sender twice(Into("links"));
  ASSERT_TRUE(twice.Directory(""));
  ASSERT_TRUE(twice.File("a", "x", 7));
  EXPECT_EQ(Errno(twice.File("b", "x", 7)), EPROTO);
  EXPECT_EQ(Errno(twice.Entry(v1::CopyEntry::LINK, "c", [](auto& e) { e.set_link(8); })), EPROTO);
}

TEST_F(HostileTest, AFileThatArrivesOtherwiseGetsNoName) {
  for (const auto& lie : std::vector<std::function<void(v1::CopyFileEnd&)>>{
           [](auto& end) { end.set_checksum(end.checksum() ^ 1); },
           [](auto& end) { end.set_size(end.size() + 1); }}) {
    Sender sender(Into("f"));
    Write(To("f"), "old");
    ASSERT_TRUE(sender.Entry(v1::CopyEntry::FILE, ""));
    ASSERT_TRUE(sender.Data("new"));
    EXPECT_FALSE(sender.FileEnd(lie));
    EXPECT_EQ(Read(To("f")), "old");
  }
}

TEST_F(HostileTest, CountsAndTheChecksumOfAllAreCompared) {
  for (const auto& lie : std::vector<std::function<void(v1::CopyDone&)>>{
           [](auto& done) { done.set_checksum(done.checksum() ^ 1); },
           [](auto& done) { done.set_entries(done.entries() + 1); },
           [](auto& done) { done.set_bytes(0); }}) {
    Sender sender(Into("f"));
    ASSERT_TRUE(sender.File("", "text"));
    EXPECT_EQ(Errno(sender.Done(lie)), EIO);
    EXPECT_FALSE(sender.writer().done());
  }
}

TEST_F(HostileTest, NothingIsLeftOfAFileThatIsNotFinished) {
  {
    Sender sender(Into("t"));
    ASSERT_TRUE(sender.Directory(""));
    ASSERT_TRUE(sender.Entry(v1::CopyEntry::FILE, "half"));
    ASSERT_TRUE(sender.Data("half"));
  }
  EXPECT_TRUE(fs::is_empty(To("t")));
}

TEST_F(HostileTest, ADirectoryIsItsOwnersAloneUntilItIsWhole) {
  Sender sender(Into("t"));
  ASSERT_TRUE(sender.Entry(v1::CopyEntry::DIRECTORY, "", [](auto& e) { e.set_mode(0777); }));
  EXPECT_EQ(Status(To("t")).st_mode & 07777, 0700U);
  ASSERT_TRUE(sender.Leave());
  EXPECT_EQ(Status(To("t")).st_mode & 07777, 0777U);
}

TEST_F(HostileTest, ADirectoryThatWasThereKeepsWhatItHas) {
  fs::create_directories(To("t"));
  chmod(To("t").c_str(), 0711);
  WriteOptions options = Into("t");
  options.keep_owner = false;
  Sender sender(options);
  ASSERT_TRUE(sender.Entry(v1::CopyEntry::DIRECTORY, "", [](auto& e) { e.set_mode(0777); }));
  ASSERT_TRUE(sender.Leave());
  EXPECT_EQ(Status(To("t")).st_mode & 07777, 0711U);
}

TEST_F(HostileTest, AStreamTakesOneFileAndMakesNothing) {
  WriteOptions options = Into("f");
  options.stream = true;
  Sender tree(options);
  EXPECT_EQ(Errno(tree.Directory("")), EISDIR);
  Sender sender(options);
  ASSERT_TRUE(sender.Entry(v1::CopyEntry::FILE, ""));
  ASSERT_TRUE(sender.Data("abc"));
  EXPECT_EQ(sender.writer().stream_data().size(), 3U);
  ASSERT_TRUE(sender.Hole(5));
  EXPECT_EQ(sender.writer().stream_zeros(), 5U);
  EXPECT_TRUE(sender.writer().stream_data().empty());
  ASSERT_TRUE(sender.FileEnd());
  ASSERT_TRUE(sender.Done());
  EXPECT_TRUE(fs::is_empty(To()));
}

}  // namespace
}  // namespace berth::files
