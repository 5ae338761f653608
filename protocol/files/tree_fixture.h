// SPDX-License-Identifier: Apache-2.0
//
// What the tests of copies share: a directory of their own, frames by hand, and a copy from one
// place in it to another, through the bytes that would be on the wire.
#ifndef BERTH_PROTOCOL_FILES_TREE_FIXTURE_H_
#define BERTH_PROTOCOL_FILES_TREE_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>
#include <string>

#include "protocol/files/outgoing.h"
#include "protocol/files/tree_reader.h"
#include "protocol/files/tree_writer.h"

namespace berth::files {

namespace fs = std::filesystem;

// Feeds bytes to a writer as a connection would, `piece` at a time.
inline Result<> Feed(wire::FrameBuffer& buffer, TreeWriter& writer,
                     std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto room = buffer.Prepare();
    const size_t n = std::min(room.size(), bytes.size());
    std::ranges::copy(bytes.first(n), room.begin());
    buffer.Commit(n);
    bytes = bytes.subspan(n);
    for (;;) {
      BERTH_ASSIGN(const auto frame, buffer.Next());
      if (!frame) break;
      BERTH_TRY(writer.HandleFrame(*frame));
    }
  }
  return {};
}

class TreeTest : public testing::Test {
 protected:
  TreeTest() {
    char pattern[] = "/tmp/berth-files-XXXXXX";
    dir_ = mkdtemp(pattern);
    fs::create_directories(dir_ + "/from");
    fs::create_directories(dir_ + "/to");
  }
  ~TreeTest() override {
    std::error_code ignored;
    // Directories of odd modes, where the tests do not run as root.
    for (auto it = fs::recursive_directory_iterator(dir_, ignored); it != fs::end(it);
         it.increment(ignored)) {
      if (it->is_directory(ignored) && !it->is_symlink(ignored)) {
        fs::permissions(it->path(), fs::perms::owner_all, fs::perm_options::add, ignored);
      }
    }
    fs::remove_all(dir_, ignored);
  }

  std::string From(const std::string& name = {}) const { return dir_ + "/from/" + name; }
  std::string To(const std::string& name = {}) const { return dir_ + "/to/" + name; }

  static void Write(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static struct stat Status(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path << ": " << strerror(errno);
    return status;
  }
  static bool Exists(const std::string& path) {
    struct stat status{};
    return lstat(path.c_str(), &status) == 0;
  }
  // What is below `path`, a line each: kind, mode, time, size, target or content, and which share
  // one inode.
  static std::string Listing(const std::string& path) {
    std::map<ino_t, int> inodes;
    std::map<std::string, std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      const auto status = Status(entry.path());
      std::ostringstream line;
      line << std::oct << status.st_mode << std::dec << ' ';
      line << status.st_mtim.tv_sec << '.' << status.st_mtim.tv_nsec;
      if (S_ISLNK(status.st_mode)) line << " -> " << fs::read_symlink(entry.path()).string();
      if (S_ISREG(status.st_mode)) {
        line << ' ' << status.st_size << ' ' << std::hash<std::string>()(Read(entry.path()));
      }
      lines[entry.path().lexically_relative(path)] = line.str();
    }
    std::string listing;
    for (const auto& [name, line] : lines) {
      const auto status = Status(path + "/" + name);
      if (S_ISREG(status.st_mode) && status.st_nlink > 1) {
        inodes.emplace(status.st_ino, static_cast<int>(inodes.size()));
        listing += std::to_string(inodes[status.st_ino]) + "# ";
      }
      listing += name + ": " + line + "\n";
    }
    return listing;
  }

  // `between`: is called after each turn of the reader, before its frames arrive.
  Result<> Copy(
      const std::string& path, WriteOptions options, bool follow = false,
      const std::function<void()>& between = [] {}) {
    notes_.clear();
    BERTH_ASSIGN(auto reader, TreeReader::Open(path, follow));
    TreeWriter writer(std::move(options));
    wire::FrameBuffer buffer;
    Outgoing out;
    for (bool more = true; more;) {
      out.Clear();
      BERTH_ASSIGN(more, reader.Fill(out));
      for (const Note& note : reader.TakeNotes()) notes_.push_back(note);
      between();
      BERTH_TRY(Feed(buffer, writer, out.bytes()));
    }
    EXPECT_TRUE(writer.done());
    EXPECT_EQ(writer.received().checksum(), reader.done().checksum());
    done_ = reader.done();
    return {};
  }
  // Into To() under the last name of `name`, which is below From().
  Result<> CopyInto(const std::string& name, const std::function<void()>& between = [] {}) {
    return Copy(From(name), Into(fs::path(name).filename()), false, between);
  }
  WriteOptions Into(const std::string& name) const {
    return {.path = To(),
            .name = name,
            .content = false,
            .into_directory = false,
            .keep_owner = geteuid() == 0,
            .stream = false,
            .max_entries = wire::kMaxCopyEntries,
            .max_bytes = wire::kMaxCopyBytes};
  }
  // Everything in To() but what `Listing` shows is temporary: there must be none.
  void ExpectNothingTemporary() const {
    for (const auto& entry : fs::recursive_directory_iterator(dir_)) {
      EXPECT_FALSE(entry.path().filename().string().starts_with(".berth-cp-")) << entry.path();
    }
  }

  std::string dir_;
  std::vector<Note> notes_;
  v1::CopyDone done_;
};

}  // namespace berth::files

#endif  // BERTH_PROTOCOL_FILES_TREE_FIXTURE_H_
