#include "peer/group_file.h"

#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "peer/small_file.h"

namespace lanward::peer {
namespace {

constexpr mode_t kOwnerOnly = 0600;

Result<void> check_owner(const std::string& path, const struct stat& info) {
  if ((info.st_mode & 077U) != 0) {
    return fail(ErrorCode::access_denied,
                path + ": others may read or write this secret; run chmod 600 on it");
  }
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return fail(ErrorCode::access_denied, path + ": belongs to another user");
  }
  return {};
}

}  // namespace

Result<core::Group> read_group(const std::string& path) {
  const auto file = read_small_file(path, core::kGroupFileBytesMax);
  if (!file) return tl::unexpected(file.error());
  if (auto ok = check_owner(path, file->info); !ok) return tl::unexpected(ok.error());
  auto group = core::parse_group(file->text);
  if (!group) return fail(group.error().code, path + ": " + group.error().message);
  return group;
}

Result<void> create_group_file(const std::string& path, const core::Group& group) {
  return create_small_file(path, core::format_group(group), kOwnerOnly);
}

Result<void> replace_group_file(const std::string& path, const core::Group& group) {
  return replace_small_file(path, core::format_group(group), kOwnerOnly);
}

void fill_random(std::span<std::uint8_t> bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (count < 0 && errno != EINTR) std::abort();
    if (count > 0) done += static_cast<std::size_t>(count);
  }
}

}  // namespace lanward::peer
