// SPDX-License-Identifier: Apache-2.0
//
// What a program says on /dev/log: RFC 3164 as syslog(3) of every C library writes it, and RFC
// 5424. Pure functions; what they read is any process's of the guest.
#ifndef BERTH_AGENT_SYSLOG_MESSAGE_H_
#define BERTH_AGENT_SYSLOG_MESSAGE_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::agent {

struct SyslogMessage {
  uint8_t level = 6;
  // "tag[pid]: message", without what stands in a record's header: priority, time, and of RFC 5424
  // the host. It lies in the datagram or in `scratch`.
  std::string_view text;
};

// Never fails: what is neither form is taken as it is. Newlines and nulls at its end are cut off.
SyslogMessage ParseSyslog(std::string_view datagram, std::string& scratch);

}  // namespace berth::agent

#endif  // BERTH_AGENT_SYSLOG_MESSAGE_H_
