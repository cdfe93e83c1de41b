// Reference counts: an object that has them, and a pointer that keeps one.
#pragma once

#include <atomic>
#include <utility>

#include <lanward/deliveryoptimization.h>

namespace lanward::facade {

// IUnknown for Self, which derives from it and has
//   void* find(REFIID iid): the interface, uncounted, or nullptr.
// Born with one reference, which belongs to the maker.
template <class Self, class... Interfaces>
class ComObject : public Interfaces... {
 public:
  ComObject() = default;
  ComObject(const ComObject&) = delete;
  ComObject& operator=(const ComObject&) = delete;

  HRESULT QueryInterface(REFIID riid, void** object) final {
    if (object == nullptr) return E_POINTER;
    *object = static_cast<Self*>(this)->find(riid);
    if (*object == nullptr) return E_NOINTERFACE;
    AddRef();
    return S_OK;
  }
  ULONG AddRef() final { return references_.fetch_add(1, std::memory_order_relaxed) + 1; }
  ULONG Release() final {
    // The thread that destroys must see what the others did before they let go.
    const ULONG left = references_.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if (left == 0) delete static_cast<Self*>(this);
    return left;
  }

 protected:
  ~ComObject() = default;

 private:
  std::atomic<ULONG> references_{1};
};

template <class Interface>
class ComPtr {
 public:
  ComPtr() = default;
  // Takes a reference of its own.
  explicit ComPtr(Interface* object) : object_(object) {
    if (object_ != nullptr) object_->AddRef();
  }
  ComPtr(const ComPtr& other) : ComPtr(other.object_) {}
  ComPtr(ComPtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  ComPtr& operator=(ComPtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~ComPtr() {
    if (object_ != nullptr) object_->Release();
  }

  // Takes over the reference that the caller holds.
  [[nodiscard]] static ComPtr adopt(Interface* object) {
    ComPtr pointer;
    pointer.object_ = object;
    return pointer;
  }
  [[nodiscard]] Interface* get() const { return object_; }
  Interface* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Gives the reference away.
  [[nodiscard]] Interface* detach() { return std::exchange(object_, nullptr); }

 private:
  Interface* object_ = nullptr;
};

}  // namespace lanward::facade
