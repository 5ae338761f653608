// SPDX-License-Identifier: Apache-2.0
//
// VmSpec: what a VM shall be, as its owner wrote it. A value: it owns no file and no process, and
// any thread may copy it.
//
// Its JSON form is the one of the API's create call and of spec.json. Parsing checks the whole
// document and reports every mistake at once, each with the field it is about; an unknown field is
// a mistake, for it is most often a misspelt one.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_VM_SPEC_H_
#define BERTH_SUPERVISOR_HYPERVISOR_VM_SPEC_H_

#include <chrono>
#include <cstdint>
#include <expected>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/agent_settings.h"
#include "protocol/base/result.h"
#include "protocol/base/service_control.h"
#include "supervisor/hypervisor/bounded_json.h"

namespace berth {

inline constexpr size_t kMaxVmNameBytes = 63;     // a DNS label: the name is often the hostname too
inline constexpr size_t kMaxCmdlineBytes = 2047;  // COMMAND_LINE_SIZE of x86 less its null
inline constexpr size_t kMaxSpecPathBytes = 4095;  // PATH_MAX less its null
inline constexpr size_t kMaxDisks = 16;
inline constexpr size_t kMaxDiskSerialBytes = 20;  // VIRTIO_BLK_ID_BYTES
inline constexpr uint32_t kMaxVcpus = 64;
inline constexpr uint32_t kMinMemoryMib = 32;
inline constexpr uint32_t kMaxMemoryMib = 1024 * 1024;
inline constexpr uint32_t kMinCid = 3;  // 0–2 name the hypervisor, loopback and host
inline constexpr size_t kMaxGuestConfigBytes = kMaxConfigureBytes;
inline constexpr uint64_t kMinLogBytes = 4ULL * 1024 * 1024;
inline constexpr uint64_t kMaxLogBytes = 1024ULL * 1024 * 1024;
inline constexpr size_t kMaxSpecJsonBytes = 256 * 1024;
inline constexpr std::chrono::milliseconds kMaxPhaseTimeout = std::chrono::hours(1);

enum class Machine { kMicrovm, kQ35 };
enum class Accel { kAuto, kTcg, kKvm };
enum class DiskFormat { kRaw, kQcow2 };

std::string_view Name(Machine machine);
std::string_view Name(Accel accel);
std::string_view Name(DiskFormat format);

struct DiskSpec {
  std::string path;  // absolute in a VmSpec; relative to the image in image.json
  DiskFormat format = DiskFormat::kRaw;
  bool read_only = false;
  std::string serial = {};  // shown to the guest in /sys/block/*/serial; empty: none

  friend bool operator==(const DiskSpec&, const DiskSpec&) = default;
};

// How long each phase may take before the VM counts as failed in it. JSON: "timeouts_ms".
struct VmTimeouts {
  std::chrono::milliseconds launch{15'000};  // shim spawned → hypervisor and vsock device up
  std::chrono::milliseconds boot{60'000};    // launched → the guest's Ready
  std::chrono::milliseconds stop{30'000};    // stop asked of the guest → it has powered off
  std::chrono::milliseconds quit{5'000};     // hypervisor asked to quit → it is gone, else SIGKILL

  friend bool operator==(const VmTimeouts&, const VmTimeouts&) = default;
};

// What is kept of the guest's log records. JSON: "logs".
struct VmLogBounds {
  uint64_t max_bytes = 64ULL * 1024 * 1024;

  friend bool operator==(const VmLogBounds&, const VmLogBounds&) = default;
};

struct VmSpec {
  std::string name;
  // Either an image directory, or a kernel of one's own. With an image, a kernel or initrd given
  // here replaces the image's, the command line is appended to the image's, and the disks follow
  // it.
  std::string image;
  std::string kernel;
  std::string initrd;
  std::string cmdline;
  std::vector<DiskSpec> disks;
  uint32_t vcpus = 1;
  uint32_t memory_mib = 256;
  uint32_t cid = kMinCid;  // the guest's own; nothing on the host can clash with it
  Machine machine = Machine::kMicrovm;
  Accel accel = Accel::kAuto;
  std::string
      hypervisor;  // program: absolute path, or a name looked up in PATH; empty: the default
  VmTimeouts timeouts;
  // What the host adds to the guest's configuration, TOML, handed to its PID 1 at each boot.
  // Nothing secret: the API shows it, and spec.json holds it.
  std::string guest_config = {};
  VmLogBounds logs = {};
  std::vector<HealthCheck> health = {};  // run by the guest's agent, beside those of its init.toml

  friend bool operator==(const VmSpec&, const VmSpec&) = default;
};

using SpecMistake = FieldMistake;
using SpecMistakes = FieldMistakes;

// Letters, digits, '-' and '_', starting with a letter or digit, at most kMaxVmNameBytes: it names
// a directory and goes into argument lists.
bool IsValidVmName(std::string_view name);

// All that is wrong with `spec`, with no look at the file system; empty: it is valid.
SpecMistakes Validate(const VmSpec& spec);

// Parses and validates. `text` may come from anybody.
std::expected<VmSpec, SpecMistakes> ParseVmSpec(std::string_view text);
std::expected<VmSpec, SpecMistakes> VmSpecFromJson(const nlohmann::json& json);
nlohmann::json ToJson(const VmSpec& spec);

// One element of "disks", of a spec or of an image.json; `prefix` as in FieldReader.
DiskSpec DiskFromJson(const nlohmann::json& object, const std::string& prefix,
                      SpecMistakes& mistakes);
nlohmann::json ToJson(const DiskSpec& disk);

// The mistakes as one error of step "validate-spec", for those who can carry only one.
Error ToError(const SpecMistakes& mistakes);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_VM_SPEC_H_
