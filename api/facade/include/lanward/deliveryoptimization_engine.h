// The COM-shaped interface over an engine that the program has opened itself.
#pragma once

#include <memory>

#include <lanward/deliveryoptimization.h>
#include <lanward/engine.h>

// Stores a manager of the engine, which must not be closed before the last interface pointer that
// comes from the manager is released. The engine ends with the last of them and of the program's
// own pointers. A job has one callback: SetNotifyInterface() replaces one set with
// lanward::Job::set_callback(). E_POINTER for NULL.
HRESULT LanwardCreateManagerOf(std::shared_ptr<lanward::Engine> engine,
                               IBackgroundCopyManager** manager);
