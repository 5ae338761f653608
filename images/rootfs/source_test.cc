// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>

#include "images/rootfs/filesystem.h"
#include "images/rootfs/inject.h"
#include "images/rootfs/limits.h"
#include "images/rootfs/manifest.h"
#include "images/rootfs/work_dir.h"
#include "protocol/base/io.h"
#include "supervisor/hypervisor/temp_dir.h"

namespace berth::image {
namespace {

class SourceTest : public testing::Test {
 protected:
  SourceTest() : spool_(Folder("spool"), Cancel{}), loading_{spool_, warnings_, {}} {}

  std::string Folder(const std::string& name) const {
    const std::string path = dir_.path() + "/" + name;
    EXPECT_EQ(mkdir(path.c_str(), 0700), 0);
    return path;
  }

  struct Item {
    std::string path;
    mode_t type = AE_IFREG;
    std::string text{};  // content, target of a link, name that a hard link is of
    mode_t mode = 0644;
    bool hard_link = false;
  };
  std::string MakeTar(const std::string& name, const std::vector<Item>& items) const {
    const std::string path = dir_.path() + "/" + name;
    archive* const writer = archive_write_new();
    archive_write_set_format_gnutar(writer);
    archive_write_open_filename(writer, path.c_str());
    for (const Item& item : items) {
      archive_entry* const entry = archive_entry_new();
      archive_entry_set_pathname(entry, item.path.c_str());
      archive_entry_set_filetype(entry, item.type);
      archive_entry_set_perm(entry, item.mode);
      if (item.hard_link) archive_entry_set_hardlink(entry, item.text.c_str());
      if (item.type == AE_IFLNK) archive_entry_set_symlink(entry, item.text.c_str());
      const bool content = item.type == AE_IFREG && !item.hard_link;
      archive_entry_set_size(entry, content ? static_cast<int64_t>(item.text.size()) : 0);
      EXPECT_EQ(archive_write_header(writer, entry), ARCHIVE_OK) << archive_error_string(writer);
      if (content) archive_write_data(writer, item.text.data(), item.text.size());
      archive_entry_free(entry);
    }
    archive_write_free(writer);
    return path;
  }
  Result<> Apply(const std::string& path, int layer, Tree& tree) {
    HashedFile file(UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC)), path, loading_.cancel);
    return ApplyTar(file, layer, tree, loading_);
  }
  std::string ContentOf(const Tree& tree, const std::string& path) const {
    const Inode* const inode = tree.Find(path);
    if (inode == nullptr) return "(none)";
    return ReadFile(spool_.Path(inode->content).c_str(), 1 << 20).value_or("(unreadable)");
  }

  TempDir dir_;
  Warnings warnings_;
  Spool spool_;
  Loading loading_;
};

TEST_F(SourceTest, TarRefusesWhatLeadsOut) {
  for (const char* const path : {"../x", "/etc/x", "a/../../x"}) {
    Tree tree;
    const auto applied = Apply(MakeTar("t.tar", {{path, AE_IFREG, "x"}}), 0, tree);
    ASSERT_FALSE(applied) << path;
    EXPECT_EQ(applied.error().errnum, EINVAL) << applied.error().Message();
  }
  Tree tree;
  const auto through =
      Apply(MakeTar("t.tar", {{"a", AE_IFLNK, "/etc"}, {"a/x", AE_IFREG, "x"}}), 0, tree);
  ASSERT_FALSE(through);
  EXPECT_EQ(through.error().errnum, ENOTDIR);
  const auto link =
      Apply(MakeTar("t.tar", {{"b", AE_IFREG, "../../etc/shadow", 0644, true}}), 0, tree);
  ASSERT_FALSE(link);
  EXPECT_NE(link.error().detail.find("t.tar: hard link 'b' to '"), std::string::npos);
  const auto broken = Apply(MakeTar("t.tar", {{"b", AE_IFREG, "gone", 0644, true}}), 0, tree);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().detail.find("t.tar: 'b' is a hard link to 'gone'"), std::string::npos);
}

