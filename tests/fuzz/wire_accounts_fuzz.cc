// SPDX-License-Identifier: Apache-2.0
//
// Any /etc/passwd, /etc/group, user and group, parted by null bytes: the agent reads these files as
// root in a guest whose image may be anybody's.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocol/base/users.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto cut = [&] {
    const size_t end = rest.find('\0');
    const std::string_view head = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return head;
  };
  const std::string_view passwd = cut();
  const std::string_view group = cut();
  const std::string_view user = cut();
  const std::string_view primary = cut();
  berth::AccountRequest request{user, primary, {}};
  if (!rest.empty()) request.groups.push_back(rest);
  const auto account = berth::ResolveAccount(request, passwd, group);
  // Nobody gets "leave it as it is" by a number, and root only who asked for root or is listed so.
  if (account && (account->uid == ~uid_t{0} || account->gid == ~gid_t{0})) std::abort();
  if (account && account->groups.empty()) std::abort();
  return 0;
}
