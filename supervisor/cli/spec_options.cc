// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/spec_options.h"

#include <charconv>
#include <filesystem>

#include "protocol/base/io.h"
#include "supervisor/cli/command.h"
#include "supervisor/hypervisor/vm_spec.h"

namespace berth::cli {

using nlohmann::json;

namespace {

std::string Absolute(const std::string& path) {
  std::error_code ignored;
  const auto absolute = std::filesystem::absolute(path, ignored).lexically_normal().string();
  if (absolute.empty()) return path;
  return absolute.size() > 1 && absolute.ends_with('/') ? absolute.substr(0, absolute.size() - 1)
                                                        : absolute;
}

}  // namespace

void AddSpecOptions(CLI::App* app, SpecOptions& options) {
  app->add_option("--kernel", options.kernel, "kernel, instead of the image's");
  app->add_option("--initrd", options.initrd, "initrd, instead of the image's");
  app->add_option("--append", options.append,
                  "more for the kernel's command line; may be repeated");
  app->add_option("--disk", options.disks,
                  "PATH[,ro][,format=raw|qcow2][,serial=S]; may be repeated");
  app->add_option("--vcpus", options.vcpus, "processors");
  app->add_option("--memory", options.memory, "256, 256M or 2G; a bare number counts MiB");
  app->add_option("--machine", options.machine, "microvm or q35");
  app->add_option("--accel", options.accel, "auto, kvm or tcg");
  app->add_option("--hypervisor", options.hypervisor, "program; default: qemu-system-x86_64");
  app->add_option("--guest-config", options.guest_config,
                  "file: TOML to add to the guest's init.toml at each boot; nothing secret");
  app->add_option("--log-limit", options.log_limit,
                  "what is kept of the guest's logs: 64, 64M or 1G; default: 64M");
  app->add_option("--health", options.health,
                  "file: a JSON object of health checks by name, run by the guest's agent");
  AddDuration(app, "--launch-timeout", options.launch_ms, "for the hypervisor to come up");
  AddDuration(app, "--ready-timeout", options.ready_ms, "for the guest to say Ready");
  AddDuration(app, "--stop-timeout", options.stop_ms, "for the guest to power off");
}

uint64_t ParseMemoryMib(const std::string& text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  const std::string_view unit(parsed.ptr, static_cast<size_t>(end - parsed.ptr));
  const uint64_t factor = unit.empty() || unit == "M" ? 1 : unit == "G" ? 1024 : 0;
  if (parsed.ec != std::errc() || factor == 0 || number > UINT32_MAX) {
    throw CLI::ValidationError("'" + text + "' is no amount of memory: 256, 256M, 2G");
  }
  return number * factor;
}

std::string ReadGuestConfig(const std::string& path) {
  auto text = ReadFile(path.c_str(), kMaxGuestConfigBytes);
  if (!text) {
    const std::string most = std::to_string(kMaxGuestConfigBytes) + " bytes are allowed";
    throw CLI::ValidationError("--guest-config: " + path + ": " + text.error().Message() +
                               (text.error().errnum == EFBIG ? "; " + most : ""));
  }
  // What is no UTF-8 is no TOML, and no JSON either.
  try {
    std::ignore = json(*text).dump();
  } catch (const json::exception&) {
    throw CLI::ValidationError("--guest-config: " + path + " is not UTF-8");
  }
  return std::move(*text);
}

json ReadHealthFile(const std::string& path) {
  const auto text = ReadFile(path.c_str(), kMaxSpecJsonBytes);
  if (!text) throw CLI::ValidationError("--health: " + path + ": " + text.error().Message());
  json checks = json::parse(*text, nullptr, false);
  if (!checks.is_object()) {
    throw CLI::ValidationError("--health: " + path + " is no JSON object of checks by name");
  }
  return checks;
}

json ParseDisk(const std::string& text) {
  size_t comma = text.find(',');
  json disk = {{"path", Absolute(text.substr(0, comma))}};
  while (comma != std::string::npos) {
    const size_t next = text.find(',', comma + 1);
    const std::string part = text.substr(comma + 1, next - comma - 1);
    if (part == "ro") {
      disk["read_only"] = true;
    } else if (part.starts_with("format=")) {
      disk["format"] = part.substr(7);
    } else if (part.starts_with("serial=")) {
      disk["serial"] = part.substr(7);
    } else {
      throw CLI::ValidationError("--disk: '" + part + "' is not ro, format=… or serial=…");
    }
    comma = next;
  }
  return disk;
}

json ToSpec(const std::string& name, const SpecOptions& options) {
  json spec = {{"name", name}};
  const auto text = [&](const char* field, const std::string& value) {
    if (!value.empty()) spec[field] = value;
  };
  const auto path = [&](const char* field, const std::string& value) {
    if (!value.empty()) spec[field] = Absolute(value);
  };
  path("image", options.image);
  path("kernel", options.kernel);
  path("initrd", options.initrd);
  std::string cmdline;
  for (const std::string& each : options.append) cmdline += (cmdline.empty() ? "" : " ") + each;
  text("cmdline", cmdline);
  for (const std::string& each : options.disks) spec["disks"].push_back(ParseDisk(each));
  if (options.vcpus) spec["vcpus"] = *options.vcpus;
  if (!options.memory.empty()) spec["memory_mib"] = ParseMemoryMib(options.memory);
  text("machine", options.machine);
  text("accel", options.accel);
  text("hypervisor", options.hypervisor);
  if (!options.guest_config.empty()) spec["guest_config"] = ReadGuestConfig(options.guest_config);
  if (!options.log_limit.empty()) {
    spec["logs"]["max_bytes"] = ParseMemoryMib(options.log_limit) * 1024 * 1024;
  }
  if (!options.health.empty()) spec["health"] = ReadHealthFile(options.health);
  if (options.launch_ms) spec["timeouts_ms"]["launch"] = *options.launch_ms;
  if (options.ready_ms) spec["timeouts_ms"]["boot"] = *options.ready_ms;
  if (options.stop_ms) spec["timeouts_ms"]["stop"] = *options.stop_ms;
  return spec;
}

}  // namespace berth::cli