TEST_F(SourceTest, AbsoluteNamesOfALayerAreBelowItsRoot) {
  Tree tree;
  const auto applied = Apply(MakeTar("t.tar", {{"/app/run", AE_IFREG, "x"},
                                               {"//app/link", AE_IFREG, "/app/run", 0644, true},
                                               {"/app/.wh.old"}}),
                             1, tree);
  ASSERT_TRUE(applied) << applied.error().Message();
  EXPECT_EQ(ContentOf(tree, "app/run"), "x");
  EXPECT_EQ(tree.Find("app/link"), tree.Find("app/run"));
  EXPECT_EQ(Apply(MakeTar("t.tar", {{"/../x", AE_IFREG, "x"}}), 1, tree).error().errnum, EINVAL);
}

TEST_F(SourceTest, TarKeepsNamesAsBytes) {
  const std::string odd =
      "new\nline\xff\xfe"
      "e\xcc\x81";  // e + combining accent: not composed
  Tree tree;
  ASSERT_TRUE(Apply(MakeTar("t.tar", {{odd, AE_IFREG, "x"}, {std::string(255, 'n')}}), 0, tree));
  EXPECT_NE(tree.Find(odd), nullptr);
  EXPECT_NE(tree.Find(std::string(255, 'n')), nullptr);
}

TEST_F(SourceTest, LaterEntryOfOneNameWins) {
  Tree tree;
  ASSERT_TRUE(Apply(MakeTar("t.tar", {{"f", AE_IFREG, "one"}, {"f", AE_IFREG, "two"}}), 0, tree));
  EXPECT_EQ(ContentOf(tree, "f"), "two");
}

TEST_F(SourceTest, LayersReplaceAndHide) {
  Tree tree;
  ASSERT_TRUE(Apply(MakeTar("1.tar", {{"d", AE_IFDIR, "", 0755},
                                      {"d/keep", AE_IFREG, "1"},
                                      {"d/gone", AE_IFREG, "1"},
                                      {"turns", AE_IFREG, "1"},
                                      {"o/old", AE_IFREG, "1"}}),
                    1, tree));
  ASSERT_TRUE(Apply(MakeTar("2.tar", {{"d/.wh.gone"},
                                      {"turns", AE_IFDIR, "", 0700},
                                      {"turns/in", AE_IFREG, "2"},
                                      {"o/new", AE_IFREG, "2"},
                                      {"o/.wh..wh..opq"},
                                      {"d/link", AE_IFREG, "d/keep", 0644, true}}),
                    2, tree));
  EXPECT_EQ(tree.Find("d/gone"), nullptr);
  EXPECT_EQ(tree.Find("d/.wh.gone"), nullptr);
  EXPECT_EQ(ContentOf(tree, "turns/in"), "2");
  EXPECT_EQ(tree.Find("o/old"), nullptr);
  EXPECT_EQ(ContentOf(tree, "o/new"), "2");
  EXPECT_EQ(tree.Find("d/link"), tree.Find("d/keep"));
}

TEST_F(SourceTest, WhiteoutIsAnOrdinaryNameOutsideOfLayers) {
  Tree tree;
  ASSERT_TRUE(Apply(MakeTar("t.tar", {{".wh.x", AE_IFREG, "x"}}), 0, tree));
  EXPECT_NE(tree.Find(".wh.x"), nullptr);
}

