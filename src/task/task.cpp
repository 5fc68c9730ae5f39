#include "wev/task/task.hpp"

#include <utility>

namespace wev::internal {

namespace {

struct Dropping {
  bool active = false;
  PromiseBase* first = nullptr;
};
constinit thread_local Dropping dropping;

}  // namespace

void drop_unbegun(PromiseBase& task) noexcept {
  task.continuation = std::exchange(dropping.first, &task);
  if (std::exchange(dropping.active, true)) return;
  while (PromiseBase* next = dropping.first) {
    dropping.first = next->continuation;
    next->self.destroy();
  }
  dropping.active = false;
}

}  // namespace wev::internal
