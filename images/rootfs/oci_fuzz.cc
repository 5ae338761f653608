// SPDX-License-Identifier: Apache-2.0
//
// An OCI layout from anywhere: each line of the input is a document or a name of a layer, by its
// first byte. No name may lead out of the tree, whatever the order they come in.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "images/rootfs/oci.h"
#include "images/rootfs/service_toml.h"
#include "images/rootfs/tree.h"

namespace {

using namespace berth::image;

void Apply(Tree& tree, std::string_view line, int layer) {
  if (line.empty()) return;
  const auto path = CleanPath(line.substr(1));
  if (!path) return;
  const auto mark = MarkOf(*path);
  if (!mark) return;
  if (mark->kind == Mark::kWhiteout) return tree.Whiteout(mark->path, layer);
  if (mark->kind == Mark::kOpaque) return tree.Opaque(mark->path, layer);
  if (mark->kind == Mark::kIgnored) return;
  if (line[0] == 'l') return (void)tree.Link(*path, tree.entries().rbegin()->first, layer);
  Inode inode;
  inode.type = line[0] == 'd' ? Type::kDirectory : line[0] == 's' ? Type::kSymlink : Type::kFile;
  inode.target = "../" + *path;
  (void)tree.Put(*path, std::move(inode), layer);
  const auto resolved = tree.Resolve(*path + "/sbin/init");
  if (resolved && !CleanPath(*resolved)) std::abort();
}

void Check(const Tree& tree) {
  if (tree.Find("") == nullptr || tree.Find("")->type != Type::kDirectory) std::abort();
  for (const auto& [path, entry] : tree.entries()) {
    if (path.empty()) continue;
    if (CleanPath(path).value_or("") != path) std::abort();
    const Inode* const parent = tree.Find(ParentOf(path));
    if (parent == nullptr || parent->type != Type::kDirectory) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto index = ParseIndex(text)) {
    if (const auto chosen = Choose(*index, ""); chosen && chosen->hex.size() != 64) std::abort();
  }
  if (const auto manifest = ParseOciManifest(text)) {
    for (const Descriptor& layer : manifest->layers) {
      if (layer.hex.find('/') != std::string::npos) std::abort();
    }
  }
  if (const auto config = ParseOciConfig(text)) {
    Warnings warnings;
    const auto service = MainService(*config);
    // What we write is TOML, whatever words it holds.
    if (service && !MergeConfig("[service.main]\nuser = \"x\"\n", *config, warnings)) std::abort();
  }
  Tree tree;
  int layer = 1;
  for (std::string_view left = text; !left.empty();) {
    const size_t end = left.find('\n');
    const std::string_view line = left.substr(0, end);
    if (line == "--") ++layer;
    Apply(tree, line, layer);
    left = end == std::string_view::npos ? std::string_view() : left.substr(end + 1);
  }
  Check(tree);
  return 0;
}
