// readiness.hpp: completions on systems that only tell readiness.
//
// What poll_oneoff, epoll and their like have in common: an operation is
// carried out by the system call itself, once it would not block.
#pragma once

#include <algorithm>
#include <optional>

#include "wev/operation.hpp"

namespace wev {

/// The buffers of a vectored operation.
inline std::span<const IoVec> vectors_of(const Operation& operation) noexcept {
  return {reinterpret_cast<const IoVec*>(operation.io.data), operation.io.size};
}

/// A transfer of no bytes has nothing to wait for: it ends with 0. Some systems
/// block or fail.
inline bool transfers_nothing(const Operation& operation) noexcept {
  if (!operation.has(moves_bytes)) return false;
  if (!operation.has(vectored)) return operation.io.size == 0;
  return std::ranges::all_of(vectors_of(operation), [](const IoVec& v) { return v.size == 0; });
}

/// How many bytes an operation would move at most.
inline std::size_t size_of(const Operation& operation) noexcept {
  if (!operation.has(vectored)) return operation.io.size;
  std::size_t size = 0;
  for (const IoVec& vector : vectors_of(operation)) size += vector.size;
  return size;
}

inline bool would_block(const Operation& operation, const Result& result) noexcept {
  if (result) return false;
  // Of a connect, "try again" is an answer (a Unix socket's backlog is full).
  return result.error() == (operation.kind() == OperationKind::connect
                                ? std::errc::operation_in_progress
                                : std::errc::resource_unavailable_try_again);
}

/// The result of carrying an operation out now, or nullopt if it would block.
/// Interrupted is as good as would block: the descriptor is ready, and the next
/// look finds that.
inline std::optional<Result> attempt(const Operation& operation) noexcept {
  Result result = operation.type->perform(operation);
  if (would_block(operation, result)) return std::nullopt;
  if (!result && result.error() == std::errc::interrupted) return std::nullopt;
  return result;
}

/// What a poll ends with when its direction is ready.
inline std::size_t readiness_of(const Operation& operation) noexcept {
  return operation.type->direction == Direction::in ? readable : writable;
}

}  // namespace wev
