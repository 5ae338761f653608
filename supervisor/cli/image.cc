// SPDX-License-Identifier: Apache-2.0
//
// berth image inspect | verify | ls: what an image is, whether it still is that, what is in it.
#include "supervisor/cli/image.h"

#include <fmt/format.h>

#include <charconv>

#include "images/rootfs/limits.h"
#include "images/rootfs/manifest.h"
#include "protocol/base/io.h"
#include "supervisor/cli/table.h"
#include "supervisor/guest/signal_capture.h"

namespace berth::cli {
namespace {

// Manifests come with images from anywhere: what is not there, or not text, prints as "-".
std::string Text(const json& object, std::initializer_list<const char*> path) {
  const json* at = &object;
  for (const char* const key : path) {
    if (!at->is_object() || !at->contains(key)) return "-";
    at = &(*at)[key];
  }
  const std::string text = at->is_string() ? at->get<std::string>() : at->dump();
  return text.empty() ? "-" : OneLine(text);
}

int Inspect(const Shared& shared, const std::string& dir) {
  auto manifest = image::ReadManifest(dir);
  if (!manifest) return ReportImage("inspect", manifest.error(), {});
  if (shared.json) {
    fmt::print("{}\n", manifest->dump(2, ' ', false, json::error_handler_t::replace));
    return 0;
  }
  const json& m = *manifest;
  fmt::print("image        {}\n", Text(m, {"name"}));
  fmt::print("format       {}\n", Text(m, {"format"}));
  fmt::print("source       {} {}\n", Text(m, {"source", "kind"}), Text(m, {"source", "digest"}));
  fmt::print("root         {} files, {} bytes\n", Text(m, {"root", "entries"}),
             Text(m, {"root", "bytes"}));
  fmt::print("kernel       {}, {} modules\n", Text(m, {"kernel", "release"}),
             m.contains("modules") ? m["modules"].size() : 0);
  for (const char* const name : {"berth-init", "berth-agent"}) {
    fmt::print("{:12} build id {}\n", name, Text(m, {"guest", name, "build_id"}));
  }
  fmt::print("config       {}\n", Text(m, {"config", "sha256"}));
  Table table({"FILE", "BYTES", "SHA256"});
  for (const auto& [name, file] : m["files"].items()) {
    table.Add({OneLine(name), Text(file, {"bytes"}), Text(file, {"sha256"})});
  }
  fmt::print("\n{}", table.Render(TerminalWidth()));
  if (m.contains("warnings")) {
    for (const json& warning : m["warnings"]) {
      fmt::print("warning: {}\n", OneLine(warning.is_string() ? warning.get<std::string>() : "-"));
    }
  }
  return 0;
}

int Verify(const Shared& shared, const std::string& dir) {
  guest::SignalCapture signals({SIGINT, SIGTERM, SIGHUP});
  auto findings = image::VerifyBuilt(dir, image::Cancel{signals.fd()});
  if (!findings) return ReportImage("verify", findings.error(), signals.Take());
  bool damaged = false;
  json list = json::array();
  constexpr const char* kVerdicts[] = {"ok", "DAMAGED", "not checked"};
  for (const image::Finding& each : *findings) {
    damaged = damaged || each.verdict == image::Finding::kDamaged;
    const char* const verdict = kVerdicts[each.verdict];
    if (shared.json) {
      list.push_back({{"what", each.what}, {"verdict", verdict}, {"detail", each.detail}});
    } else if (!shared.quiet || each.verdict != image::Finding::kOk) {
      fmt::print("{:<11}  {}{}{}\n", verdict, OneLine(each.what), each.detail.empty() ? "" : ": ",
                 OneLine(each.detail));
    }
  }
  if (shared.json) {
    fmt::print("{}\n", list.dump(2, ' ', false, json::error_handler_t::replace));
  }
  return damaged ? 1 : 0;
}

// A line of rootfs.list (images/rootfs/manifest.h) as an object; null where it is none.
json ListedFile(std::string_view line) {
  std::vector<std::string> fields;
  for (size_t tab = 0; tab != std::string_view::npos;) {
    tab = line.find('\t');
    fields.emplace_back(line.substr(0, tab));
    line = tab == std::string_view::npos ? std::string_view() : line.substr(tab + 1);
  }
  constexpr const char* kNames[] = {"mode", "uid", "gid", "bytes", "mtime", "path"};
  constexpr size_t kPath = std::size(kNames) - 1;
  if (fields.size() < std::size(kNames)) return nullptr;
  json file = json::object();
  for (size_t i = 0; i < std::size(kNames); ++i) {
    const std::string& field = fields[i];
    const bool device = i == 3 && field.contains(',');
    int64_t number = 0;
    const char* const end = field.data() + field.size();
    if (i == 0 || i == kPath || device) {
      file[device ? "device" : kNames[i]] = field;
    } else if (std::from_chars(field.data(), end, number).ptr == end) {
      file[kNames[i]] = number;
    } else {
      return nullptr;
    }
  }
  for (size_t i = std::size(kNames); i < fields.size(); ++i) {
    if (fields[i].starts_with("-> ")) file["target"] = fields[i].substr(3);
    if (fields[i].starts_with("= ")) file["hard_link_to"] = fields[i].substr(2);
  }
  return file;
}

int List(const Shared& shared, const std::string& dir) {
  if (auto manifest = image::ReadManifest(dir); !manifest) {
    return ReportImage("ls", manifest.error(), {});
  }
  const auto list = ReadFile((dir + "/" + image::kListName).c_str(), image::kMaxListBytes);
  if (!list) return ReportImage("ls", list.error(), {});
  if (!shared.json) {
    fmt::print("{}", *list);
    return 0;
  }
  // Object by object: a list has up to a million.
  std::string_view left = *list;
  const char* before = "[";
  while (!left.empty()) {
    const size_t end = std::min(left.find('\n'), left.size());
    const json file = ListedFile(left.substr(0, end));
    if (file.is_null()) {
      return ReportImage("ls", Error{"manifest", EINVAL, dir + ": rootfs.list is damaged", ""}, {});
    }
    fmt::print("{}\n  {}", before, file.dump(-1, ' ', false, json::error_handler_t::replace));
    before = ",";
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  fmt::print("\n]\n");
  return 0;
}

}  // namespace

void AddImage(CLI::App& app, Shared& shared) {
  CLI::App* image = app.add_subcommand("image", "make and check images");
  image->require_subcommand(1);
  AddImageBuild(*image, shared);
  auto dir = std::make_shared<std::string>();
  const auto add = [&](const char* name, const char* summary, std::function<int()> run) {
    AddCommand(*image, shared, name, summary, std::move(run))
        ->add_option("IMAGE", *dir, "folder that berth image build made")
        ->required();
  };
  add("inspect", "say what went into an image", [&shared, dir] { return Inspect(shared, *dir); });
  add("verify", "check an image's files against what was built",
      [&shared, dir] { return Verify(shared, *dir); });
  add("ls", "list the files of an image's root file system",
      [&shared, dir] { return List(shared, *dir); });
}

}  // namespace berth::cli
