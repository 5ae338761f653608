// SPDX-License-Identifier: Apache-2.0
//
// berth events: what happened to VMs, and with -f what happens.
#include <fmt/format.h>
#include <unistd.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/reader_watch.h"
#include "supervisor/cli/table.h"

namespace berth::cli {
namespace {

constexpr auto kFollow = std::chrono::seconds(30);  // per question

std::string RenderEvent(const json& event) {
  std::string text = fmt::format("{}  {:<12} ", ClockTime(event.value("realtime_ns", int64_t{0})),
                                 event.value("vm", ""));
  if (event.contains("to")) {
    text += fmt::format("{} -> {}: ", event.value("from", ""), event.value("to", ""));
  } else {
    text += event.value("kind", "") + ": ";
  }
  text += event.value("why", "");
  if (event.contains("count"))
    text += fmt::format(" ({} so far)", event.value("count", uint64_t{0}));
  return OneLine(text);
}

struct Options {
  std::string name;
  std::string cursor;
  bool follow = false;
};

int Run(const Shared& shared, Options& options) {
  auto client = shared.Connect();
  if (!client) return Report("events", client.error());
  if (options.follow) EndWithReader();
  for (;;) {
    json params = json::object();
    if (!options.name.empty()) params["name"] = options.name;
    if (!options.cursor.empty()) params["cursor"] = options.cursor;
    if (options.follow) params["follow_ms"] = std::chrono::milliseconds(kFollow).count();
    auto page = client->Call("compute.vm.events.tail", std::move(params),
                             Deadline::In(kFollow + kQuickCall));
    if (!page) return Report("events", page.error());
    if (const auto lost = page->value("lost", uint64_t{0}); lost > 0) {
      fmt::print(stderr, "berth: events: {} older entries are not kept any more\n", lost);
    }
    const json events = page->value("events", json::array());
    for (const json& event : events) {
      fmt::print("{}\n", shared.json ? event.dump() : RenderEvent(event));
    }
    std::fflush(stdout);
    const std::string next = page->value("cursor", "");
    if (!options.follow && (events.empty() || next == options.cursor)) return 0;
    options.cursor = next;
  }
}

}  // namespace

void AddEvents(CLI::App& app, Shared& shared) {
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(app, shared, "events", "what happened to VMs",
                                 [&shared, options] { return Run(shared, *options); });
  command->add_option("VM", options->name, "only of this VM");
  command->add_flag("-f,--follow", options->follow, "and what happens from now on");
  command->add_option("--cursor", options->cursor, "go on behind this cursor of an earlier answer");
}

}  // namespace berth::cli
