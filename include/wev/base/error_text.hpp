// error_text.hpp: errors in streams and in std::format.
//
//   std::cerr << "connecting: " << stream.error() << '\n';
//   std::println("connecting: {}", stream.error());
//
// Both print Error::message(). std::format where the C++ library has it; with Debian's compiler for
// WASI a program that uses it does not link.
#pragma once

#include <ostream>
#include <string_view>
#include <version>
#if __has_include(<format>)
#include <format>
#endif

#include "wev/base/error.hpp"

namespace wev {

template <class Traits>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out, Error error) {
  return out << error.message().view();
}

}  // namespace wev

#if __has_include(<format>)
/// Takes what a std::string_view takes: "{:>40}".
template <>
struct std::formatter<wev::Error> : std::formatter<std::string_view> {
  template <class Context>
  auto format(wev::Error error, Context& context) const {
    return std::formatter<std::string_view>::format(error.message().view(), context);
  }
};
#endif
