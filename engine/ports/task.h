// A callable that is moved, never copied. (std::move_only_function is C++23.)
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace lanward::ports {

template <class Signature>
class MoveFunction;

template <class R, class... Args>
class MoveFunction<R(Args...)> {
 public:
  MoveFunction() = default;
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, MoveFunction> &&
           std::is_invocable_r_v<R, std::remove_cvref_t<F>&, Args...>)
      MoveFunction(F&& f)  // NOLINT(google-explicit-constructor): a lambda is passed as it stands
      : body_(std::make_unique<Holder<std::remove_cvref_t<F>>>(std::forward<F>(f))) {}

  [[nodiscard]] explicit operator bool() const { return body_ != nullptr; }
  // REQUIRES: not empty.
  R operator()(Args... args) { return body_->call(std::forward<Args>(args)...); }

 private:
  struct Body {
    virtual ~Body() = default;
    virtual R call(Args... args) = 0;
  };
  template <class F>
  struct Holder final : Body {
    template <class G>
    explicit Holder(G&& g) : f(std::forward<G>(g)) {}
    R call(Args... args) override { return f(std::forward<Args>(args)...); }
    F f;
  };
  std::unique_ptr<Body> body_;
};

using Task = MoveFunction<void()>;

}  // namespace lanward::ports
