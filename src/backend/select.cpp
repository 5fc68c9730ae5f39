// The only choice of a platform outside of sys/: the backend of Loop().
#if defined(__wasm__)
#include "backend/wasi_poll.hpp"
#endif
#include "wev/loop.hpp"

namespace wev {
namespace {

std::unique_ptr<Backend> platform_backend() {
#if defined(__wasm__)
  auto* backend = new (std::nothrow) WasiPoll;
  WEV_ASSERT(backend != nullptr, "Loop(): no memory for its backend");
  return std::unique_ptr<Backend>(backend);
#else
  WEV_ASSERT(false, "Loop(): no backend of this platform yet, pass one, for example wev::Sim");
  return nullptr;
#endif
}

}  // namespace

Loop::Loop() : Loop(platform_backend()) {}

}  // namespace wev
