// error.hpp: why an operation failed, in four bytes.
//
// An Error is a code in a domain. The system's codes are held as std::errc, so
// that a program can compare them on every platform:
//
//   if (result.error() == std::errc::connection_reset) ...
//
// What the systems call differently has one code: a descriptor that was not opened for
// what is asked of it is bad_file_descriptor, a full quota no_space_on_device, a path that a
// WASI host keeps from its program operation_not_permitted. A system's code that std::errc
// does not know keeps its number in Domain::native. What it is in words says message():
//
//   std::fprintf(stderr, "%s\n", result.error().message().c_str());
//
// For streams and std::format include wev/base/error_text.hpp, for std::error_code
// wev/base/error_code.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>
#include <system_error>

namespace wev {

enum class Domain : std::uint8_t {
  system,    ///< the code is a std::errc
  native,    ///< the code is the operating system's or WASI host's own number
  wev,       ///< the code is an Errc
  resolver,  ///< the code is a ResolveErrc
};

/// What the loop itself has to say.
enum class Errc : std::uint16_t {
  operation_canceled = 1,  ///< cancel(), drain(), or its descriptor was closed
  timed_out,               ///< the deadline in the completion passed
  too_late,                ///< a cancel found its target finished, or dead
  nested_run,              ///< run(), tick() or drain() from inside a callback
  deadlock,                ///< nothing in flight can ever end, see Loop::run
  closed,                  ///< a Channel that was closed, and holds nothing to receive
  end_of_stream,           ///< there were fewer bytes than had to be read
  never_drained,           ///< callbacks begin something again and again, see Loop::drain
  no_such_backend,         ///< WEV_BACKEND names none of this platform, see make_backend
  forked,                  ///< the loop is one of the process that this one was forked from
};

/// Why a Resolver has no address for a name.
enum class ResolveErrc : std::uint16_t {
  no_such_name = 1,  ///< there is no such name, or none below it
  no_address,        ///< the name is there, with neither an IPv4 nor an IPv6 address
  server_failure,    ///< the servers were asked and could not find out
  refused,           ///< the servers will not answer this question, or us
  timed_out,         ///< no server answered in time, however often it was asked
  unreachable,       ///< no server could be asked
  malformed_name,    ///< it is no name: too long, or an empty or too long part of it
  malformed_answer,  ///< what came back is no answer
  other,             ///< what c-ares says otherwise
};

/// What an error is in words, in English or as the C library says it. A value that
/// allocates nothing.
class ErrorMessage {
 public:
  [[nodiscard]] std::string_view view() const noexcept { return {characters_, size_}; }
  operator std::string_view() const noexcept {  // NOLINT(google-explicit-constructor)
    return view();
  }
  /// Ends with a zero.
  [[nodiscard]] const char* c_str() const noexcept { return characters_; }

 private:
  friend class Error;
  void append(std::string_view text) noexcept;
  void append(std::uint16_t number) noexcept;

  char characters_[112] = {};
  std::size_t size_ = 0;
};

class Error {
 public:
  constexpr Error(std::errc code) noexcept  // NOLINT(google-explicit-constructor)
      : code_(static_cast<std::uint16_t>(code)), domain_(Domain::system) {}
  constexpr Error(Errc code) noexcept  // NOLINT(google-explicit-constructor)
      : code_(static_cast<std::uint16_t>(code)), domain_(Domain::wev) {}
  constexpr Error(ResolveErrc code) noexcept  // NOLINT(google-explicit-constructor)
      : code_(static_cast<std::uint16_t>(code)), domain_(Domain::resolver) {}
  static constexpr Error native(std::uint16_t code) noexcept { return Error(code, Domain::native); }

  [[nodiscard]] constexpr Domain domain() const noexcept { return domain_; }
  [[nodiscard]] constexpr std::uint16_t code() const noexcept { return code_; }

  /// Equal in domain and code: tells a deadline of ours (Errc::timed_out) from
  /// the kernel's own (std::errc::timed_out).
  friend constexpr bool operator==(Error, Error) noexcept = default;
  friend constexpr bool operator==(Error error, Errc code) noexcept { return error == Error(code); }
  friend constexpr bool operator==(Error error, ResolveErrc code) noexcept {
    return error == Error(code);
  }

  /// Equal in meaning: both of those two are std::errc::timed_out.
  friend constexpr bool operator==(Error error, std::errc code) noexcept {
    return error.meaning() == code;
  }

  /// "Connection refused", "deadline passed", ... Any thread. A program that never asks is
  /// linked with none of the words.
  [[nodiscard]] ErrorMessage message() const noexcept;

  /// The nearest std::errc; std::errc{} for a native code.
  [[nodiscard]] constexpr std::errc meaning() const noexcept {
    switch (domain_) {
      case Domain::system: return static_cast<std::errc>(code_);
      case Domain::native: return std::errc{};
      case Domain::wev: return meaning(static_cast<Errc>(code_));
      case Domain::resolver: return meaning(static_cast<ResolveErrc>(code_));
    }
    return std::errc{};
  }

 private:
  constexpr Error(std::uint16_t code, Domain domain) noexcept : code_(code), domain_(domain) {}

  static constexpr std::errc meaning(Errc code) noexcept {
    switch (code) {
      case Errc::operation_canceled: return std::errc::operation_canceled;
      case Errc::timed_out: return std::errc::timed_out;
      case Errc::too_late: return std::errc::operation_not_permitted;
      case Errc::nested_run: return std::errc::operation_in_progress;
      case Errc::deadlock: return std::errc::resource_deadlock_would_occur;
      case Errc::closed: return std::errc::broken_pipe;
      case Errc::end_of_stream: return std::errc::no_message_available;
      case Errc::never_drained: return std::errc::device_or_resource_busy;
      case Errc::no_such_backend: return std::errc::invalid_argument;
      case Errc::forked: return std::errc::operation_not_permitted;
    }
    return std::errc{};
  }
  static constexpr std::errc meaning(ResolveErrc code) noexcept {
    switch (code) {
      case ResolveErrc::no_such_name:
      case ResolveErrc::no_address: return std::errc::address_not_available;
      case ResolveErrc::server_failure:
      case ResolveErrc::other: return std::errc::io_error;
      case ResolveErrc::refused: return std::errc::permission_denied;
      case ResolveErrc::timed_out: return std::errc::timed_out;
      case ResolveErrc::unreachable: return std::errc::host_unreachable;
      case ResolveErrc::malformed_name: return std::errc::invalid_argument;
      case ResolveErrc::malformed_answer: return std::errc::bad_message;
    }
    return std::errc{};
  }

  std::uint16_t code_;
  Domain domain_;
};
static_assert(sizeof(Error) == 4);

/// Why a transfer of all of a buffer was cut short, and after how many bytes. As good as the
/// Error that it is.
class TransferError : public Error {
 public:
  template <class Code>
    requires std::is_convertible_v<Code, Error>
  constexpr TransferError(Code why,
                          std::size_t bytes = 0) noexcept  // NOLINT(google-explicit-constructor)
      : Error(why), moved(bytes) {}

  std::size_t moved;
};

/// How an operation ended: a count (bytes, periods, a new descriptor; each
/// operation says which) or why it failed.
using Result = std::expected<std::size_t, Error>;
/// What a handle, or a task, ends with.
template <class T>
using Expected = std::expected<T, Error>;

}  // namespace wev
