#include "engine/store/spool.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "engine/store/digest.h"
#include "engine/store/system_error.h"

namespace lanward::store {

class DiskSpool::Sink final : public ports::RangeSink {
 public:
  Sink(std::shared_ptr<DiskSpool> spool, std::uint64_t turn)
      : spool_(std::move(spool)), turn_(turn) {}

  [[nodiscard]] Accept accept(std::span<const std::byte> bytes) override {
    return spool_->write(turn_, bytes) ? Accept::taken : Accept::closed;
  }
  void finish() override {}

 private:
  const std::shared_ptr<DiskSpool> spool_;
  const std::uint64_t turn_;
};

Result<std::shared_ptr<DiskSpool>> DiskSpool::create(std::string path, std::uint64_t bytes_max) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return tl::unexpected(system_error(errno, "cannot create " + path));
  return std::make_shared<DiskSpool>(std::move(path), bytes_max, std::move(fd));
}

DiskSpool::~DiskSpool() {
  if (!moved_) ::unlink(path_.c_str());
}

std::unique_ptr<ports::RangeSink> DiskSpool::restart() {
  const std::lock_guard lock(mutex_);
  ++turn_;
  size_ = 0;
  failed_.reset();
  hasher_ = make_hasher(core::DigestAlgorithm::sha256);
  if (hasher_ == nullptr) {
    failed_ = Error{ErrorCode::internal, "the system's cryptographic library has no SHA-256"};
  } else if (::ftruncate(fd_.get(), 0) != 0) {
    failed_ = system_error(errno, "cannot empty " + path_);
  }
  return std::make_unique<Sink>(shared_from_this(), turn_);
}

bool DiskSpool::write(std::uint64_t turn, std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  if (turn != turn_ || failed_) return false;
  if (bytes.size() > bytes_max_ - size_) {
    failed_ =
        Error{ErrorCode::unsupported, "the file has more than the " + std::to_string(bytes_max_) +
                                          " bytes that a file may have"};
    return false;
  }
  hasher_->update(bytes);
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      failed_ = system_error(errno, "cannot write " + path_);
      return false;
    }
    size_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

Result<ports::Spool::Sum> DiskSpool::sum() {
  const std::lock_guard lock(mutex_);
  if (failed_) return tl::unexpected(*failed_);
  if (hasher_ == nullptr) return fail(ErrorCode::invalid_state, "nothing was brought to " + path_);
  ++turn_;  // what would come now would not be in the sum
  const std::vector<std::uint8_t> bytes = std::exchange(hasher_, nullptr)->finish();
  Sum sum{.size = core::ByteCount{size_}, .sha256 = {}};
  std::copy_n(bytes.begin(), std::min(bytes.size(), sum.sha256.size()), sum.sha256.begin());
  return sum;
}

Result<void> DiskSpool::move_to(const std::string& path) {
  const std::lock_guard lock(mutex_);
  ++turn_;
  if (failed_) return tl::unexpected(*failed_);
  if (::fsync(fd_.get()) != 0) return tl::unexpected(system_error(errno, "cannot write " + path_));
  if (std::rename(path_.c_str(), path.c_str()) != 0) {
    return tl::unexpected(system_error(errno, "cannot rename " + path_ + " to " + path));
  }
  moved_ = true;
  return {};
}

}  // namespace lanward::store
