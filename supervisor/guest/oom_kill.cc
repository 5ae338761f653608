// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/oom_kill.h"

#include <fmt/format.h>

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::guest {

namespace {

// Where PID 1 puts its services: a folder for each.
constexpr std::string_view kServices = "/berth/";

}  // namespace

std::string ExplainOomKill(const v1::OomKill& kill) {
  const std::string process = Printable(kill.process(), wire::kMaxStatsTextBytes);
  const std::string cgroup = Printable(kill.cgroup(), wire::kMaxStatsTextBytes);
  std::string text = fmt::format("out of memory: its kernel killed {} (pid {}, uid {})", process,
                                 kill.pid(), kill.uid());
  if (!cgroup.empty() && cgroup != "/") text += " in " + cgroup;
  if (cgroup.starts_with(kServices) && cgroup.size() > kServices.size()) {
    const std::string_view rest = std::string_view(cgroup).substr(kServices.size());
    text += fmt::format(", service {}", rest.substr(0, rest.find('/')));
  }
  switch (kill.constraint()) {
    case v1::OomKill::CONSTRAINT_NONE:
      text += ": the machine's memory is used up";
      break;
    case v1::OomKill::CONSTRAINT_MEMCG:
      text += ": the cgroup is at its memory limit";
      break;
    default:
      break;
  }
  if (kill.forgotten() > 0) {
    text += fmt::format(" ({} such kills before it were forgotten)", kill.forgotten());
  }
  return text;
}

}  // namespace berth::guest
