// SPDX-License-Identifier: Apache-2.0
//
// Any text as each of the kernel's files: what comes of it keeps the bounds of a StatsReply.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/stats_parse.h"
#include "protocol/wire/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace agent = berth::agent;
  namespace wire = berth::wire;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  berth::v1::StatsReply reply;
  agent::ParseCpu(text, size % 1001, *reply.mutable_cpu());
  agent::ParseLoad(text, reply);
  agent::ParseUptime(text, reply);
  agent::ParseMemory(text, *reply.mutable_memory());
  agent::ParsePressure(text, *reply.mutable_io_pressure());
  agent::ParseDisks(text, reply);
  agent::ParseInterfaces(text, reply);
  agent::ParseNumber(text);
  agent::ParseKey(text, "oom_kill");
  agent::ParseIoStat(text, *reply.add_services());
  const auto fits = [](const auto& rows, int most) {
    if (rows.size() > most) std::abort();
    for (const auto& row : rows) {
      if (row.name().size() > wire::kMaxStatsTextBytes) std::abort();
    }
  };
  fits(reply.disks(), wire::kMaxStatsDisks);
  fits(reply.interfaces(), wire::kMaxStatsInterfaces);
  // Text that is no UTF-8 fails its receiver.
  berth::v1::StatsReply again;
  if (!again.ParseFromString(reply.SerializeAsString())) std::abort();
  return 0;
}
