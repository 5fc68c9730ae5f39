// buffer.hpp: memory that is read into or written from, of bytes or of characters.
//
//   char line[80];
//   auto size = co_await stream.read_some(line);
//   co_await stream.write_all("hello\n");
//
// Handles take these, so nothing has to be cast: spans, arrays, vectors and strings of
// std::byte, char, unsigned char and char8_t become one by themselves. Each is a std::span
// of bytes, and goes wherever that does, as to the functions of wev::op.
//
// Lifetime   They own nothing: the memory is the caller's, alive until the operation has
//            ended. A temporary string lives until then in a co_await, but not behind
//            Request::start.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace wev {

namespace internal {

template <class T>
concept ByteLike =
    sizeof(T) == 1 && (std::is_same_v<T, std::byte> || std::is_same_v<T, char> ||
                       std::is_same_v<T, unsigned char> || std::is_same_v<T, char8_t>);

template <class R>
using ElementOf = std::remove_pointer_t<decltype(std::data(std::declval<R&>()))>;

/// Has data() and size(), of something like bytes.
template <class R>
concept BytesInOrder = requires(R& range) {
  { std::size(range) } -> std::convertible_to<std::size_t>;
  requires ByteLike<std::remove_const_t<ElementOf<R>>>;
};

template <class R>
concept CharArray =
    std::is_array_v<std::remove_cvref_t<R>> &&
    std::is_same_v<std::remove_cv_t<std::remove_extent_t<std::remove_cvref_t<R>>>, char>;

}  // namespace internal

/// Memory that is read into.
class MutableBuffer : public std::span<std::byte> {
 public:
  MutableBuffer() = default;
  MutableBuffer(std::span<std::byte> bytes) noexcept  // NOLINT(google-explicit-constructor)
      : span(bytes) {}
  template <internal::ByteLike T>
  MutableBuffer(T* data, std::size_t size) noexcept
      : span(reinterpret_cast<std::byte*>(data), size) {}
  /// All of it: of a string or vector as much as its size() says.
  template <class R>
    requires(internal::BytesInOrder<R> && !std::is_const_v<internal::ElementOf<R>>)
  MutableBuffer(R&& range) noexcept  // NOLINT(google-explicit-constructor)
      : MutableBuffer(std::data(range), std::size(range)) {}
};

/// Memory that is written from.
class ConstBuffer : public std::span<const std::byte> {
 public:
  ConstBuffer() = default;
  ConstBuffer(std::span<const std::byte> bytes) noexcept  // NOLINT(google-explicit-constructor)
      : span(bytes) {}
  template <internal::ByteLike T>
  ConstBuffer(const T* data, std::size_t size) noexcept
      : span(reinterpret_cast<const std::byte*>(data), size) {}
  /// Text up to its zero.
  template <class Pointer>
    requires(std::is_same_v<Pointer, const char*> || std::is_same_v<Pointer, char*>)
  ConstBuffer(const Pointer& text) noexcept  // NOLINT(google-explicit-constructor)
      : ConstBuffer(std::string_view(text)) {}
  /// A literal, without the zero at its end.
  template <std::size_t size>
  ConstBuffer(const char (&text)[size]) noexcept  // NOLINT(google-explicit-constructor)
      : ConstBuffer(std::string_view(text, text[size - 1] == '\0' ? size - 1 : size)) {}
  /// All of it.
  template <class R>
    requires(internal::BytesInOrder<R> && !internal::CharArray<R>)
  ConstBuffer(R&& range) noexcept  // NOLINT(google-explicit-constructor)
      : ConstBuffer(std::data(range), std::size(range)) {}
  /// How much of an array of char is meant? std::string_view(array, size) says it.
  template <std::size_t size>
  ConstBuffer(char (&)[size]) = delete;
};

/// Bytes as the characters they are.
inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace wev
