// A visitor made of lambdas.
#pragma once

namespace lanward::core {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace lanward::core
