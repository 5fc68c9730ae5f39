// Where wasi-libc keeps the directories that the host opened for the program.
#include <cstddef>

// Needs size_t, and does not say so.
#include <wasi/libc-find-relpath.h>

#include "sys/wasi.hpp"

namespace wev::sys::wasi {

Fd find_directory(const char* path, char* buffer, Size size, const char** relative) noexcept {
  const char* prefix = nullptr;
  char* rest = buffer;  // only used after chdir()
  const Fd directory = __wasilibc_find_relpath(path, &prefix, &rest, size);
  *relative = rest;
  return directory;
}

}  // namespace wev::sys::wasi
