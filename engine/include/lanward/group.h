// Groups of peers: files with secrets that members have in common (docs/security.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>

namespace lanward {

// What may be said about a group: no secrets.
struct GroupInfo {
  struct Key {
    std::string id;
    std::chrono::sys_seconds from{};
    std::optional<std::chrono::sys_seconds> until{};  // nothing: for ever
    bool accepted = false;                            // now
    bool preferred = false;                           // of those that are accepted
  };
  std::string id;
  std::vector<Key> keys;  // one or two
};

// Writes a new group with one key to a file that is not there yet, of mode 0600. Errors:
// destination.
[[nodiscard]] Result<GroupInfo> create_group(const std::string& path);

// Gives the group a new key and replaces the file in one step; engines that use it notice by
// themselves. The old key is accepted for `overlap` from now; without one, it is not any more, and
// whoever lacks the new file is out. Errors: invalid_argument (the group has two keys already),
// those of describe_group(), destination.
[[nodiscard]] Result<GroupInfo> rotate_group(const std::string& path,
                                             std::optional<std::chrono::seconds> overlap);

// Errors: not_found, access_denied (others may read the file), invalid_argument (line and field),
// unsupported, disk_io.
[[nodiscard]] Result<GroupInfo> describe_group(const std::string& path);

}  // namespace lanward
