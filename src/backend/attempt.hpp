// attempt.hpp: trying an operation, and what its result tells.
#pragma once

#include <algorithm>
#include <optional>

#include "wev/base/address.hpp"
#include "wev/loop/operation.hpp"

namespace wev {

/// The buffers of a vectored operation that it uses.
inline std::span<const IoVec> vectors_of(const Operation& operation) noexcept {
  return {reinterpret_cast<const IoVec*>(operation.io.data),
          std::min(operation.io.size, most_buffers)};
}

/// A transfer of no bytes, and accepting no connections, has nothing to wait for: it ends
/// with 0. Some systems block or fail. But a datagram of no bytes is one, sent and received.
inline bool transfers_nothing(const Operation& operation, System* system = nullptr) noexcept {
  if (operation.kind() == OperationKind::accept_many) return operation.io.size == 0;
  if (!operation.has(moves_bytes)) return false;
  if (operation.has(vectored)) {
    return std::ranges::all_of(vectors_of(operation), [](const IoVec& v) { return v.size == 0; });
  }
  if (operation.io.size != 0) return false;
  if (!operation.has(on_socket)) return true;
  // Rare enough to be asked each time.
  const auto traits = operation.type->examine(operation.io.fd, false, system);
  return !traits || !traits->datagrams;
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
  // Where it is another socket that is full (a Unix socket's backlog or queue),
  // readiness of this one tells nothing, and "try again" is the answer.
  if (operation.kind() == OperationKind::connect) {
    return result.error() == std::errc::operation_in_progress ||
           result.error() == std::errc::connection_already_in_progress;
  }
  const bool other = operation.kind() == OperationKind::send_to &&
                     operation.io.message->address.family() == Address::Family::unix_path;
  return !other && result.error() == std::errc::resource_unavailable_try_again;
}

/// The result of carrying an operation out now, or nullopt if it would block.
inline std::optional<Result> attempt(const Operation& operation) noexcept {
  const Result result = operation.perform();
  if (would_block(operation, result)) return std::nullopt;
  return result;
}

/// What a poll ends with when its direction is ready.
inline std::size_t readiness_of(const Operation& operation) noexcept {
  return operation.type->direction == Direction::in ? readable : writable;
}

}  // namespace wev
