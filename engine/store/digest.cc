#include "engine/store/digest.h"

#include <cstdlib>
#include <utility>

#include <openssl/evp.h>

namespace lanward::store {
namespace {

struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextFree>;

const char* openssl_name(core::DigestAlgorithm algorithm) {
  switch (algorithm) {
    case core::DigestAlgorithm::md5:
      return "MD5";
    case core::DigestAlgorithm::sha1:
      return "SHA1";
    case core::DigestAlgorithm::sha256:
      return "SHA256";
    case core::DigestAlgorithm::sha512:
      return "SHA512";
  }
  return "";
}

class OpensslHasher final : public core::Hasher {
 public:
  explicit OpensslHasher(Context context) : context_(std::move(context)) {}

  void update(std::span<const std::byte> bytes) override {
    // It fails only if the context has been finished.
    if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) std::abort();
  }
  [[nodiscard]] std::vector<std::uint8_t> finish() override {
    std::vector<std::uint8_t> digest(EVP_MAX_MD_SIZE);
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context_.get(), digest.data(), &size) != 1) std::abort();
    digest.resize(size);
    return digest;
  }

 private:
  Context context_;
};

}  // namespace

std::unique_ptr<core::Hasher> make_hasher(core::DigestAlgorithm algorithm) {
  EVP_MD* const method = EVP_MD_fetch(nullptr, openssl_name(algorithm), nullptr);
  Context context(EVP_MD_CTX_new());
  const bool ready = method != nullptr && context != nullptr &&
                     EVP_DigestInit_ex2(context.get(), method, nullptr) == 1;
  EVP_MD_free(method);  // the context holds on to it
  if (!ready) return nullptr;
  return std::make_unique<OpensslHasher>(std::move(context));
}

}  // namespace lanward::store
