// Loop() on its own, apart from loop.cpp: a program that brings its backend
// holds no other.
#include "backend/list.hpp"
#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"

namespace wev {
namespace {

std::unique_ptr<Backend> best_backend() {
  auto backend = make_backend();
  if (!backend) assertion_failed(why_no_backend(backend.error()), __FILE_NAME__, __LINE__);
  return std::move(*backend);
}

}  // namespace

Loop::Loop() : Loop(best_backend()) {}

Expected<std::unique_ptr<Loop>> Loop::make() { return make(BackendOptions{}); }

Expected<std::unique_ptr<Loop>> Loop::make(const BackendOptions& options) {
  auto backend = make_backend(options);
  if (!backend) return std::unexpected(backend.error());
  std::unique_ptr<Loop> loop(new (std::nothrow) Loop(std::move(*backend)));
  if (loop == nullptr) return std::unexpected(std::errc::not_enough_memory);
  return loop;
}

}  // namespace wev
