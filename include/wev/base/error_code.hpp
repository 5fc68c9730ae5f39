// error_code.hpp: wev::Error as std::error_code, for programs that use those.
//
// Kept apart, because <system_error>'s categories are not free in a small
// WebAssembly program.
#pragma once

#include <string>
#include <system_error>

#include "wev/base/error.hpp"

namespace wev {

/// The category of Domain::wev. Its conditions are those of Error::meaning().
inline const std::error_category& wev_category() noexcept {
  class Category final : public std::error_category {
    [[nodiscard]] const char* name() const noexcept override { return "wev"; }
    [[nodiscard]] std::string message(int code) const override {
      return std::string(Error(static_cast<Errc>(code)).message());
    }
    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
      return std::make_error_condition(Error(static_cast<Errc>(code)).meaning());
    }
  };
  static const Category category;
  return category;
}

/// The category of Domain::resolver, likewise.
inline const std::error_category& resolver_category() noexcept {
  class Category final : public std::error_category {
    [[nodiscard]] const char* name() const noexcept override { return "wev.resolver"; }
    [[nodiscard]] std::string message(int code) const override {
      return std::string(Error(static_cast<ResolveErrc>(code)).message());
    }
    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
      return std::make_error_condition(Error(static_cast<ResolveErrc>(code)).meaning());
    }
  };
  static const Category category;
  return category;
}

inline std::error_code make_error_code(Error error) noexcept {
  switch (error.domain()) {
    case Domain::system: return {error.code(), std::generic_category()};
    case Domain::native: return {error.code(), std::system_category()};
    case Domain::wev: return {error.code(), wev_category()};
    case Domain::resolver: break;
  }
  return {error.code(), resolver_category()};
}

}  // namespace wev
