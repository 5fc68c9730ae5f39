// Loop() on its own, apart from loop.cpp: a program that brings its backend
// holds no other.
#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"

namespace wev {
namespace {

std::unique_ptr<Backend> best_backend() {
  auto backend = make_backend();
  WEV_ASSERT(backend.has_value(), "Loop(): no backend works here, make_backend() tells why");
  return std::move(*backend);
}

}  // namespace

Loop::Loop() : Loop(best_backend()) {}

}  // namespace wev
