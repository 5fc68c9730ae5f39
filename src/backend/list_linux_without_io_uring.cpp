#include "backend/epoll.hpp"
#include "backend/list.hpp"
#include "backend/poll.hpp"

namespace wev {

std::span<const ListedBackend> listed_backends() noexcept {
  static constexpr ListedBackend all[] = {
      {BackendKind::epoll, Epoll::listed_as, make_native<Epoll>},
      {BackendKind::poll, Poll::listed_as, make_native<Poll>},
  };
  return all;
}

}  // namespace wev
