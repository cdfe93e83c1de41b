#include "peer/tcp_nodelay.h"

#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace lanward::peer {

void link_tcp_nodelay() {}

namespace {

// The next socket() in the search order: libc's, or a sanitizer's.
using SocketFn = int (*)(int, int, int);
SocketFn next_socket() {
  static const auto next = reinterpret_cast<SocketFn>(dlsym(RTLD_NEXT, "socket"));
  return next;
}

}  // namespace
}  // namespace lanward::peer

extern "C" __attribute__((visibility("default"))) int socket(int domain, int type,
                                                             int protocol) noexcept {
  const auto next = lanward::peer::next_socket();
  const int fd = next != nullptr ? next(domain, type, protocol)
                                 : static_cast<int>(syscall(SYS_socket, domain, type, protocol));
  const bool stream = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
  if (fd >= 0 && stream && (domain == AF_INET || domain == AF_INET6)) {
    const int saved = errno;
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // not TCP: nothing to set
    errno = saved;
  }
  return fd;
}
