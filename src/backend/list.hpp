// list.hpp: the list of a platform's backends, the best first.
//
// A new backend adds its files, a BackendKind and a row here; nothing else knows of it.
#pragma once

#include <new>
#include <span>

#include "wev/backend/backends.hpp"

namespace wev {

using MadeBackend = std::expected<std::unique_ptr<Backend>, Error>;

struct ListedBackend {
  BackendKind kind;
  const char* name;  // as WEV_BACKEND says it
  MadeBackend (*make)(const BackendOptions& options);
};

/// The platform's.
std::span<const ListedBackend> listed_backends() noexcept;

/// Why Loop() has none, for its assertion: with what the environment asks for. Not for two
/// threads at once.
const char* why_no_backend(Error error) noexcept;

/// `make` of a native backend.
template <class T>
MadeBackend make_native(const BackendOptions& options) {
  std::unique_ptr<T> backend(new (std::nothrow) T(options));
  if (backend == nullptr) return std::unexpected(std::errc::not_enough_memory);
  if (const auto works = backend->works(); !works) return std::unexpected(works.error());
  return backend;
}

}  // namespace wev
