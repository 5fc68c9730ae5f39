#include <fcntl.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <mach/mach.h>
#include <malloc/malloc.h>
#else
#include <malloc_np.h>
#include <sys/sysctl.h>
#include <sys/user.h>
#endif

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "support/system.hpp"

namespace wev::test {

int open_file() {
  std::string name = testing::TempDir() + "wev-XXXXXX";
  const int fd = ::mkstemp(name.data());
  EXPECT_GE(fd, 0);
  EXPECT_EQ(::unlink(name.c_str()), 0);
  EXPECT_EQ(::fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
  return fd;
}

int socket_without_network() { return -1; }

// Those of the first few thousand; looking at all that could be takes too long.
std::size_t open_descriptors() {
  const int most = std::min(::getdtablesize(), 20'000);
  std::size_t open = 0;
  for (int fd = 0; fd < most; ++fd) open += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return open;
}

#if defined(__APPLE__)

std::size_t usable_size(void* memory) { return ::malloc_size(memory); }

std::set<std::string> threads() {
  std::set<std::string> ids;
  thread_act_array_t all = nullptr;
  mach_msg_type_number_t count = 0;
  if (::task_threads(mach_task_self(), &all, &count) != KERN_SUCCESS) return ids;
  for (mach_msg_type_number_t i = 0; i < count; ++i) {
    ids.insert(std::to_string(all[i]));
    ::mach_port_deallocate(mach_task_self(), all[i]);
  }
  ::vm_deallocate(mach_task_self(), reinterpret_cast<vm_address_t>(all), count * sizeof *all);
  return ids;
}

#else

std::size_t usable_size(void* memory) { return ::malloc_usable_size(memory); }

std::set<std::string> threads() {
  int what[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID | KERN_PROC_INC_THREAD, ::getpid()};
  std::vector<kinfo_proc> all(1'000);
  std::size_t size = all.size() * sizeof all[0];
  std::set<std::string> ids;
  if (::sysctl(what, 4, all.data(), &size, nullptr, 0) != 0) return ids;
  all.resize(size / sizeof all[0]);
  for (const kinfo_proc& thread : all) ids.insert(std::to_string(thread.ki_tid));
  return ids;
}

#endif

}  // namespace wev::test
