// SPDX-License-Identifier: Apache-2.0
//
// Who a session or a service runs as, from the guest's own /etc/passwd and /etc/group. Read anew
// for each (an image may add users while it runs), by this parser and not by the C library's, which
// may ask name services and block. Pure functions; any thread.
//
//   user    a name, or a number; empty: 0. A number that passwd does not list has gid 0, home /.
//   group   a name, or a number; empty: the user's own.
//   groups  names or numbers; empty: those that /etc/group gives the user.
#ifndef BERTH_PROTOCOL_BASE_USERS_H_
#define BERTH_PROTOCOL_BASE_USERS_H_

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace berth {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary, the primary one included
  std::string name;           // the number where passwd has no name for it
  std::string home = "/";
  std::string shell = "/bin/sh";
};

struct AccountRequest {
  std::string_view user;
  std::string_view group;
  std::vector<std::string_view> groups;
};

// Error::step is user, group or groups; ENOENT where a name is unknown, EINVAL where a number is
// none.
Result<Account> ResolveAccount(const AccountRequest& request, std::string_view passwd,
                               std::string_view group);

// The same with the two files; one that is missing counts as empty.
Result<Account> ResolveAccount(const AccountRequest& request);

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_USERS_H_
