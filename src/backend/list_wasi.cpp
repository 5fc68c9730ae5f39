// WASI 0.1 has one backend, and a program for it no environment that it need not ask for.
#include <new>

#include "backend/list.hpp"
#include "backend/wasi_poll.hpp"

namespace wev {

std::expected<std::unique_ptr<Backend>, Error> make_backend(const BackendOptions& options) {
  if (options.kind != BackendKind::best && options.kind != BackendKind::wasi_poll) {
    return std::unexpected(std::errc::operation_not_supported);
  }
  auto* backend = new (std::nothrow) WasiPoll(options.wasi);
  if (backend == nullptr) return std::unexpected(std::errc::not_enough_memory);
  return std::unique_ptr<Backend>(backend);
}

const char* why_no_backend(Error) noexcept { return "Loop(): no memory for a backend"; }

}  // namespace wev
