// SPDX-License-Identifier: Apache-2.0
//
// A guest's services for people: the table of `berth service VM ls`, and where the time of a boot
// went, as `berth boot VM` draws it. From the JSON of the API; pure functions.
#ifndef BERTH_SUPERVISOR_CLI_SERVICE_VIEW_H_
#define BERTH_SUPERVISOR_CLI_SERVICE_VIEW_H_

#include <nlohmann/json.hpp>
#include <string>

namespace berth::cli {

// The answer of compute.vm.service as a table. `width` as in Table.
// A time in words, "250 ms", "8 s"; and {"code": 1} or {"signal": 9} as a cell, "-" where it is
// null.
std::string SpanOf(double ms);
std::string ExitText(const nlohmann::json& exit);

std::string RenderServices(const nlohmann::json& answer, size_t width);

// Why a VM, as status shows it, cannot be asked for its services: "… is paused", without its name.
// Empty: it can.
std::string WhyNoServices(const nlohmann::json& vm);

// What compute.vm.status has under "boot", with what the services say of it (nullptr: they were not
// asked, for the reason that `why_none` gives):
//   phases          as they are, "guest_clock" marking those by the guest's word
//   kernel_ms       when the guest's kernel started, since the hypervisor's exec
//   services        [{name, at_ms, took_ms, exec_ms, waits_for}], longest first: blame. When it
//                   was first ready: at_ms since the kernel started, exec_ms since the
//                   hypervisor's exec
//   critical_chain  the last of them to be ready, what it waited for, and so on
nlohmann::json BootReport(const nlohmann::json& boot, const nlohmann::json* answer,
                          const std::string& why_none);

// The report as three tables: phases, blame, critical chain.
std::string RenderBoot(const nlohmann::json& report, size_t width);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_SERVICE_VIEW_H_
