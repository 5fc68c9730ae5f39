// begin.hpp: how the loop starts an operation, by its kind.
//
// Kinds refer to these, so a program without descriptors does not hold what is for them.
#pragma once

#include "wev/loop/loop.hpp"

namespace wev {

struct Begin {
  static void noop(Loop& loop, Completion& completion) noexcept { loop.end(completion, 0); }
  /// It stands in the heap.
  static void timer(Loop&, Completion&) noexcept {}
  static void async_wait(Loop& loop, Completion& completion) noexcept {
    loop.start_async_wait(completion);
  }
  static void loose(Loop& loop, Completion& completion) noexcept { loop.start_loose(completion); }
  static void pause(Loop& loop, Completion& completion) noexcept { loop.pause(completion); }
  static void come(Loop& loop, Completion& completion) noexcept {
    loop.come_on_descriptor(completion);
  }
  static bool carry_out_close(Completion& close) noexcept { return Loop::carry_out_close(close); }
  static void on_descriptor(Loop& loop, Completion& completion) noexcept {
    loop.start_on_descriptor(completion);
  }
  static void at_offset(Loop& loop, Completion& completion) noexcept {
    if (has_offset(completion.operation())) return on_descriptor(loop, completion);
    loop.end(completion, std::unexpected(std::errc::invalid_argument));
  }
  /// Systems disagree about those that are negative to them: some take one for no offset at all.
  static bool has_offset(const Operation& operation) noexcept {
    return operation.io.offset <= most_offset;
  }
};

}  // namespace wev
