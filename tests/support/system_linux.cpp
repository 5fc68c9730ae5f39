#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <filesystem>
#include <iterator>
#include <thread>

#include <gtest/gtest.h>

#include "support/system.hpp"

namespace wev::test {

int open_file() {
  const int fd = ::memfd_create("wev-test", MFD_CLOEXEC);
  EXPECT_GE(fd, 0);
  return fd;
}

// Only that thread is in it.
int socket_without_network() {
  int fd = -1;
  std::thread([&fd] {
    if (::unshare(CLONE_NEWNET) == 0) fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  }).join();
  return fd;
}

std::size_t usable_size(void* memory) { return ::malloc_usable_size(memory); }

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::set<std::string> threads() {
  std::set<std::string> ids;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    ids.insert(thread.path().filename());
  }
  return ids;
}

}  // namespace wev::test
