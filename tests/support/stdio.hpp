// stdio.hpp: another stdin, stdout and stderr for a while.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace wev::test {

/// None of the three while this is alive; what is printed meanwhile is lost.
class ClosedStdio {
 public:
  ClosedStdio() {
    for (int i = 0; i < 3; ++i) {
      saved_[static_cast<std::size_t>(i)] = ::fcntl(i, F_DUPFD_CLOEXEC, 10);
      ::close(i);
    }
  }
  ~ClosedStdio() {
    for (int i = 0; i < 3; ++i) {
      const int fd = saved_[static_cast<std::size_t>(i)];
      ::dup2(fd, i);
      ::close(fd);
    }
  }
  ClosedStdio(const ClosedStdio&) = delete;
  ClosedStdio& operator=(const ClosedStdio&) = delete;

 private:
  std::array<int, 3> saved_{};
};

/// These are stdin and stdout while this is alive.
class Stdio {
 public:
  Stdio(int in, int out)
      : saved_{::fcntl(0, F_DUPFD_CLOEXEC, 10), ::fcntl(1, F_DUPFD_CLOEXEC, 10)} {
    ::dup2(in, 0);
    ::dup2(out, 1);
  }
  ~Stdio() {
    for (int i = 0; i < 2; ++i) {
      const int fd = saved_[static_cast<std::size_t>(i)];
      ::dup2(fd, i);
      ::close(fd);
    }
  }
  Stdio(const Stdio&) = delete;
  Stdio& operator=(const Stdio&) = delete;

 private:
  std::array<int, 2> saved_;
};

}  // namespace wev::test
