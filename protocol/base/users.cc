// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/users.h"

#include <algorithm>
#include <array>

#include "protocol/base/io.h"
#include "protocol/base/parse.h"

namespace berth {
namespace {

constexpr size_t kMaxFileBytes = 4 * 1024 * 1024;
constexpr size_t kMaxSupplementary = 65536;  // NGROUPS_MAX

std::optional<uint32_t> Number(std::string_view text) {
  const auto value = WholeNumber<uint32_t>(text);
  // (uid_t)-1 means "leave as it is" to the kernel.
  return value == ~uint32_t{0} ? std::nullopt : value;
}

struct PasswdRow {
  std::string_view name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string_view home;
  std::string_view shell;
};

struct GroupRow {
  std::string_view name;
  uint32_t gid = 0;
  std::string_view members;
};

// name:password:uid:gid:gecos:home:shell. Lines that are not of this form are skipped, as
// getpwent(3) does.
std::optional<PasswdRow> ParsePasswd(std::string_view line) {
  std::array<std::string_view, 7> field;
  if (std::ranges::count(line, ':') != static_cast<ptrdiff_t>(field.size()) - 1) {
    return std::nullopt;
  }
  for (auto& each : field) each = Cut(line, ':');
  const auto uid = Number(field[2]);
  const auto gid = Number(field[3]);
  if (field[0].empty() || !uid || !gid) return std::nullopt;
  return PasswdRow{field[0], *uid, *gid, field[5], field[6]};
}

// name:password:gid:member,member
std::optional<GroupRow> ParseGroup(std::string_view line) {
  std::array<std::string_view, 4> field;
  if (std::ranges::count(line, ':') != static_cast<ptrdiff_t>(field.size()) - 1) {
    return std::nullopt;
  }
  for (auto& each : field) each = Cut(line, ':');
  const auto gid = Number(field[2]);
  if (field[0].empty() || !gid) return std::nullopt;
  return GroupRow{field[0], *gid, field[3]};
}

// Names come first: a user may be called "1000".
std::optional<PasswdRow> FindUser(std::string_view passwd, std::string_view user) {
  const auto number = Number(user);
  std::optional<PasswdRow> by_number;
  while (!passwd.empty()) {
    const auto row = ParsePasswd(Cut(passwd, '\n'));
    if (!row) continue;
    if (row->name == user) return row;
    if (number && row->uid == *number && !by_number) by_number = row;
  }
  return by_number;
}

Result<gid_t> FindGroup(Step step, std::string_view groups, std::string_view group) {
  const auto number = Number(group);
  while (!groups.empty()) {
    const auto row = ParseGroup(Cut(groups, '\n'));
    if (row && row->name == group) return row->gid;
  }
  if (number) return *number;
  return Fail(step, ENOENT, "no group \"" + std::string(group) + "\" in the guest's /etc/group",
              "use a group of the guest, or a number");
}

bool HasMember(std::string_view members, std::string_view name) {
  while (!members.empty()) {
    if (Cut(members, ',') == name) return true;
  }
  return false;
}

void AddGroup(std::vector<gid_t>& groups, gid_t gid) {
  if (groups.size() < kMaxSupplementary && std::ranges::find(groups, gid) == groups.end()) {
    groups.push_back(gid);
  }
}

Result<std::string> ReadAccounts(const char* path) {
  auto text = ReadFile(path, kMaxFileBytes);
  if (!text && text.error().errnum == ENOENT) return std::string();
  return text;
}

}  // namespace

Result<Account> ResolveAccount(const AccountRequest& request, std::string_view passwd,
                               std::string_view group) {
  const std::string_view user = request.user.empty() ? "0" : request.user;
  Account account;
  const auto row = FindUser(passwd, user);
  if (row) {
    account.uid = row->uid;
    account.gid = row->gid;
    account.name = row->name;
    if (!row->home.empty()) account.home = row->home;
    if (!row->shell.empty()) account.shell = row->shell;
  } else if (const auto uid = Number(user)) {
    account.uid = *uid;
    account.name = *uid == 0 ? "root" : std::string(user);
  } else {
    return Fail("user", ENOENT, "no user \"" + std::string(user) + "\" in the guest's /etc/passwd",
                "use a user of the guest, or a number");
  }

  if (!request.group.empty()) {
    BERTH_ASSIGN(account.gid, FindGroup("group", group, request.group));
  }
  AddGroup(account.groups, account.gid);
  for (const std::string_view each : request.groups) {
    BERTH_ASSIGN(const gid_t gid, FindGroup("groups", group, each));
    AddGroup(account.groups, gid);
  }
  if (request.groups.empty() && row) {
    // Only lines that hold the name at all are worth parsing.
    size_t at = 0;
    while ((at = group.find(row->name, at)) != std::string_view::npos) {
      const size_t begin = group.rfind('\n', at) + 1;  // 0 on the first line
      const size_t end = std::min(group.find('\n', at), group.size());
      const auto each = ParseGroup(group.substr(begin, end - begin));
      if (each && HasMember(each->members, row->name)) AddGroup(account.groups, each->gid);
      at = end;
    }
  }
  return account;
}

Result<Account> ResolveAccount(const AccountRequest& request) {
  BERTH_ASSIGN(const std::string passwd, ReadAccounts("/etc/passwd"));
  BERTH_ASSIGN(const std::string group, ReadAccounts("/etc/group"));
  return ResolveAccount(request, passwd, group);
}

}  // namespace berth
