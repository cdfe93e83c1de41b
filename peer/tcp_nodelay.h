// TCP_NODELAY for every TCP socket of the process.
#pragma once

namespace lanward::peer {

// libtorrent 2.0.8 has no setting for TCP_NODELAY, and with Nagle's algorithm a small message waits
// some 40 ms for a delayed acknowledgement: a lone piece takes 130 ms instead of 10 ms. So the
// program brings its own socket(), which sets the option; sockets accepted later inherit it from
// the one that listens. The dynamic linker gives a function of the program precedence over libc's,
// in shared libraries, too. A program that does not link this library's archive into itself (one
// that loads it with dlopen) simply runs without the option.
//
// Does nothing; calling it makes the linker take the hook out of the archive.
void link_tcp_nodelay();

}  // namespace lanward::peer
