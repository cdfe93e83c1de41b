// The queue that the parts of the scheduler write their commands to.
#pragma once

#include <deque>

#include "engine/core/events.h"

namespace lanward::core {

using Commands = std::deque<Command>;

}  // namespace lanward::core
