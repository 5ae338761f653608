// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/log.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "supervisor/vsock/limits.h"

namespace berth::vsock {

namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Complaint::kCount)> kNames = {
    "ring", "packet", "limit", "client", "vhost-user"};

// A bucket of lines per class: it starts full and gains one line a second.
constexpr int kBurstLines = 5;
constexpr std::chrono::seconds kLineEvery{1};

struct Bucket {
  int lines = kBurstLines;
  uint64_t left_out = 0;
  TimePoint refilled = std::chrono::steady_clock::now();
};

}  // namespace

void Log(Complaint complaint, std::string_view text) {
  static std::array<Bucket, kNames.size()> buckets;
  const auto index = static_cast<size_t>(complaint);
  Bucket& bucket = buckets[index];
  const TimePoint now = std::chrono::steady_clock::now();
  while (bucket.lines < kBurstLines && now - bucket.refilled >= kLineEvery) {
    ++bucket.lines;
    bucket.refilled += kLineEvery;
  }
  if (bucket.lines == kBurstLines) bucket.refilled = now;
  if (bucket.lines == 0) {
    ++bucket.left_out;
    return;
  }
  --bucket.lines;
  std::string line = "berth-vsock: ";
  line += kNames[index];
  line += ": ";
  line += text;
  if (bucket.left_out > 0) line += " (" + std::to_string(bucket.left_out) + " lines left out)";
  bucket.left_out = 0;
  line += '\n';
  // A log that cannot be written has nowhere to say so.
  [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace berth::vsock
