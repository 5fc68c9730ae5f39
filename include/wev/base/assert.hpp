// assert.hpp: what happens when a program breaks a contract.
//
// Expected trouble travels as wev::Error. WEV_ASSERT is for a programmer's
// mistake (adding a completion twice, freeing one that is lent). It is on in
// release builds too, since the alternative is a corrupted queue.
//
// The default handler writes one line to stderr and traps. Apart from it,
// nothing in the library prints, throws or exits.
#pragma once

namespace wev {

/// Called with the mistake in words and where it was noticed. All strings are
/// static. If the handler returns, the program traps.
using AssertHandler = void (*)(const char* message, const char* file, int line);

/// Replaces the handler for the whole program and returns the one before.
/// nullptr restores the default. Any thread.
AssertHandler set_assert_handler(AssertHandler handler) noexcept;

/// What a failing WEV_ASSERT calls.
[[noreturn]] void assertion_failed(const char* message, const char* file, int line) noexcept;

}  // namespace wev

#define WEV_ASSERT(condition, message) \
  (__builtin_expect(!!(condition), 1)  \
       ? static_cast<void>(0)          \
       : ::wev::assertion_failed((message), __FILE_NAME__, __LINE__))
