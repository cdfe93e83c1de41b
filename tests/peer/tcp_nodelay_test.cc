#include "peer/tcp_nodelay.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace lanward::peer {
namespace {

int no_delay(int fd) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size) == 0 ? value : -1;
}

TEST(TcpNoDelay, IsSetOnEveryTcpSocket) {
  link_tcp_nodelay();
  for (const int type : {int{SOCK_STREAM}, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK}) {
    const int fd = ::socket(AF_INET, type, 0);
    ASSERT_GE(fd, 0);
    EXPECT_EQ(no_delay(fd), 1);
    close(fd);
  }
}

TEST(TcpNoDelay, LeavesOtherSocketsAndErrorsAlone) {
  for (const auto& [domain, type] :
       {std::pair{AF_INET, int{SOCK_DGRAM}}, std::pair{AF_UNIX, int{SOCK_STREAM}}}) {
    errno = 0;
    const int fd = ::socket(domain, type, 0);
    ASSERT_GE(fd, 0);
    EXPECT_EQ(errno, 0);
    EXPECT_EQ(no_delay(fd), -1);
    close(fd);
  }
  EXPECT_EQ(::socket(-1, SOCK_STREAM, 0), -1);
  EXPECT_EQ(errno, EAFNOSUPPORT);
}

}  // namespace
}  // namespace lanward::peer
