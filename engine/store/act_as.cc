#include "engine/store/act_as.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include <grp.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace lanward::store {
namespace {

// Linux has at most 65,536 groups per process (NGROUPS_MAX); an entry of a user database is no
// longer than this in practice.
constexpr int kGroupsMax = 65'536;
constexpr std::size_t kEntryBytes = 64 * 1024;
// Of a user that the system does not know any more: "nogroup" of Debian.
constexpr gid_t kNoGroup = 65'534;

// The system call, because the function of the C library changes the groups of all threads.
bool set_groups(const std::vector<gid_t>& groups) {
  return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

std::vector<gid_t> groups_of(std::uint32_t user) {
  std::vector<char> buffer(kEntryBytes);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return {kNoGroup};
  }
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (::getgrouplist(found->pw_name, found->pw_gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(std::min(count, kGroupsMax)));
    count = static_cast<int>(groups.size());
    if (::getgrouplist(found->pw_name, found->pw_gid, groups.data(), &count) < 0) count = 0;
  }
  groups.resize(static_cast<std::size_t>(count));
  // The main one first, as getgrouplist() promises; alone if the others cannot be told.
  if (groups.empty()) groups.push_back(found->pw_gid);
  return groups;
}

// Neither call tells whether it was obeyed: a second one that changes nothing does.
bool set_user(uid_t user) {
  (void)::setfsuid(user);
  return static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))) == user;
}
bool set_group(gid_t group) {
  (void)::setfsgid(group);
  return static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1))) == group;
}

}  // namespace

Result<ActAs> ActAs::user(std::uint32_t user) {
  const auto refuse = [&] {
    return fail(ErrorCode::access_denied,
                "only root can deliver files of user " + std::to_string(user));
  };
  if (::geteuid() != 0) return refuse();
  ActAs before;
  before.group_ = ::getegid();
  const int count = ::getgroups(0, nullptr);
  before.groups_.resize(static_cast<std::size_t>(std::max(count, 0)));
  if (count < 0 || ::getgroups(count, before.groups_.data()) != count) return refuse();
  const std::vector<gid_t> groups = groups_of(user);
  before.active_ = true;  // from here on there is something to take back
  if (!set_groups(groups) || !set_group(groups.front()) || !set_user(user)) return refuse();
  return before;
}

ActAs::ActAs(ActAs&& other) noexcept
    : active_(std::exchange(other.active_, false)),
      group_(other.group_),
      groups_(std::move(other.groups_)) {}

ActAs::~ActAs() {
  if (!active_) return;
  if (!set_user(::geteuid()) || !set_group(group_) || !set_groups(groups_)) std::abort();
}

}  // namespace lanward::store
