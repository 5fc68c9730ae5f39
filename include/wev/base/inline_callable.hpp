// inline_callable.hpp: a callback that is kept in place, without allocation.
//
// Any callable of at most `capacity` bytes that can be copied byte for byte:
// capture a pointer, not a string.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace wev {

class InlineCallable {
 public:
  static constexpr std::size_t capacity = 4 * sizeof(void*);

  template <class F>
  void set(F callable) noexcept {
    static_assert(sizeof(F) <= capacity && alignof(F) <= alignof(void*),
                  "the callback is too large: let it capture a pointer");
    static_assert(std::is_trivially_copyable_v<F>,
                  "the callback must be trivially copyable: let it capture a pointer");
    new (static_cast<void*>(memory_)) F(std::move(callable));
  }
  /// A copy, since the callback may set another. REQUIRES: the last one set is an F.
  template <class F>
  [[nodiscard]] F get() const noexcept {
    return *std::launder(reinterpret_cast<const F*>(memory_));
  }

 private:
  alignas(void*) std::byte memory_[capacity];
};

/// The same, called as a function; or nothing.
template <class... Args>
class InlineFunction {
 public:
  template <class F>
  void set(F callable) noexcept {
    static_assert(std::is_invocable_v<const F&, Args...>,
                  "each call is of a copy, so the callback cannot be mutable: let it capture a "
                  "pointer to what changes");
    callable_.set(std::move(callable));
    call_ = [](const InlineCallable& memory, Args... args) {
      const F copy = memory.get<F>();
      copy(std::move(args)...);
    };
  }
  explicit operator bool() const noexcept { return call_ != nullptr; }
  /// REQUIRES: it was set.
  void operator()(Args... args) const { call_(callable_, std::move(args)...); }

 private:
  void (*call_)(const InlineCallable& memory, Args... args) = nullptr;
  InlineCallable callable_;
};

}  // namespace wev
