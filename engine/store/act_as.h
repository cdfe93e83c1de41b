// Touching the file system as another user, for a service that root runs on behalf of many.
#pragma once

#include <cstdint>
#include <vector>

#include <sys/types.h>

#include <lanward/error.h>

namespace lanward::store {

// While it lives this thread, and no other, opens, makes and renames files with the identity of
// `user`: the kernel checks every step of a path by that user's rights, and what is made is the
// user's. So a link that a user plants leads nowhere where the user could not go. Descriptors that
// are open already stay usable. The thread that made it destroys it.
class ActAs {
 public:
  // Errors: access_denied unless the process is root's.
  [[nodiscard]] static Result<ActAs> user(std::uint32_t user);
  ActAs(ActAs&& other) noexcept;
  ActAs& operator=(ActAs&&) = delete;
  // Ends the process if root's identity does not come back, rather than go on with a wrong one.
  ~ActAs();

 private:
  ActAs() = default;

  bool active_ = false;
  gid_t group_ = 0;  // of the thread before
  std::vector<gid_t> groups_;
};

}  // namespace lanward::store
