// SPDX-License-Identifier: Apache-2.0
#include "agent/chores.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "protocol/base/io.h"
#include "protocol/base/unique_fd.h"

namespace berth::agent {
namespace {

constexpr auto kSayTimeout = std::chrono::seconds(10);

void Say(const std::string& text) {
  // Who does not read the answer has given up on it.
  [[maybe_unused]] const auto said = WriteFull(STDOUT_FILENO, text, Deadline::In(kSayTimeout));
}

int CheckFile(const char* path) {
  struct stat info = {};
  if (stat(path, &info) == 0) return 0;
  Say(ErrnoText(errno));
  return 1;
}

// One after the other, in the order given: each may lie in a file of a later one.
int ForEachMount(std::span<char*> paths, unsigned long request) {
  for (const char* path : paths) {
    const UniqueFd mount(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // By number: the two C libraries do not agree on the type of ioctl's request.
    const bool done = mount && syscall(SYS_ioctl, mount.get(), request, 0) == 0;
    const int errnum = done ? 0 : errno;
    Say(std::to_string(errnum) + "\n");
  }
  return 0;
}

struct Counted {
  int before = 0;
  int after = 0;
  int present = 0;
};

bool IsOnline(const std::string& knob) {
  const auto text = ReadFile(knob.c_str(), 16);
  return text && text->starts_with('1');
}

// "cpu0" … below `folder`. One without a knob (the boot processor's) is online.
Counted BringOnline(const std::string& folder, std::string_view prefix, std::string& failed) {
  Counted counted;
  DIR* const dir = opendir(folder.c_str());
  if (dir == nullptr) return counted;
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (!name.starts_with(prefix) || name.size() == prefix.size() ||
        name.find_first_not_of("0123456789", prefix.size()) != std::string_view::npos) {
      continue;
    }
    ++counted.present;
    const std::string knob = folder + "/" + std::string(name) + "/online";
    if (access(knob.c_str(), F_OK) != 0 || IsOnline(knob)) {
      ++counted.before;
      ++counted.after;
      continue;
    }
    if (auto written = WriteKnob(knob.c_str(), "1"); !written && failed.empty()) {
      failed = std::string(name) + ": " + ErrnoText(written.error().errnum);
    }
    if (IsOnline(knob)) ++counted.after;
  }
  closedir(dir);
  return counted;
}

int Online(const std::string& devices) {
  std::string failed;
  const Counted cpus = BringOnline(devices + "/cpu", "cpu", failed);
  const Counted memory = BringOnline(devices + "/memory", "memory", failed);
  for (const int number :
       {cpus.before, cpus.after, cpus.present, memory.before, memory.after, memory.present}) {
    Say(std::to_string(number) + "\n");
  }
  Say(failed + "\n");
  return 0;
}

}  // namespace

int RunChore(std::span<char*> args) {
  const std::string_view chore = args.empty() ? "" : args[0];
  if (chore == "check-file" && args.size() == 2) return CheckFile(args[1]);
  if (chore == "freeze") return ForEachMount(args.subspan(1), FIFREEZE);
  if (chore == "thaw") return ForEachMount(args.subspan(1), FITHAW);
  if (chore == "online" && args.size() == 2) return Online(args[1]);
  Say("an unknown chore\n");
  return 2;
}

}  // namespace berth::agent
