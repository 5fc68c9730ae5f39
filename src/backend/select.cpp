// The only choice of a platform outside of sys/.
#include "wev/backends.hpp"
#include "wev/loop.hpp"

#if defined(__wasm__)
#include "backend/wasi_poll.hpp"
#endif

namespace wev {

std::expected<std::unique_ptr<Backend>, Error> make_backend(
    [[maybe_unused]] const BackendOptions& options) {
#if defined(__wasm__)
  if (options.kind == BackendKind::best || options.kind == BackendKind::wasi_poll) {
    auto* backend = new (std::nothrow) WasiPoll(options.wasi);
    if (backend == nullptr) return std::unexpected(std::errc::not_enough_memory);
    return std::unique_ptr<Backend>(backend);
  }
#endif
  return std::unexpected(std::errc::operation_not_supported);
}

namespace {

std::unique_ptr<Backend> best_backend() {
  auto backend = make_backend();
  WEV_ASSERT(backend.has_value(), "Loop(): no backend works here, make_backend() tells why");
  return std::move(*backend);
}

}  // namespace

Loop::Loop() : Loop(best_backend()) {}

}  // namespace wev
