// EVP would look the algorithm up first and set up OpenSSL's providers for it: half a millisecond
// of each process, more than a small file takes to hash. The functions below do the same work.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "engine/store/sha256.h"

#include <cstdlib>

#include <openssl/sha.h>

namespace lanward::store {

core::Digest sha256(std::span<const std::byte> bytes) {
  core::Digest digest{};
  static_assert(sizeof digest == SHA256_DIGEST_LENGTH);
  SHA256_CTX context;
  if (SHA256_Init(&context) != 1 || SHA256_Update(&context, bytes.data(), bytes.size()) != 1 ||
      SHA256_Final(digest.data(), &context) != 1) {
    std::abort();
  }
  return digest;
}

}  // namespace lanward::store
