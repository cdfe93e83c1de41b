#include "peer/tls_roots.h"

#include <dlfcn.h>

namespace lanward::peer {
namespace {

PutOffTlsRoots*& own_place() {
  thread_local PutOffTlsRoots* putting_off = nullptr;
  return putting_off;
}

PutOffPlace place = &own_place;

// OpenSSL's own.
using SetPathsFn = int (*)(ssl_ctx_st*);
SetPathsFn next_set_paths() {
  static const auto next =
      reinterpret_cast<SetPathsFn>(dlsym(RTLD_NEXT, "SSL_CTX_set_default_verify_paths"));
  return next;
}

int set_paths(ssl_ctx_st* context) {
  const auto next = next_set_paths();
  return next != nullptr ? next(context) : 0;  // 0: no certificates, nobody is trusted
}

}  // namespace

PutOffTlsRoots::PutOffTlsRoots() { place() = this; }

PutOffTlsRoots::~PutOffTlsRoots() { place() = nullptr; }

PutOffPlace put_off_place() { return place; }

void use_put_off_place(PutOffPlace of_program) { place = of_program; }

void load_tls_roots(ssl_ctx_st* context) {
  if (context != nullptr) (void)set_paths(context);
}

}  // namespace lanward::peer

extern "C" __attribute__((visibility("default"))) int SSL_CTX_set_default_verify_paths(
    ssl_ctx_st* context) {
  lanward::peer::PutOffTlsRoots* const putting_off = lanward::peer::put_off_place()();
  if (putting_off == nullptr || putting_off->context() != nullptr) {
    return lanward::peer::set_paths(context);
  }
  putting_off->put_off(context);
  return 1;
}
