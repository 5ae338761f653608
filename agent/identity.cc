// SPDX-License-Identifier: Apache-2.0
#include "agent/identity.h"

#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "protocol/wire/handshake.h"

#ifndef GRND_INSECURE
#define GRND_INSECURE 0x0004
#endif

namespace berth::agent {
namespace {

constexpr size_t kIdBytes = 16;

// "4ac3ad5d-…" as 16 bytes; empty where the text is something else.
std::string ParseUuid(const std::string& text) {
  std::string bytes;
  int high = -1;
  for (const char c : text) {
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<char>(high << 4 | digit));
      high = -1;
    }
  }
  return bytes.size() == kIdBytes ? bytes : std::string();
}

std::string BootId() {
  const auto text = ReadFile("/proc/sys/kernel/random/boot_id", 64);
  return text ? ParseUuid(*text) : std::string();
}

// An identity, no secret: it must not wait for the guest's entropy, which may be minutes away.
std::string InstanceId() {
  std::string bytes(kIdBytes, '\0');
  if (syscall(SYS_getrandom, bytes.data(), bytes.size(), GRND_INSECURE) !=
      static_cast<long>(kIdBytes)) {
    const int64_t now = MonotonicNs();
    const pid_t pid = getpid();
    bytes.replace(0, sizeof(now), reinterpret_cast<const char*>(&now), sizeof(now));
    bytes.replace(sizeof(now), sizeof(pid), reinterpret_cast<const char*>(&pid), sizeof(pid));
  }
  return bytes;
}

}  // namespace

v1::Hello MakeAgentHello() { return wire::MakeHello(BootId(), InstanceId()); }

}  // namespace berth::agent
