#include "wev/base/error.hpp"

#include <charconv>
#include <cstring>

namespace wev {

namespace {

const char* words_of(Errc code) noexcept {
  switch (code) {
    case Errc::operation_canceled: return "operation canceled";
    case Errc::timed_out: return "deadline passed";
    case Errc::too_late: return "too late to cancel";
    case Errc::nested_run: return "the loop is already running";
    case Errc::deadlock: return "nothing in flight can ever end";
    case Errc::closed: return "the channel is closed";
    case Errc::end_of_stream: return "the stream ended early";
    case Errc::never_drained: return "callbacks begin operations again while the loop is drained";
    case Errc::forked: return "the loop belongs to the parent process";
    case Errc::no_such_backend: return "WEV_BACKEND names no backend of this platform";
  }
  return "unknown wev error";
}

const char* words_of(ResolveErrc code) noexcept {
  switch (code) {
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

// strerror_r has two forms: that of POSIX fills the buffer, glibc's returns the words.
[[maybe_unused]] const char* words_of(int /*status*/, const char* buffer) { return buffer; }
[[maybe_unused]] const char* words_of(const char* words, const char* /*buffer*/) { return words; }

}  // namespace

ErrorMessage Error::message() const noexcept {
  ErrorMessage message;
  switch (domain_) {
    case Domain::wev: message.append(words_of(static_cast<Errc>(code_))); return message;
    case Domain::resolver:
      message.append(words_of(static_cast<ResolveErrc>(code_)));
      return message;
    case Domain::system:
    case Domain::native: break;
  }
  char buffer[sizeof message.characters_] = {};
  message.append(words_of(::strerror_r(code_, buffer, sizeof buffer), buffer));
  if (domain_ == Domain::native) {
    message.append(" (system error ");
    message.append(code_);
    message.append(")");
  }
  return message;
}

void ErrorMessage::append(std::string_view text) noexcept {
  text = text.substr(0, sizeof characters_ - 1 - size_);
  std::memcpy(characters_ + size_, text.data(), text.size());
  size_ += text.size();
}

void ErrorMessage::append(std::uint16_t number) noexcept {
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  append({digits, static_cast<std::size_t>(end - digits)});
}

}  // namespace wev
