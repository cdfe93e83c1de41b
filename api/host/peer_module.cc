// peer/ and libtorrent as a module of the command; see peer_loader.cc.
#include "api/host/peer_module.h"

namespace {

using namespace lanward;  // the module's own main file

Result<host::RunningSwarm> start(const peer::SwarmOptions& options, peer::PutOffPlace put_off) {
  peer::use_put_off_place(put_off);
  return host::start_peers(options);
}

}  // namespace

extern "C" __attribute__((visibility("default")))
const lanward::host::PeerModule lanward_peer_module{LANWARD_VERSION, &start};
