// SPDX-License-Identifier: Apache-2.0
//
// The options of create and run that say what a VM shall be. They are gathered as they are: what is
// wrong with them is said by berthd, all mistakes at once.
#ifndef BERTH_SUPERVISOR_CLI_SPEC_OPTIONS_H_
#define BERTH_SUPERVISOR_CLI_SPEC_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace berth::cli {

struct SpecOptions {
  std::string image;
  std::string kernel;
  std::string initrd;
  std::vector<std::string> append;
  std::vector<std::string> disks;
  std::optional<uint64_t> vcpus;
  std::string memory;
  std::string machine;
  std::string accel;
  std::string hypervisor;
  std::string health;        // a file
  std::string guest_config;  // a file
  std::string log_limit;
  std::optional<uint64_t> launch_ms;
  std::optional<uint64_t> ready_ms;
  std::optional<uint64_t> stop_ms;
};

void AddSpecOptions(CLI::App* app, SpecOptions& options);

// The spec as the API takes it. Relative paths become absolute: berthd stands elsewhere.
nlohmann::json ToSpec(const std::string& name, const SpecOptions& options);

// What a file says, for the spec: at most kMaxGuestConfigBytes of UTF-8. Throws
// CLI::ValidationError.
std::string ReadGuestConfig(const std::string& path);
// A JSON object of health checks by name. Throws CLI::ValidationError.
nlohmann::json ReadHealthFile(const std::string& path);
// "/path", "/path,ro", "/path,format=qcow2,serial=data".
nlohmann::json ParseDisk(const std::string& text);
// MiB: "256", "256M", "2G". Throws CLI::ValidationError.
uint64_t ParseMemoryMib(const std::string& text);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_SPEC_OPTIONS_H_
