// this_task.hpp: what a task can ask about itself.
//
//   wev::Loop& loop = co_await wev::this_loop();
//   if (co_await wev::is_canceled()) co_return;   // in a long computation
#pragma once

#include <coroutine>

#include "wev/task/strand.hpp"

namespace wev {

namespace internal {

/// Looks at the strand and goes on.
template <auto ask>
class AskStrand {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
    strand_ = task.promise().strand;
    return false;
  }
  decltype(auto) await_resume() const noexcept { return (strand_->*ask)(); }

 private:
  Strand* strand_ = nullptr;
};

}  // namespace internal

/// The loop that runs the task.
[[nodiscard]] inline auto this_loop() noexcept { return internal::AskStrand<&Strand::loop>(); }
/// Whether what it waits for next will be cancelled.
[[nodiscard]] inline auto is_canceled() noexcept {
  return internal::AskStrand<&Strand::canceled>();
}

}  // namespace wev
