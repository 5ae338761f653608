// SPDX-License-Identifier: Apache-2.0
//
// TreeReader and TreeWriter together: what comes out of one end is what went in at the other.
#include <sys/socket.h>
#include <sys/un.h>

#include "protocol/files/tree_fixture.h"

namespace berth::files {
namespace {

void SetTime(const std::string& path, time_t seconds, long nanoseconds) {
  const timespec times[] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
}

TEST_F(TreeTest, AllKindsComeAsTheyAre) {
  fs::create_directories(From("t/sub/empty"));
  Write(From("t/plain"), "hello\n");
  Write(From("t/empty"), "");
  Write(From("t/with\nnewline and \xff\xfe"), "odd");
  Write(From("t/sub/-rf"), std::string(300'000, 'x'));
  fs::create_hard_link(From("t/plain"), From("t/sub/again"));
  fs::create_symlink("../../nowhere", From("t/dangling"));
  fs::create_symlink("/etc", From("t/absolute"));
  fs::create_directory_symlink("sub", From("t/to-a-directory"));
  ASSERT_EQ(mkfifo(From("t/fifo").c_str(), 0640), 0);
  chmod(From("t/plain").c_str(), geteuid() == 0 ? 0 : 0400);  // who is not root has to read it
  chmod(From("t/empty").c_str(), 01777);
  chmod(From("t/sub/empty").c_str(), 0555);
  SetTime(From("t/dangling"), 1, 1);
  SetTime(From("t/fifo"), 1'000'000'000, 999'999'999);
  SetTime(From("t/sub/-rf"), -5, 7);
  SetTime(From("t/sub/empty"), 1'500'000'000, 3);
  SetTime(From("t/sub"), 1'600'000'000, 4);
  SetTime(From("t"), 1'700'000'000, 5);
  const auto copied = CopyInto("t");
  ASSERT_TRUE(copied) << copied.error().Message();
  EXPECT_EQ(Listing(To()), Listing(From()));
  EXPECT_EQ(Status(To("t/plain")).st_ino, Status(To("t/sub/again")).st_ino);
  EXPECT_EQ(done_.left_out(), 0U);
  EXPECT_EQ(done_.entries(), 12U);
  ExpectNothingTemporary();
}

TEST_F(TreeTest, HolesStayHoles) {
  constexpr off_t kSize = 64 << 20;
  const UniqueFd fd(open(From("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_EQ(pwrite(fd.get(), "middle", 6, 8 << 20), 6);
  ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
  const auto copied = CopyInto("sparse");
  ASSERT_TRUE(copied) << copied.error().Message();
  const auto status = Status(To("sparse"));
  EXPECT_EQ(status.st_size, kSize);
  EXPECT_LE(status.st_blocks * 512, 1 << 20);
  EXPECT_EQ(status.st_blocks, Status(From("sparse")).st_blocks);
  EXPECT_EQ(Read(To("sparse")), Read(From("sparse")));
  EXPECT_LT(done_.bytes(), 1U << 20);
}

TEST_F(TreeTest, AFileThatIsAllHoleHasItsSize) {
  const UniqueFd fd(open(From("hole").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_EQ(ftruncate(fd.get(), 1 << 30), 0);
  ASSERT_TRUE(CopyInto("hole"));
  EXPECT_EQ(Status(To("hole")).st_size, 1 << 30);
  EXPECT_EQ(Status(To("hole")).st_blocks, 0);
}

TEST_F(TreeTest, TheDestinationIsTakenAsByCp) {
  Write(From("f"), "file");
  fs::create_directories(From("d"));
  Write(From("d/in"), "inside");
  WriteOptions options = Into("f");
  // A directory that is there: into it. Else the new name.
  ASSERT_TRUE(Copy(From("f"), options));
  EXPECT_EQ(Read(To("f")), "file");
  const auto to = [&](const std::string& path, const std::string& name, bool content,
                      bool directory) {
    WriteOptions other = Into(name);
    other.path = To(path);
    other.content = content;
    other.into_directory = directory;
    return other;
  };
  ASSERT_TRUE(Copy(From("f"), to("g", "f", false, false)));
  EXPECT_EQ(Read(To("g")), "file");
  ASSERT_TRUE(Copy(From("d"), to("new", "d", false, false)));
  EXPECT_EQ(Read(To("new/in")), "inside");
  ASSERT_TRUE(Copy(From("d"), to("new", "d", false, false)));
  EXPECT_EQ(Read(To("new/d/in")), "inside");
  // "SRC/.": its content, into what is there or a new name.
  fs::create_directories(To("there"));
  ASSERT_TRUE(Copy(From("d/."), to("there", "", true, false)));
  EXPECT_EQ(Read(To("there/in")), "inside");
  ASSERT_TRUE(Copy(From("d/."), to("fresh", "", true, false)));
  EXPECT_EQ(Read(To("fresh/in")), "inside");
  // A slash at the end: a directory, or what becomes one.
  ASSERT_TRUE(Copy(From("d"), to("slash/", "d", false, true)));
  EXPECT_EQ(Read(To("slash/in")), "inside");
  EXPECT_EQ(Copy(From("f"), to("missing/", "f", false, true)).error().errnum, ENOENT);
  EXPECT_EQ(Copy(From("f"), to("f/", "f", false, true)).error().errnum, ENOTDIR);
  // What cannot be.
  EXPECT_EQ(Copy(From("d"), to("f", "d", false, false)).error().errnum, ENOTDIR);
  EXPECT_EQ(Copy(From("f"), to("no/such/dir", "f", false, false)).error().errnum, ENOENT);
  EXPECT_EQ(Copy(From("f"), to("there", "", false, false)).error().errnum, EISDIR);
  EXPECT_EQ(Copy(From("f"), to("x", "", true, false)).error().errnum, ENOTDIR);
  fs::create_directories(To("there2/f"));
  EXPECT_EQ(Copy(From("f"), to("there2", "f", false, false)).error().errnum, EISDIR);
  ExpectNothingTemporary();
}

TEST_F(TreeTest, WhatIsThereIsReplacedAndDirectoriesAreMerged) {
  fs::create_directories(From("t/sub"));
  Write(From("t/sub/a"), "new");
  Write(From("t/b"), "new too");
  fs::create_symlink("elsewhere", From("t/l"));
  ASSERT_EQ(mkfifo(From("t/p").c_str(), 0600), 0);
  ASSERT_TRUE(CopyInto("t"));
  Write(To("t/sub/a"), "old");
  Write(To("t/sub/kept"), "kept");
  fs::remove(To("t/b"));
  fs::create_symlink("a", To("t/b"));
  ASSERT_TRUE(CopyInto("t"));
  EXPECT_EQ(Read(To("t/sub/a")), "new");
  EXPECT_EQ(Read(To("t/sub/kept")), "kept");
  EXPECT_TRUE(S_ISREG(Status(To("t/b")).st_mode)) << "the link itself, not what it leads to";
  EXPECT_TRUE(S_ISFIFO(Status(To("t/p")).st_mode));
  ExpectNothingTemporary();
}

TEST_F(TreeTest, HardLinksThatAreThereAlreadyLeaveNothingTemporary) {
  fs::create_directories(From("t"));
  Write(From("t/a"), "x");
  fs::create_hard_link(From("t/a"), From("t/b"));
  ASSERT_TRUE(CopyInto("t"));
  ASSERT_TRUE(CopyInto("t"));
  EXPECT_EQ(Status(To("t/a")).st_ino, Status(To("t/b")).st_ino);
  EXPECT_EQ(Status(To("t/a")).st_nlink, 2U);
  ExpectNothingTemporary();
}

TEST_F(TreeTest, DevicesAndSocketsAreLeftOutAndNoted) {
  fs::create_directories(From("t"));
  const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  From("t/s").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  Write(From("t/z"), "comes");
  ASSERT_TRUE(CopyInto("t"));
  EXPECT_EQ(Read(To("t/z")), "comes");
  EXPECT_FALSE(Exists(To("t/s")));
  EXPECT_EQ(done_.left_out(), 1U);
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_EQ(notes_[0].path, "s");
  EXPECT_EQ(notes_[0].detail, "a socket");
  EXPECT_FALSE(CopyInto("t/s")) << "what was asked for by name is no note";
  EXPECT_EQ(Copy("/dev/null", Into("null")).error().errnum, EOPNOTSUPP);
}

TEST_F(TreeTest, ADeviceIsNotReplaced) {
  if (geteuid() != 0) GTEST_SKIP() << "mknod needs root";
  Write(From("null"), "x");
  ASSERT_EQ(mknod(To("null").c_str(), S_IFCHR | 0666, (1 << 8) | 3), 0);
  const auto copied = CopyInto("null");
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().errnum, EEXIST);
  EXPECT_TRUE(S_ISCHR(Status(To("null")).st_mode));
  ExpectNothingTemporary();
}

TEST_F(TreeTest, AFifoIsNotOpenedToRead) {
  fs::create_directories(From("t"));
  ASSERT_EQ(mkfifo(From("t/p").c_str(), 0600), 0);
  // With nobody at its other end an open(2) that waits would wait for ever.
  ASSERT_TRUE(CopyInto("t"));
  ASSERT_TRUE(CopyInto("t/p"));
  EXPECT_TRUE(S_ISFIFO(Status(To("p")).st_mode));
}

TEST_F(TreeTest, FilesWithoutASizeAreReadToTheirEnd) {
  ASSERT_TRUE(Copy("/proc/self/status", Into("status")));
  EXPECT_TRUE(Read(To("status")).starts_with("Name:"));
  ASSERT_TRUE(Copy("/sys/kernel/mm/transparent_hugepage/enabled", Into("page")));
  EXPECT_TRUE(Read(To("page")).contains("never")) << "it claims a page and has a line";
}

TEST_F(TreeTest, AFileThatGrowsComesAsItWasWhenItWasOpened) {
  fs::create_directories(From("t"));
  Write(From("t/log"), std::string(600'000, 'a'));
  bool grown = false;
  ASSERT_TRUE(CopyInto("t", [&] {
    if (std::exchange(grown, true)) return;
    std::ofstream(From("t/log"), std::ios::app) << "more";
  }));
  EXPECT_EQ(Read(To("t/log")), std::string(600'000, 'a'));
  EXPECT_EQ(done_.left_out(), 0U);
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_TRUE(notes_[0].harmless);
}

TEST_F(TreeTest, AFileThatIsCutGetsNoName) {
  fs::create_directories(From("t"));
  Write(From("t/a"), std::string(600'000, 'a'));
  fs::create_hard_link(From("t/a"), From("t/b"));
  Write(From("t/other"), "other");
  bool cut = false;
  ASSERT_TRUE(CopyInto("t", [&] {
    if (!std::exchange(cut, true)) fs::resize_file(From("t/a"), 10);
  }));
  EXPECT_EQ(Read(To("t/other")), "other");
  EXPECT_EQ(Exists(To("t/a")) + Exists(To("t/b")), 1) << "its second name came, whole, as a file";
  EXPECT_EQ(done_.left_out(), 1U);
  ASSERT_FALSE(notes_.empty());
  EXPECT_EQ(notes_[0].errnum, ESTALE);
  ExpectNothingTemporary();
  // Of one that was asked for by name that is the end.
  Write(From("alone"), std::string(600'000, 'a'));
  cut = false;
  EXPECT_FALSE(CopyInto("alone", [&] {
    if (!std::exchange(cut, true)) fs::resize_file(From("alone"), 10);
  }));
  EXPECT_FALSE(Exists(To("alone")));
}

TEST_F(TreeTest, WhatCannotBeReadIsLeftOut) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  fs::create_directories(From("t/closed"));
  Write(From("t/secret"), "x");
  chmod(From("t/secret").c_str(), 0);
  chmod(From("t/closed").c_str(), 0);
  ASSERT_TRUE(CopyInto("t"));
  EXPECT_EQ(done_.left_out(), 2U);
}

TEST_F(TreeTest, DeepTreesComeUpToTheBound) {
  std::string path = From("d");
  fs::create_directory(path);
  for (int i = 1; i < wire::kMaxCopyDepth + 2; ++i) {
    path += "/d";
    fs::create_directory(path);
  }
  ASSERT_TRUE(CopyInto("d"));
  EXPECT_EQ(done_.entries(), static_cast<uint64_t>(wire::kMaxCopyDepth));
  EXPECT_EQ(done_.left_out(), 1U);
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_EQ(notes_[0].errnum, ENAMETOOLONG);
}

TEST_F(TreeTest, ManyEntriesTakeManyTurns) {
  fs::create_directories(From("t"));
  for (int i = 0; i < 1000; ++i) Write(From("t/" + std::to_string(i)), std::to_string(i));
  int turns = 0;
  ASSERT_TRUE(CopyInto("t", [&] { ++turns; }));
  EXPECT_GE(turns, 1000 * 2 / 64);
  EXPECT_EQ(Listing(To()), Listing(From()));
}

TEST_F(TreeTest, NotesAreBounded) {
  fs::create_directories(From("t"));
  if (geteuid() != 0) GTEST_SKIP() << "mknod needs root";
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(mknod(From("t/" + std::to_string(i)).c_str(), S_IFCHR | 0600, 0), 0);
  }
  ASSERT_TRUE(CopyInto("t"));
  EXPECT_EQ(notes_.size(), wire::kMaxCopyNotes);
  EXPECT_EQ(done_.left_out(), 300U);
}

TEST_F(TreeTest, SetIdBitsNeedTheOwner) {
  Write(From("su"), "#!");
  chmod(From("su").c_str(), 06755);
  WriteOptions options = Into("su");
  options.keep_owner = false;
  ASSERT_TRUE(Copy(From("su"), options));
  EXPECT_EQ(Status(To("su")).st_mode & 07777, 0755U);
  EXPECT_EQ(Status(To("su")).st_uid, geteuid());
  if (geteuid() != 0) return;
  ASSERT_EQ(chown(From("su").c_str(), 4711, 4712), 0);
  chmod(From("su").c_str(), 06755);
  ASSERT_TRUE(CopyInto("su"));
  EXPECT_EQ(Status(To("su")).st_mode & 07777, 06755U);
  EXPECT_EQ(Status(To("su")).st_uid, 4711U);
  EXPECT_EQ(Status(To("su")).st_gid, 4712U);
}

TEST_F(TreeTest, ALinkIsFollowedWhereThatIsAskedFor) {
  Write(From("real"), "content");
  fs::create_symlink("real", From("link"));
  ASSERT_TRUE(Copy(From("link"), Into("as-it-is")));
  EXPECT_TRUE(S_ISLNK(Status(To("as-it-is")).st_mode));
  ASSERT_TRUE(Copy(From("link"), Into("followed"), true));
  EXPECT_EQ(Read(To("followed")), "content");
  EXPECT_TRUE(S_ISREG(Status(To("followed")).st_mode));
}

TEST_F(TreeTest, AStreamIsOneFile) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  TreeReader reader = TreeReader::OfStream(read_end.get());
  WriteOptions options = Into("");
  options.path = To("from-pipe");
  TreeWriter writer(options);
  wire::FrameBuffer buffer;
  Outgoing out;
  ASSERT_TRUE(reader.Fill(out).value());
  for (const char* text : {"one ", "two"}) {
    ASSERT_EQ(write(write_end.get(), text, strlen(text)), static_cast<ssize_t>(strlen(text)));
    ASSERT_TRUE(reader.Fill(out).value());
  }
  EXPECT_FALSE(Exists(To("from-pipe")));
  write_end.Reset();
  while (reader.Fill(out).value()) {
  }
  ASSERT_TRUE(Feed(buffer, writer, out.bytes()));
  EXPECT_TRUE(writer.done());
  EXPECT_EQ(Read(To("from-pipe")), "one two");
}

}  // namespace
}  // namespace berth::files
