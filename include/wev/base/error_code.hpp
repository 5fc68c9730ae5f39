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
      switch (static_cast<Errc>(code)) {
        case Errc::operation_canceled: return "operation canceled";
        case Errc::timed_out: return "deadline passed";
        case Errc::too_late: return "too late to cancel";
        case Errc::nested_run: return "the loop is already running";
        case Errc::deadlock: return "nothing in flight can ever end";
        case Errc::closed: return "the channel is closed";
        case Errc::forked: return "the loop belongs to the parent process";
      }
      return "unknown wev error";
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
      switch (static_cast<ResolveErrc>(code)) {
        case ResolveErrc::no_such_name: return "no such name";
        case ResolveErrc::no_address: return "the name has no address";
        case ResolveErrc::server_failure: return "the name server failed";
        case ResolveErrc::refused: return "the name server refused to answer";
        case ResolveErrc::timed_out: return "no name server answered in time";
        case ResolveErrc::unreachable: return "no name server could be reached";
        case ResolveErrc::malformed_name: return "malformed name";
        case ResolveErrc::malformed_answer: return "the name server's answer is malformed";
        case ResolveErrc::other: return "the name could not be resolved";
      }
      return "unknown resolver error";
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
