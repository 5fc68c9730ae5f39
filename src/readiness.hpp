// readiness.hpp: completions on systems that only tell readiness.
//
// What poll_oneoff, epoll and their like have in common: an operation is
// carried out by the system call itself, once it would not block.
#pragma once

#include <optional>

#include "wev/operation.hpp"

namespace wev {

/// The result of carrying an operation out now, or nullopt if it would block.
/// Interrupted is as good as would block: the descriptor is ready, and the next
/// look finds that. REQUIRES: the operation is no poll.
inline std::optional<Result> attempt(const Operation& operation) noexcept {
  Result result = operation.type->perform(operation);
  if (!result && (result.error() == std::errc::resource_unavailable_try_again ||
                  result.error() == std::errc::interrupted)) {
    return std::nullopt;
  }
  return result;
}

/// What a poll ends with when its direction is ready.
inline std::size_t readiness_of(const Operation& operation) noexcept {
  return operation.type->direction == Direction::in ? readable : writable;
}

}  // namespace wev
