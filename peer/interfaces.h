// The network interfaces of this machine, as the kernel tells.
#pragma once

#include <string>
#include <vector>

#include "engine/core/interface_rules.h"

namespace lanward::peer {

// In order of index; empty where the kernel does not answer.
[[nodiscard]] std::vector<core::InterfaceFacts> read_interfaces();

// A socket that becomes readable whenever interfaces or their addresses change; -1: there is none.
[[nodiscard]] int open_interface_events();
// Reads what has come; it says only that something has changed.
void drain_interface_events(int socket);

}  // namespace lanward::peer
