// The only choice of a platform outside of sys/.
#include "wev/backends.hpp"
#include "wev/loop.hpp"

#if defined(__wasm__)
#include "backend/wasi_poll.hpp"
#else
#include "backend/epoll.hpp"
#endif

namespace wev {
namespace {

using Made = std::expected<std::unique_ptr<Backend>, Error>;

template <class T, class Options>
std::expected<std::unique_ptr<T>, Error> make(const Options& options) {
  auto* backend = new (std::nothrow) T(options);
  if (backend == nullptr) return std::unexpected(std::errc::not_enough_memory);
  return std::unique_ptr<T>(backend);
}

#if !defined(__wasm__)
template <class T>
Made make_working(const BackendOptions& options) {
  auto made = make<T>(options);
  if (!made) return std::unexpected(made.error());
  if (const auto works = (*made)->works(); !works) return std::unexpected(works.error());
  return std::move(*made);
}
#endif

std::unique_ptr<Backend> best_backend() {
  auto backend = make_backend();
  WEV_ASSERT(backend.has_value(), "Loop(): no backend works here, make_backend() tells why");
  return std::move(*backend);
}

}  // namespace

Made make_backend(const BackendOptions& options) {
  switch (options.kind) {
#if defined(__wasm__)
    case BackendKind::best:
    case BackendKind::wasi_poll: return make<WasiPoll>(options.wasi);
#else
    case BackendKind::best:
    case BackendKind::epoll: return make_working<Epoll>(options);
#endif
    default: return std::unexpected(std::errc::operation_not_supported);
  }
}

Loop::Loop() : Loop(best_backend()) {}

}  // namespace wev
