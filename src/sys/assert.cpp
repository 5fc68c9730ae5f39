#include "wev/base/assert.hpp"

#include <atomic>
#include <cstddef>

#include "sys/system.hpp"

namespace wev {
namespace {

std::atomic<AssertHandler> handler{nullptr};

// Enough for any of the library's messages; a longer one is cut.
struct Line {
  char text[256];
  std::size_t size = 0;

  void append(const char* s) noexcept {
    while (*s != '\0' && size < sizeof text) text[size++] = *s++;
  }
  void append(int number) noexcept {
    char digits[12];
    char* first = digits + sizeof digits - 1;
    *first = '\0';
    do {
      *--first = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    append(first);
  }
};

}  // namespace

AssertHandler set_assert_handler(AssertHandler replacement) noexcept {
  return handler.exchange(replacement);
}

void assertion_failed(const char* message, const char* file, int line) noexcept {
  if (const AssertHandler replaced = handler.load()) {
    replaced(message, file, line);
  } else {
    Line out;
    out.append("wev: ");
    out.append(message);
    out.append(" (");
    out.append(file);
    out.append(":");
    out.append(line);
    out.append(")\n");
    sys::write_to_stderr(out.text, out.size);
  }
  __builtin_trap();
}

}  // namespace wev
