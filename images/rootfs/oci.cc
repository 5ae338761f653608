// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/oci.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "images/rootfs/limits.h"
#include "images/rootfs/tree.h"
#include "supervisor/hypervisor/bounded_json.h"

namespace berth::image {
namespace {

using nlohmann::json;

constexpr size_t kMaxWordBytes = 128 * 1024;  // MAX_ARG_STRLEN: no longer one can be passed on
constexpr size_t kMaxTypeBytes = 255;
constexpr size_t kMaxOciJsonValues = 64 * 1024;
constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";
constexpr const char* kBadLayout = "make the layout again, with skopeo or umoci";

Result<json> ParseDocument(std::string_view text, const char* what) {
  auto document = ParseBounded(
      text, {.max_bytes = kMaxOciJsonBytes, .max_depth = 32, .max_values = kMaxOciJsonValues});
  if (!document || !document->is_object()) {
    return Fail(
        "oci", EINVAL,
        fmt::format("{}: {}", what, document ? "not a JSON object" : document.error().detail),
        kBadLayout);
  }
  return document;
}

Descriptor ReadDescriptor(const json& object, const std::string& name, FieldMistakes& mistakes) {
  Descriptor descriptor;
  if (!object.is_object()) {
    mistakes.push_back({name, "must be an object"});
    return descriptor;
  }
  FieldReader reader(object, name + ".", mistakes);
  std::string digest;
  reader.Require("digest");
  reader.Require("size");
  reader.Text("mediaType", kMaxTypeBytes, descriptor.media_type);
  reader.Text("digest", kMaxTypeBytes, digest);
  reader.Number("size", 0, static_cast<int64_t>(kMaxTreeBytes), descriptor.bytes);
  // It becomes the name of a file, so nothing but hexadecimal digits gets through.
  const bool sha256 = digest.starts_with("sha256:") && digest.size() == 7 + 64 &&
                      std::ranges::all_of(digest.substr(7), [](char c) {
                        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                      });
  if (sha256) {
    descriptor.hex = digest.substr(7);
  } else {
    reader.Add("digest", "must be sha256: and 64 lower-case hexadecimal digits");
  }
  if (const json* annotations = reader.Object("annotations")) {
    FieldReader(*annotations, name + ".annotations.", mistakes)
        .Text(kRefName, kMaxTypeBytes, descriptor.ref_name);
  }
  if (const json* platform = reader.Object("platform")) {
    FieldReader fields(*platform, name + ".platform.", mistakes);
    fields.Text("os", kMaxTypeBytes, descriptor.os);
    fields.Text("architecture", kMaxTypeBytes, descriptor.architecture);
  }
  return descriptor;
}

Result<> Judge(const FieldMistakes& mistakes, const char* what) {
  if (mistakes.empty()) return {};
  return Fail("oci", EINVAL, fmt::format("{}: {}", what, Join(mistakes)), kBadLayout);
}

bool IsOurs(const std::string& os, const std::string& architecture) {
  return os == "linux" && architecture == "amd64";
}

void ReadWords(FieldReader& reader, const char* name, std::vector<std::string>& words) {
  const json* const array = reader.Array(name, kMaxOciArguments);
  if (array == nullptr) return;
  for (const json& word : *array) {
    if (!word.is_string() || word.get_ref<const std::string&>().size() > kMaxWordBytes ||
        word.get_ref<const std::string&>().find('\0') != std::string::npos) {
      reader.Add(name, fmt::format("must hold texts of at most {} bytes", kMaxWordBytes));
      return;
    }
    words.push_back(word.get<std::string>());
  }
}

}  // namespace

bool IsIndex(const Descriptor& descriptor) {
  return descriptor.media_type == "application/vnd.oci.image.index.v1+json" ||
         descriptor.media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

Result<std::vector<Descriptor>> ParseIndex(std::string_view text) {
  BERTH_ASSIGN(const json document, ParseDocument(text, "index"));
  FieldMistakes mistakes;
  FieldReader reader(document, "", mistakes);
  std::vector<Descriptor> descriptors;
  reader.Require("manifests");
  if (const json* manifests = reader.Array("manifests", kMaxOciManifests)) {
    for (size_t i = 0; i < manifests->size(); ++i) {
      descriptors.push_back(
          ReadDescriptor((*manifests)[i], fmt::format("manifests[{}]", i), mistakes));
    }
  }
  BERTH_TRY(Judge(mistakes, "index"));
  return descriptors;
}

Result<Descriptor> Choose(const std::vector<Descriptor>& descriptors, const std::string& tag) {
  std::vector<Descriptor> left;
  std::string names;
  for (const Descriptor& each : descriptors) {
    const std::string name = !each.ref_name.empty() ? each.ref_name
                             : each.os.empty()      ? "sha256:" + each.hex
                                                    : each.os + "/" + each.architecture;
    names += (names.empty() ? "" : ", ") + Quoted(name);
    if (tag.empty() || each.ref_name == tag) left.push_back(each);
  }
  const bool platforms =
      std::ranges::any_of(left, [](const Descriptor& each) { return !each.os.empty(); });
  if (platforms)
    std::erase_if(left, [](const auto& each) { return !IsOurs(each.os, each.architecture); });
  if (left.size() == 1) return left.front();
  return Fail("oci", left.empty() ? ENOENT : EINVAL,
              fmt::format("{} manifests fit{}; there are: {}", left.size(),
                          tag.empty() ? "" : " tag " + Quoted(tag), names),
              "name one as oci:LAYOUT:TAG; it must be for linux/amd64");
}

Result<OciManifest> ParseOciManifest(std::string_view text) {
  BERTH_ASSIGN(const json document, ParseDocument(text, "manifest"));
  FieldMistakes mistakes;
  FieldReader reader(document, "", mistakes);
  OciManifest manifest;
  reader.Require("config");
  reader.Require("layers");
  if (const json* config = reader.Object("config")) {
    manifest.config = ReadDescriptor(*config, "config", mistakes);
  }
  if (const json* layers = reader.Array("layers", kMaxOciLayers)) {
    for (size_t i = 0; i < layers->size(); ++i) {
      manifest.layers.push_back(
          ReadDescriptor((*layers)[i], fmt::format("layers[{}]", i), mistakes));
    }
  }
  BERTH_TRY(Judge(mistakes, "manifest"));
  return manifest;
}

Result<OciConfig> ParseOciConfig(std::string_view text) {
  BERTH_ASSIGN(const json document, ParseDocument(text, "config"));
  FieldMistakes mistakes;
  FieldReader reader(document, "", mistakes);
  OciConfig config;
  std::string os;
  std::string architecture;
  reader.Require("os");
  reader.Require("architecture");
  reader.Text("os", kMaxTypeBytes, os);
  reader.Text("architecture", kMaxTypeBytes, architecture);
  if (const json* object = reader.Object("config")) {
    FieldReader fields(*object, "config.", mistakes);
    ReadWords(fields, "Entrypoint", config.entrypoint);
    ReadWords(fields, "Cmd", config.cmd);
    std::vector<std::string> env;
    ReadWords(fields, "Env", env);
    for (const std::string& each : env) {
      const size_t equals = each.find('=');
      if (equals == 0 || equals == std::string::npos) {
        fields.Add("Env", "must hold NAME=VALUE");
        break;
      }
      config.env.emplace_back(each.substr(0, equals), each.substr(equals + 1));
    }
    fields.Text("User", kMaxTypeBytes, config.user);
    fields.Text("WorkingDir", kMaxPathBytes, config.working_dir);
    fields.Text("StopSignal", kMaxTypeBytes, config.stop_signal);
    const json* const ports = fields.Object("ExposedPorts");
    config.exposes_ports = ports != nullptr && !ports->empty();
  }
  BERTH_TRY(Judge(mistakes, "config"));
  if (!IsOurs(os, architecture)) {
    return Fail("oci", ENOEXEC,
                fmt::format("the image is for {}/{}", Quoted(os), Quoted(architecture)),
                "Berth's machines are linux/amd64: skopeo copy --override-arch amd64");
  }
  return config;
}

Result<Mark> MarkOf(std::string_view path) {
  const std::string_view parent = ParentOf(path);
  const std::string_view name = NameOf(path);
  if (parent.starts_with(kWhiteoutPrefix) || parent.find("/.wh.") != std::string_view::npos) {
    // aufs keeps its own books in .wh..wh.plnk and the like, and the specification knows none.
    if (parent.starts_with(".wh..wh.") || parent.find("/.wh..wh.") != std::string_view::npos) {
      return Mark{Mark::kIgnored, {}};
    }
    return Fail("oci", EINVAL, fmt::format("'{}' lies below a whiteout", Quoted(path)), kBadLayout);
  }
  if (!name.starts_with(kWhiteoutPrefix)) return Mark{Mark::kNone, std::string(path)};
  if (name == kOpaqueName) return Mark{Mark::kOpaque, std::string(parent)};
  const std::string_view hidden = name.substr(kWhiteoutPrefix.size());
  if (hidden.starts_with(kWhiteoutPrefix)) return Mark{Mark::kIgnored, {}};
  if (hidden.empty() || hidden == "." || hidden == "..") {
    return Fail("oci", EINVAL, fmt::format("'{}' is a whiteout of no file", Quoted(path)),
                kBadLayout);
  }
  return Mark{Mark::kWhiteout, parent.empty() ? std::string(hidden)
                                              : std::string(parent) + "/" + std::string(hidden)};
}

}  // namespace berth::image
