// The COM-shaped interface of Delivery Optimization, over lanward::Engine: published names,
// identifiers, method order, structures and codes. What each method does and which are not
// supported (E_NOTIMPL) is in docs/api.md.
//
// Any thread may call any object. Objects keep what they came from alive: the engine ends with the
// last interface pointer. Strings are UTF-16; one that is not well-formed is E_INVALIDARG.
// A NULL where a result belongs is E_POINTER, unless documentation publishes E_INVALIDARG.
#pragma once

#include <lanward/deliveryoptimization_com.h>
#include <lanward/deliveryoptimization_interfaces.h>
#include <lanward/deliveryoptimization_types.h>
#include <lanward/deliveryoptimizationerrors.h>

// ---- Activation: in the place of CoCreateInstance(CLSID_DeliveryOptimization) ------------------

struct LANWARD_MANAGER_OPTIONS {
  DWORD Size;              // sizeof(LANWARD_MANAGER_OPTIONS)
  LPCWSTR StateDirectory;  // absolute; of the job queue. NULL: jobs end with the manager
  LPCWSTR CacheDirectory;  // absolute; NULL: "cache" in the state directory
  LPCWSTR Listen;          // ADDRESS:PORT for peers; NULL: any address, any port
  BOOL DisablePeers;       // TRUE: no socket is opened for peers
  BOOL DisableDiscovery;   // TRUE: peers are not searched by multicast
};

// Opens an engine and stores its manager. It owns the directories until the last interface pointer
// that comes from it is released; then running jobs stop, to go on with the next manager. A
// callback under way has such a pointer too: clear it with SetNotifyInterface(nullptr) before the
// last one. E_INVALIDARG for a relative path or a wrong Size, E_POINTER, and the codes of
// Engine::open().
extern "C" HRESULT LanwardCreateManager(const LANWARD_MANAGER_OPTIONS* options,
                                        IBackgroundCopyManager** manager);
