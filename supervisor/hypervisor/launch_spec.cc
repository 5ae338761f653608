// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/launch_spec.h"

#include <algorithm>

#include "supervisor/hypervisor/bounded_json.h"

namespace berth {
namespace {

using nlohmann::json;

constexpr size_t kMaxArgBytes = 64 * 1024;
constexpr int64_t kMaxLaunchMs = 3'600'000;

void ReadArgs(FieldReader& reader, std::string_view name, std::vector<std::string>& out) {
  const json* array = reader.Array(name, kMaxLaunchArgs);
  if (array == nullptr) return;
  for (const json& element : *array) {
    if (!element.is_string()) return reader.Add(name, "must hold strings only");
    const auto& text = element.get_ref<const std::string&>();
    if (text.size() > kMaxArgBytes || text.find('\0') != std::string::npos) {
      return reader.Add(name, "holds an argument that is too long or has a null character");
    }
    out.push_back(text);
  }
  if (out.empty() || !out[0].starts_with('/')) {
    reader.Add(name, "must begin with the absolute path of a program");
  }
}

}  // namespace

bool LaunchSpec::HasQmp() const {
  return std::ranges::any_of(
      hypervisor, [](const std::string& arg) { return arg.find(kShimQmpFd) != arg.npos; });
}

std::string ToJsonText(const LaunchSpec& spec) {
  json launch = {{"vm", spec.vm},
                 {"cid", spec.cid},
                 {"hypervisor", {{"argv", spec.hypervisor}}},
                 {"paths", {{"dir", spec.paths.dir}}},
                 {"launch_timeout_ms", spec.launch_timeout.count()}};
  if (spec.NeedsVsockDevice()) launch["vsock"] = {{"argv", spec.vsock}};
  return DumpLine(launch);
}

Result<LaunchSpec> ParseLaunchSpec(std::string_view text) {
  BERTH_ASSIGN(const json parsed, ParseBounded(text, {.max_bytes = kMaxLaunchJsonBytes}));
  if (!parsed.is_object()) return Fail("launch-spec", EINVAL, "not a JSON object");
  LaunchSpec spec;
  FieldMistakes mistakes;
  FieldReader reader(parsed, "", mistakes);
  reader.Require("vm");
  reader.Text("vm", 255, spec.vm);
  reader.Number("cid", 0, UINT32_MAX, spec.cid);
  auto timeout_ms = spec.launch_timeout.count();
  reader.Number("launch_timeout_ms", 1, kMaxLaunchMs, timeout_ms);
  spec.launch_timeout = std::chrono::milliseconds(timeout_ms);
  reader.Require("hypervisor");
  if (const json* program = reader.Object("hypervisor")) {
    FieldReader fields(*program, "hypervisor.", mistakes);
    fields.Require("argv");
    ReadArgs(fields, "argv", spec.hypervisor);
  }
  if (const json* program = reader.Object("vsock")) {
    FieldReader fields(*program, "vsock.", mistakes);
    fields.Require("argv");
    ReadArgs(fields, "argv", spec.vsock);
  }
  reader.Require("paths");
  if (const json* paths = reader.Object("paths")) {
    FieldReader fields(*paths, "paths.", mistakes);
    fields.Require("dir");
    fields.Text("dir", kMaxVmDirBytes, spec.paths.dir);
    if (!spec.paths.dir.starts_with('/')) fields.Add("dir", "must be an absolute path");
  }
  if (!mistakes.empty()) return Fail("launch-spec", EINVAL, Join(mistakes));
  return spec;
}

std::vector<std::string> VsockDeviceArgs(const std::string& program, const VmPaths& paths,
                                         uint32_t cid) {
  return {program,
          "--vhost-socket",
          paths.VhostSocket(),
          "--socket",
          paths.VsockSocket(),
          "--cid",
          std::to_string(cid),
          "--notify-fd",
          std::string(kNotifyFd),
          "--pairs-fd",
          std::string(kPairsFd)};
}

}  // namespace berth
