// The system's certificates, read only when somebody needs them.
#pragma once

struct ssl_ctx_st;

namespace lanward::peer {

// A libtorrent session reads the certificates of the system when it is made: some 25 ms of
// processor time, half of what a process needs to start, and only a tracker by HTTPS needs them.
// libtorrent has no setting for that, so the program brings its own
// SSL_CTX_set_default_verify_paths(), which does nothing while a thread has put it off. As with
// socket() in tcp_nodelay.h, a program that loads this library with dlopen does without.
class PutOffTlsRoots {
 public:
  // From now to the destructor, for calls of this thread. REQUIRES: no other one lives here.
  PutOffTlsRoots();
  ~PutOffTlsRoots();
  PutOffTlsRoots(const PutOffTlsRoots&) = delete;
  PutOffTlsRoots& operator=(const PutOffTlsRoots&) = delete;

  // The context whose certificates are missing; null if there is none.
  [[nodiscard]] ssl_ctx_st* context() const { return context_; }
  // For the hook.
  void put_off(ssl_ctx_st* context) { context_ = context; }

 private:
  ssl_ctx_st* context_ = nullptr;
};

// Whom the hook of this program asks, on the calling thread: whoever puts it off; null if nobody.
// A module that has a copy of this file asks with the hook of the program that has loaded it.
using PutOffPlace = PutOffTlsRoots*& (*)();
[[nodiscard]] PutOffPlace put_off_place();
void use_put_off_place(PutOffPlace place);

// Reads them now. Null: does nothing.
void load_tls_roots(ssl_ctx_st* context);

}  // namespace lanward::peer
