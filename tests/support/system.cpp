// What every system does.
#include "support/system.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace wev::test {

namespace {

void prepare(int fd, Blocks blocks) {
  EXPECT_EQ(::fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
  if (blocks == Blocks::no) {
    EXPECT_EQ(::fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  }
}

template <class Open>
std::array<int, 2> open_two(Open open, Blocks blocks) {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(open(ends.data()), 0);
  for (const int fd : ends) prepare(fd, blocks);
  return ends;
}

}  // namespace

std::array<int, 2> open_pipe(Blocks blocks) { return open_two(::pipe, blocks); }

std::array<int, 2> open_socket_pair(Blocks blocks) {
  return open_two([](int* ends) { return ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends); }, blocks);
}

std::array<int, 2> open_terminal() {
  return open_two(
      [](int* ends) {
        ends[0] = ::posix_openpt(O_RDWR | O_NOCTTY);
        if (ends[0] < 0 || ::grantpt(ends[0]) != 0 || ::unlockpt(ends[0]) != 0) return -1;
        ends[1] = ::open(::ptsname(ends[0]), O_RDWR | O_NOCTTY);
        return ends[1] < 0 ? -1 : 0;
      },
      Blocks::yes);
}

std::set<std::string> threads_since(const std::set<std::string>& before) {
  std::set<std::string> now = threads();
  std::erase_if(now, [&](const std::string& id) { return before.contains(id); });
  return now;
}

}  // namespace wev::test
