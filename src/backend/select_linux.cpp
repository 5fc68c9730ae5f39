// The backends of Linux, and which of them is the best.
#include <cstdlib>
#include <cstring>

#include "backend/epoll.hpp"
#include "backend/io_uring.hpp"

namespace wev {
namespace {

using Made = std::expected<std::unique_ptr<Backend>, Error>;

template <class T>
Made make(const BackendOptions& options) {
  std::unique_ptr<T> backend(new (std::nothrow) T(options));
  if (backend == nullptr) return std::unexpected(std::errc::not_enough_memory);
  if (const auto works = backend->works(); !works) return std::unexpected(works.error());
  return backend;
}

// What the environment asks for.
std::expected<BackendKind, Error> preferred_kind() {
  const char* name = std::getenv("WEV_BACKEND");
  if (name == nullptr || *name == '\0') return BackendKind::best;
  if (std::strcmp(name, "epoll") == 0) return BackendKind::epoll;
  if (std::strcmp(name, "io_uring") == 0) return BackendKind::io_uring;
  return std::unexpected(std::errc::invalid_argument);
}

}  // namespace

Made make_backend(const BackendOptions& options) {
  std::expected<BackendKind, Error> kind = options.kind;
  if (kind == BackendKind::best) kind = preferred_kind();
  if (!kind) return std::unexpected(kind.error());
  switch (*kind) {
    case BackendKind::best: {
      auto ring = make<IoUring>(options);
      return ring ? std::move(ring) : make<Epoll>(options);
    }
    case BackendKind::epoll: return make<Epoll>(options);
    case BackendKind::io_uring: return make<IoUring>(options);
    default: return std::unexpected(std::errc::operation_not_supported);
  }
}

}  // namespace wev
