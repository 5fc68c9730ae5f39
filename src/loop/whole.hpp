// whole.hpp: an operation that goes on until all of its buffer has been moved (op::whole).
//
// A backend is given what is left. Of several buffers, one that has been moved in part is an
// operation of its own, with OperationType::other; where it stands among them is in the
// operation's flags and offset meanwhile.
#pragma once

#include "wev/loop/operation.hpp"

namespace wev {

/// Referred to by the kinds that move bytes, so that others do not hold it.
struct WholeTransfer {
  /// Moves an operation behind `count` bytes. Whether something is left.
  bool (*advance)(Operation& operation, std::size_t count) noexcept;
  /// As it was before `moved` bytes.
  void (*restore)(Operation& operation, std::size_t moved) noexcept;
  /// All bytes of one that was not moved.
  std::size_t (*size_of)(const Operation& operation) noexcept;
  /// Has it go on in the next tick.
  void (*pause)(Loop& loop, Completion& completion) noexcept;
};

extern const WholeTransfer whole_transfer;

}  // namespace wev
