// The command loads what it needs for peers when there is something to share. To find the symbols
// of libtorrent takes a fifth of its start, and most downloads of small files end without a peer.
#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <string>

#include "api/host/peer_module.h"
#include "peer/tcp_nodelay.h"

namespace lanward::host {
namespace {

std::string directory_of_command() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return ".";
  const std::string command(path.data(), static_cast<std::size_t>(length));
  return command.substr(0, command.rfind('/'));
}

Result<const PeerModule*> load() {
  const std::string directory = directory_of_command();
  // Where it is installed with the command, where it is built, and where it is installed of a
  // command that was copied elsewhere.
  const std::array<std::string, 3> places{directory + "/" LANWARD_PEER_MODULE_FROM_COMMAND,
                                          directory + "/" LANWARD_PEER_MODULE_NAME,
                                          LANWARD_PEER_MODULE_INSTALLED};
  void* handle = nullptr;
  std::string loaded;
  std::string why;
  for (const std::string& place : places) {
    // RTLD_LAZY: most of libtorrent's functions are never called. Never closed: threads run in it.
    if (handle == nullptr && ::access(place.c_str(), F_OK) == 0) {
      handle = ::dlopen(place.c_str(), RTLD_LAZY | RTLD_LOCAL);
      if (handle == nullptr) why = ::dlerror();
      loaded = place;
    }
  }
  if (handle == nullptr && why.empty()) {
    return fail(ErrorCode::not_found,
                "the module for peers, " LANWARD_PEER_MODULE_NAME ", is missing: it is neither " +
                    places[0] + " nor " + places[1] + " nor " + places[2] +
                    "; install lanward with all its files, or use --no-peers");
  }
  if (handle == nullptr) {
    return fail(ErrorCode::internal, "cannot load the module for peers: " + why +
                                         "; install lanward with all its files, or use --no-peers");
  }
  const auto* const module = static_cast<const PeerModule*>(::dlsym(handle, kPeerModuleSymbol));
  if (module == nullptr || std::string(module->version) != LANWARD_VERSION) {
    return fail(ErrorCode::internal, loaded + " is of another version; install lanward anew");
  }
  return module;
}

}  // namespace

Result<RunningSwarm> start_peers(const peer::SwarmOptions& options) {
  // libtorrent finds this program's socket() before libc's.
  peer::link_tcp_nodelay();
  static const Result<const PeerModule*> module = load();
  if (!module) return tl::unexpected(module.error());
  return (*module)->start(options, peer::put_off_place());
}

}  // namespace lanward::host
