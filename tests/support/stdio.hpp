// stdio.hpp: another stdin, stdout and stderr for a while.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>

namespace wev::test {

/// The first `count` of the three come back when this is gone.
template <int count>
class SavedStdio {
 public:
  SavedStdio() {
    for (int i = 0; i < count; ++i) {
      saved_[static_cast<std::size_t>(i)] = ::fcntl(i, F_DUPFD_CLOEXEC, 10);
    }
  }
  ~SavedStdio() {
    for (int i = 0; i < count; ++i) {
      const int fd = saved_[static_cast<std::size_t>(i)];
      ::dup2(fd, i);
      ::close(fd);
    }
  }
  SavedStdio(const SavedStdio&) = delete;
  SavedStdio& operator=(const SavedStdio&) = delete;

 private:
  std::array<int, count> saved_{};
};

/// None of the three while this is alive; what is printed meanwhile is lost.
class ClosedStdio {
 public:
  ClosedStdio() {
    for (int i = 0; i < 3; ++i) ::close(i);
  }

 private:
  SavedStdio<3> saved_;
};

/// These are stdin and stdout while this is alive.
class Stdio {
 public:
  Stdio(int in, int out) {
    ::dup2(in, 0);
    ::dup2(out, 1);
  }

 private:
  SavedStdio<2> saved_;
};

}  // namespace wev::test
