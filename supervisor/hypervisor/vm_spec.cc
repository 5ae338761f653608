// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/vm_spec.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "supervisor/hypervisor/health_spec.h"

namespace berth {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 2> kMachines = {"microvm", "q35"};
constexpr std::array<std::string_view, 3> kAccels = {"auto", "tcg", "kvm"};
constexpr std::array<std::string_view, 2> kFormats = {"raw", "qcow2"};

bool IsWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// Control characters would let one value pass for two in the guest or in a log.
bool IsPrintable(std::string_view text) {
  return std::ranges::none_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// TOML's own rule, and what keeps its JSON form within twice its size.
bool IsTomlText(std::string_view text) {
  return std::ranges::none_of(text, [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') ||
           c == 0x7f;
  });
}

void CheckPath(std::string_view path, std::string field, SpecMistakes& mistakes) {
  if (path.empty()) return;
  if (!path.starts_with('/')) mistakes.push_back({field, "must be an absolute path"});
  if (!IsPrintable(path)) mistakes.push_back({field, "must not hold control characters"});
}

void CheckDisk(const DiskSpec& disk, const std::string& prefix, SpecMistakes& mistakes) {
  if (disk.path.empty()) mistakes.push_back({prefix + "path", "is missing"});
  CheckPath(disk.path, prefix + "path", mistakes);
  if (disk.serial.size() > kMaxDiskSerialBytes ||
      !std::ranges::all_of(disk.serial, IsWordCharacter)) {
    mistakes.push_back({prefix + "serial", "must be at most " +
                                               std::to_string(kMaxDiskSerialBytes) +
                                               " letters, digits, '-' or '_'"});
  }
}

void CheckRange(uint32_t value, uint32_t min, uint32_t max, const char* field,
                SpecMistakes& mistakes) {
  if (value >= min && value <= max) return;
  mistakes.push_back(
      {field, "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max)});
}

struct TimeoutRow {
  const char* name;
  std::chrono::milliseconds VmTimeouts::* field;
};
constexpr TimeoutRow kTimeouts[] = {
    {"launch", &VmTimeouts::launch},
    {"boot", &VmTimeouts::boot},
    {"stop", &VmTimeouts::stop},
    {"quit", &VmTimeouts::quit},
};

void ReadDisks(const json& array, SpecMistakes& mistakes, std::vector<DiskSpec>& out) {
  for (size_t i = 0; i < array.size(); ++i) {
    const std::string name = "disks[" + std::to_string(i) + "]";
    if (!array[i].is_object()) {
      mistakes.push_back({name, "must be an object"});
      continue;
    }
    out.push_back(DiskFromJson(array[i], name + ".", mistakes));
  }
}

// A mistake of type and one of range about the same field are one mistake.
void Append(SpecMistakes& mistakes, const SpecMistakes& more) {
  for (const SpecMistake& mistake : more) {
    const bool named = std::ranges::any_of(
        mistakes, [&](const SpecMistake& each) { return each.field == mistake.field; });
    if (!named) mistakes.push_back(mistake);
  }
}

}  // namespace

std::string_view Name(Machine machine) { return kMachines[static_cast<size_t>(machine)]; }
std::string_view Name(Accel accel) { return kAccels[static_cast<size_t>(accel)]; }
std::string_view Name(DiskFormat format) { return kFormats[static_cast<size_t>(format)]; }

bool IsValidVmName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxVmNameBytes &&
         std::ranges::all_of(name, IsWordCharacter) && name[0] != '-' && name[0] != '_';
}

DiskSpec DiskFromJson(const json& object, const std::string& prefix, SpecMistakes& mistakes) {
  DiskSpec disk;
  FieldReader reader(object, prefix, mistakes);
  reader.Text("path", kMaxSpecPathBytes, disk.path);
  auto format = static_cast<size_t>(disk.format);
  reader.OneOf("format", kFormats, format);
  disk.format = static_cast<DiskFormat>(format);
  reader.Flag("read_only", disk.read_only);
  reader.Text("serial", kMaxDiskSerialBytes, disk.serial);
  reader.RefuseUnknown();
  return disk;
}

json ToJson(const DiskSpec& disk) {
  json object = {{"path", disk.path}, {"format", Name(disk.format)}, {"read_only", disk.read_only}};
  if (!disk.serial.empty()) object["serial"] = disk.serial;
  return object;
}

SpecMistakes Validate(const VmSpec& spec) {
  SpecMistakes mistakes;
  if (!IsValidVmName(spec.name)) {
    mistakes.push_back({"name", "must be 1 to " + std::to_string(kMaxVmNameBytes) +
                                    " letters, digits, '-' or '_', and begin with a letter or "
                                    "digit"});
  }
  if (spec.image.empty() && spec.kernel.empty()) {
    mistakes.push_back({"image", "is missing: give an image, or a kernel of your own"});
  }
  CheckPath(spec.image, "image", mistakes);
  CheckPath(spec.kernel, "kernel", mistakes);
  CheckPath(spec.initrd, "initrd", mistakes);
  if (spec.cmdline.size() > kMaxCmdlineBytes || !IsPrintable(spec.cmdline)) {
    mistakes.push_back({"cmdline", "must be at most " + std::to_string(kMaxCmdlineBytes) +
                                       " bytes without control characters"});
  }
  if (spec.disks.size() > kMaxDisks) {
    mistakes.push_back(
        {"disks", "must not have more than " + std::to_string(kMaxDisks) + " elements"});
  }
  for (size_t i = 0; i < spec.disks.size(); ++i) {
    CheckDisk(spec.disks[i], "disks[" + std::to_string(i) + "].", mistakes);
  }
  CheckRange(spec.vcpus, 1, kMaxVcpus, "vcpus", mistakes);
  CheckRange(spec.memory_mib, kMinMemoryMib, kMaxMemoryMib, "memory_mib", mistakes);
  CheckRange(spec.cid, kMinCid, UINT32_MAX - 1, "cid", mistakes);
  if (!IsPrintable(spec.hypervisor) || spec.hypervisor.size() > kMaxSpecPathBytes ||
      (spec.hypervisor.find('/') != std::string::npos && !spec.hypervisor.starts_with('/'))) {
    mistakes.push_back({"hypervisor", "must be an absolute path or the name of a program"});
  }
  if (spec.guest_config.size() > kMaxGuestConfigBytes || !IsTomlText(spec.guest_config)) {
    mistakes.push_back({"guest_config", "must be at most " + std::to_string(kMaxGuestConfigBytes) +
                                            " bytes of TOML, without control characters"});
  }
  if (spec.logs.max_bytes < kMinLogBytes || spec.logs.max_bytes > kMaxLogBytes) {
    mistakes.push_back({"logs.max_bytes", "must be a whole number from " +
                                              std::to_string(kMinLogBytes) + " to " +
                                              std::to_string(kMaxLogBytes)});
  }
  for (const HealthCheck& check : spec.health) {
    if (auto good = Validate(check); !good) {
      mistakes.push_back({"health." + check.name, "is wrong: " + good.error().detail});
    }
  }
  for (const TimeoutRow& row : kTimeouts) {
    const auto value = spec.timeouts.*row.field;
    if (value.count() < 1 || value > kMaxPhaseTimeout) {
      mistakes.push_back(
          {std::string("timeouts_ms.") + row.name,
           "must be a whole number from 1 to " + std::to_string(kMaxPhaseTimeout.count())});
    }
  }
  return mistakes;
}

std::expected<VmSpec, SpecMistakes> VmSpecFromJson(const json& object) {
  SpecMistakes mistakes;
  if (!object.is_object()) return std::unexpected(SpecMistakes{{"", "must be a JSON object"}});
  VmSpec spec;
  FieldReader reader(object, "", mistakes);
  reader.Text("name", kMaxVmNameBytes, spec.name);
  reader.Text("image", kMaxSpecPathBytes, spec.image);
  reader.Text("kernel", kMaxSpecPathBytes, spec.kernel);
  reader.Text("initrd", kMaxSpecPathBytes, spec.initrd);
  reader.Text("cmdline", kMaxCmdlineBytes, spec.cmdline);
  reader.Text("hypervisor", kMaxSpecPathBytes, spec.hypervisor);
  reader.Text("guest_config", kMaxGuestConfigBytes, spec.guest_config);
  if (const json* disks = reader.Array("disks", kMaxDisks)) {
    ReadDisks(*disks, mistakes, spec.disks);
  }
  reader.Number("vcpus", 1, kMaxVcpus, spec.vcpus);
  reader.Number("memory_mib", kMinMemoryMib, kMaxMemoryMib, spec.memory_mib);
  reader.Number("cid", kMinCid, int64_t{UINT32_MAX} - 1, spec.cid);
  auto machine = static_cast<size_t>(spec.machine);
  reader.OneOf("machine", kMachines, machine);
  spec.machine = static_cast<Machine>(machine);
  auto accel = static_cast<size_t>(spec.accel);
  reader.OneOf("accel", kAccels, accel);
  spec.accel = static_cast<Accel>(accel);
  if (const json* health = reader.Object("health")) spec.health = HealthFromJson(*health, mistakes);
  if (const json* timeouts = reader.Object("timeouts_ms")) {
    FieldReader fields(*timeouts, "timeouts_ms.", mistakes);
    for (const TimeoutRow& row : kTimeouts) {
      auto count = (spec.timeouts.*row.field).count();
      fields.Number(row.name, 1, kMaxPhaseTimeout.count(), count);
      spec.timeouts.*row.field = std::chrono::milliseconds(count);
    }
    fields.RefuseUnknown();
  }
  if (const json* logs = reader.Object("logs")) {
    FieldReader fields(*logs, "logs.", mistakes);
    fields.Number("max_bytes", static_cast<int64_t>(kMinLogBytes),
                  static_cast<int64_t>(kMaxLogBytes), spec.logs.max_bytes);
    fields.RefuseUnknown();
  }
  reader.RefuseUnknown();
  Append(mistakes, Validate(spec));
  if (!mistakes.empty()) return std::unexpected(std::move(mistakes));
  return spec;
}

std::expected<VmSpec, SpecMistakes> ParseVmSpec(std::string_view text) {
  const auto parsed = ParseBounded(text, {.max_bytes = kMaxSpecJsonBytes});
  if (!parsed) return std::unexpected(SpecMistakes{{"", parsed.error().detail}});
  return VmSpecFromJson(*parsed);
}

json ToJson(const VmSpec& spec) {
  json object = {
      {"name", spec.name}, {"vcpus", spec.vcpus},           {"memory_mib", spec.memory_mib},
      {"cid", spec.cid},   {"machine", Name(spec.machine)}, {"accel", Name(spec.accel)}};
  const std::pair<const char*, const std::string*> texts[] = {
      {"image", &spec.image},           {"kernel", &spec.kernel},
      {"initrd", &spec.initrd},         {"cmdline", &spec.cmdline},
      {"hypervisor", &spec.hypervisor}, {"guest_config", &spec.guest_config}};
  for (const auto& [name, text] : texts) {
    if (!text->empty()) object[name] = *text;
  }
  if (!spec.health.empty()) object["health"] = ToJson(spec.health);
  object["disks"] = json::array();
  for (const DiskSpec& disk : spec.disks) object["disks"].push_back(ToJson(disk));
  for (const TimeoutRow& row : kTimeouts) {
    object["timeouts_ms"][row.name] = (spec.timeouts.*row.field).count();
  }
  object["logs"] = {{"max_bytes", spec.logs.max_bytes}};
  return object;
}

Error ToError(const SpecMistakes& mistakes) {
  return Error{"validate-spec", EINVAL, Join(mistakes), "mend these fields and try again"};
}

}  // namespace berth