TEST_F(SourceTest, DamagedArchiveIsAnError) {
  Tree tree;
  const std::string path = MakeTar("t.tar", {{"f", AE_IFREG, std::string(100'000, 'x')}});
  ASSERT_EQ(truncate(path.c_str(), 50'000), 0);
  EXPECT_EQ(Apply(path, 0, tree).error().errnum, EBADMSG);
  EXPECT_FALSE(Apply(dir_.Put("no.tar", "this is no archive, but long enough to tell"), 0, tree));
}

TEST_F(SourceTest, NoProgramIsRunToUncompress) {
  const std::string mark = dir_.path() + "/mark";
  dir_.PutScript("bin/lrzip", "#!/bin/sh\necho ran >" + mark + "\n");
  const std::string path = std::getenv("PATH");
  setenv("PATH", (dir_.path() + "/bin:" + path).c_str(), 1);
  Tree tree;
  const auto applied =
      Apply(dir_.Put("t.tar", std::string("LRZI\0\6", 6) + std::string(4096, '\0')), 0, tree);
  setenv("PATH", path.c_str(), 1);
  EXPECT_FALSE(applied);
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST_F(SourceTest, DigestIsOfTheWholeFile) {
  const std::string path = MakeTar("t.tar", {{"f", AE_IFREG, "x"}});
  std::string bytes = ReadFile(path.c_str(), 1 << 20).value();
  bytes += std::string(700'000, 't');  // behind the archive's end
  dir_.Put("t.tar", bytes);
  const auto source = LoadSource(path, loading_);
  ASSERT_TRUE(source) << source.error().Message();
  EXPECT_EQ(ContentOf(source->tree, "f"), "x");
  EXPECT_EQ(source->digest, "sha256:" + Sha256OfFile(path).value());
}

TEST_F(SourceTest, LayerThatIsNotWhatItsDigestSaysIsAnError) {
  const auto put_blob = [&](const std::string& bytes) {
    Sha256 sha256;
    sha256.Update(std::as_bytes(std::span(bytes)));
    const std::string hex = sha256.HexDigest();
    dir_.Put("layout/blobs/sha256/" + hex, bytes);
    return hex;
  };
  const auto descriptor = [&](const std::string& hex, size_t size) {
    return R"({"digest": "sha256:)" + hex + R"(", "size": )" + std::to_string(size) + "}";
  };
  const std::string layer =
      ReadFile(MakeTar("t.tar", {{"f", AE_IFREG, "x"}}).c_str(), 1 << 20).value();
  const std::string layer_hex = put_blob(layer);
  const std::string config = R"({"os": "linux", "architecture": "amd64"})";
  const auto put_layout = [&](size_t layer_bytes) {
    const std::string manifest = R"({"config": )" + descriptor(put_blob(config), config.size()) +
                                 R"(, "layers": [)" + descriptor(layer_hex, layer_bytes) + "]}";
    dir_.Put("layout/index.json",
             R"({"manifests": [)" + descriptor(put_blob(manifest), manifest.size()) + "]}");
  };
  const auto load = [&] { return LoadSource("oci:" + dir_.path() + "/layout", loading_); };
  put_layout(layer.size());
  ASSERT_TRUE(load()) << load().error().Message();
  // Where no tar reader looks, and where it ends at once.
  for (const size_t at : {layer.size() - 1, size_t{0}}) {
    std::string damaged = layer;
    damaged[at] ^= 1;
    dir_.Put("layout/blobs/sha256/" + layer_hex, damaged);
    const auto loaded = load();
    ASSERT_FALSE(loaded);
    EXPECT_NE(loaded.error().detail.find("has sha256"), std::string::npos) << loaded.error().detail;
  }
  dir_.Put("layout/blobs/sha256/" + layer_hex, layer);
  put_layout(layer.size() + 1);
  ASSERT_FALSE(load());
  EXPECT_NE(load().error().detail.find("bytes, "), std::string::npos);
}

TEST_F(SourceTest, DirectoryIsReadWithoutFollowingLinks) {
  dir_.Put("src/a/file", "content");
  ASSERT_EQ(symlink("/etc", (dir_.path() + "/src/etc").c_str()), 0);
  ASSERT_EQ(link((dir_.path() + "/src/a/file").c_str(), (dir_.path() + "/src/b").c_str()), 0);
  ASSERT_EQ(mkfifo((dir_.path() + "/src/fifo").c_str(), 0600), 0);
  ASSERT_EQ(chmod((dir_.path() + "/src/a/file").c_str(), 04711), 0);
  const auto source = LoadDirectory(dir_.path() + "/src", loading_);
  ASSERT_TRUE(source) << source.error().Message();
  EXPECT_EQ(source->tree.Find("etc")->target, "/etc");
  EXPECT_EQ(source->tree.Find("etc/passwd"), nullptr);
  EXPECT_EQ(source->tree.Find("b"), source->tree.Find("a/file"));
  EXPECT_EQ(source->tree.Find("b")->mode, 04711U);
  EXPECT_EQ(source->tree.Find("fifo")->type, Type::kFifo);
  EXPECT_EQ(ContentOf(source->tree, "b"), "content");
}

TEST_F(SourceTest, ABuildThatIsToEndEnds) {
  const UniqueFd event(eventfd(1, EFD_CLOEXEC));
  loading_.cancel.fd = event.get();
  dir_.Put("src/f", "x");
  EXPECT_EQ(LoadDirectory(dir_.path() + "/src", loading_).error().errnum, ECANCELED);
  // In the midst of one file, however big, too.
  Spool spool(Folder("other"), loading_.cancel);
  const UniqueFd zeros(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(spool.AddFrom(zeros.get(), "zeros").error().errnum, ECANCELED);
  auto writer = spool.Create();
  ASSERT_TRUE(writer);
  EXPECT_EQ(writer->AppendZeros(kMaxFileBytes).error().errnum, ECANCELED);
  nlohmann::json files;
  EXPECT_EQ(DigestFiles(dir_.path() + "/src", loading_.cancel, files).error().errnum, ECANCELED);
}

TEST_F(SourceTest, SpoolMakesHolesOfZeros) {
  std::string content(1 << 20, '\0');
  content[5] = 'x';
  const auto spooled = spool_.Add(content);
  ASSERT_TRUE(spooled);
  struct stat st{};
  ASSERT_EQ(stat(spool_.Path(*spooled).c_str(), &st), 0);
  EXPECT_EQ(st.st_size, 1 << 20);
  EXPECT_LT(st.st_blocks * 512, 64 * 1024);
  EXPECT_EQ(ReadFile(spool_.Path(*spooled).c_str(), 2 << 20).value(), content);
  Sha256 sha256;
  sha256.Update(std::as_bytes(std::span(content)));
  EXPECT_EQ(spooled->sha256, sha256.HexDigest());
}

TEST_F(SourceTest, SpoolKeepsWhatStandsBetweenHoles) {
  constexpr size_t kBlock = 4096;
  std::string content(200 * kBlock, '\0');
  for (const size_t block : {0U, 3U, 4U, 5U, 63U, 64U, 198U}) content[block * kBlock + 17] = 'x';
  content += "end";
  const auto spooled = spool_.Add(content);
  ASSERT_TRUE(spooled);
  EXPECT_EQ(ReadFile(spool_.Path(*spooled).c_str(), 2 << 20).value(), content);
}

TEST_F(SourceTest, SpoolRefusesAFileThatIsAbsurd) {
  auto writer = spool_.Create();
  ASSERT_TRUE(writer);
  EXPECT_EQ(writer->AppendZeros(kMaxFileBytes + 1).error().errnum, EFBIG);
}

TEST(AddXattr, RefusesWhatFakerootCannotCarry) {
  Inode inode;
  EXPECT_TRUE(AddXattr(inode, "f", "user.a", std::string(900, 'x')));
  const auto added = AddXattr(inode, "f", "user.b", std::string(2000, 'x'));
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().errnum, E2BIG);
}

TEST(DigestOf, ChangesWithEachProperty) {
  const std::vector<std::function<void(Inode&)>> changes = {
      [](Inode& i) { i.mode = 0600; },
      [](Inode& i) { i.uid = 1; },
      [](Inode& i) { i.gid = 1; },
      [](Inode& i) { i.mtime = 1; },
      [](Inode& i) { i.content.sha256 = "x"; },
      [](Inode& i) { i.xattrs["a"] = "b"; },
      [](Inode& i) { i.type = Type::kFifo; }};
  std::set<std::string> digests;
  for (size_t i = 0; i <= changes.size(); ++i) {
    Inode inode;
    if (i < changes.size()) changes[i](inode);
    Tree tree;
    ASSERT_TRUE(tree.Put("f", std::move(inode)));
    digests.insert(DigestOf(tree));
  }
  EXPECT_EQ(digests.size(), changes.size() + 1);
}

TEST(BuildId, OfThisProgramAndOfGarbage) {
  const auto self = ReadFile("/proc/self/exe", 512 << 20);
  ASSERT_TRUE(self);
  EXPECT_EQ(BuildIdOf("garbage"), "");
  std::string cut = self->substr(0, 4096);
  for (size_t i = 0; i < cut.size(); i += 7) (void)BuildIdOf(cut.substr(0, i));
}

TEST(WorkDir, LeavesNothingAndReplacesOnlyItsOwn) {
  const TempDir dir;
  const std::string out = dir.path() + "/image";
  {
    const auto one = WorkDir::Make(out);
    const auto two = WorkDir::Make(out);
    ASSERT_TRUE(one && two);
    EXPECT_TRUE(std::filesystem::is_empty(one->spool()));
    EXPECT_NE(std::filesystem::path(one->spool()).filename(),
              std::filesystem::path(two->spool()).filename());
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));

  dir.Put("image/precious", "x");
  EXPECT_EQ(WorkDir::Make(out).error().errnum, EEXIST);
  dir.Put("image/manifest.json", R"({"berth_image": 1, "files": {"old": {"sha256": "x"}}})");
  const auto precious = WorkDir::Make(out);
  ASSERT_FALSE(precious);
  EXPECT_EQ(precious.error().errnum, EEXIST);
  EXPECT_NE(precious.error().detail.find("image/precious"), std::string::npos);
  std::filesystem::remove(out + "/precious");
  dir.Put("image/old", "x");
  dir.Put("image/.inputs", "x");
  {
    auto work = WorkDir::Make(out);
    ASSERT_TRUE(work);
    dir.Put("image/precious", "x");
    EXPECT_EQ(work->Commit().error().errnum, EEXIST) << "put there while the build ran";
    std::filesystem::remove(out + "/precious");
  }
  {
    auto work = WorkDir::Make(out);
    ASSERT_TRUE(work) << work.error().Message();
    ASSERT_TRUE(WriteFileAtomic(work->image() + "/new", "x", 0644));
    ASSERT_TRUE(work->Commit());
  }
  EXPECT_TRUE(std::filesystem::exists(out + "/new"));
  EXPECT_FALSE(std::filesystem::exists(out + "/old"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

TEST(WorkDir, RemovesWhatADeadBuilderLeftAndNotALivingOnes) {
  const TempDir dir;
  dir.Put(".image.berth-build.dead00/lock", "");
  auto living = WorkDir::Make(dir.path() + "/image");
  ASSERT_TRUE(living);
  EXPECT_FALSE(std::filesystem::exists(dir.path() + "/.image.berth-build.dead00"));
  {
    ASSERT_TRUE(WorkDir::Make(dir.path() + "/image"));
  }
  EXPECT_TRUE(std::filesystem::exists(living->path()));
}

TEST(Manifest, FilesAreNamesInTheFolder) {
  const std::string sha256(64, 'a');
  EXPECT_TRUE(ParseManifest(R"({"berth_image": 1, "files": {"a": {"sha256": "x"}}})", "m"));
  for (const char* const bad :
       {R"({"berth_image": 1, "files": {"../a": {"sha256": "x"}}})",
        R"({"berth_image": 1, "files": {"/a": {"sha256": "x"}}})",
        R"({"berth_image": 1, "files": {"a": {"sha256": 5}}})",
        R"({"berth_image": 2, "files": {}})", R"({"files": {}})", "[]", ""}) {
    EXPECT_FALSE(ParseManifest(bad, "m")) << bad;
  }
}

TEST(Manifest, ModesAsLsShowsThem) {
  Inode inode;
  inode.mode = 04755;
  EXPECT_EQ(RenderMode(inode), "-rwsr-xr-x");
  inode.type = Type::kDirectory;
  inode.mode = 01777;
  EXPECT_EQ(RenderMode(inode), "drwxrwxrwt");
  inode.mode = 02640;
  EXPECT_EQ(RenderMode(inode), "drw-r-S---");
}

}  // namespace
}  // namespace berth::image
