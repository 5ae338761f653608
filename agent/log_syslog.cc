// SPDX-License-Identifier: Apache-2.0
#include "agent/log_syslog.h"

#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/syslog_message.h"

namespace berth::agent {
namespace {

constexpr int kDatagramsATurn = 64;
// Of one datagram. With them all its records stand in the ring at once.
constexpr size_t kMaxLinesOfDatagram = 256;

// When the kernel got it, in ns since the epoch; 0: it does not say.
uint64_t ReceivedAt(msghdr& header) {
  // There is room for no other: see below.
  const cmsghdr* const first = CMSG_FIRSTHDR(&header);
  if (first == nullptr || first->cmsg_level != SOL_SOCKET || first->cmsg_type != SCM_TIMESTAMPNS) {
    return 0;
  }
  timespec time{};
  std::memcpy(&time, CMSG_DATA(first), sizeof(time));
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

LogSource::Took LogSyslog::Take(LogRing& ring) {
  for (int i = 0; i < kDatagramsATurn; ++i) {
    iovec part{scratch_.bytes(), kMaxLogTextBytes};
    // Room for the time and for nothing else: descriptors that came along are closed.
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t n = recvmsg(fd(), &header, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN ? Took::kNothing : Took::kFailed;
    const uint64_t position = ReceivedAt(header);
    const bool again = std::exchange(first_, false) && position != 0 &&
                       position == ring.StateOf(number()).position;
    if (!again) {
      TakeDatagram(ring, {scratch_.bytes(), static_cast<size_t>(n)}, position);
      ring.Commit();
    }
    recv(fd(), nullptr, 0, MSG_DONTWAIT);
  }
  return Took::kSome;
}

void LogSyslog::TakeDatagram(LogRing& ring, std::string_view datagram, uint64_t position) {
  const SyslogMessage message = ParseSyslog(datagram, text_);
  const LogClock clock = LogClock::Now();
  std::string_view rest = message.text;
  std::string joined;
  for (size_t line = 1;; ++line) {
    size_t end = std::min(rest.find('\n'), rest.size());
    if (line == kMaxLinesOfDatagram && end < rest.size()) {
      joined = rest;
      std::ranges::replace(joined, '\n', ' ');
      rest = joined;
      end = rest.size();
    }
    ring.Append({.source = number(),
                 .level = message.level,
                 .flags = 0,
                 .position = position,
                 .text = rest.substr(0, std::min(end, kMaxLogTextBytes))},
                clock);
    if (end == rest.size()) return;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace berth::agent
