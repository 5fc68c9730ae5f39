// array.hpp: a growing array that reports failure instead of throwing.
//
// Grows by doubling and never shrinks, so a loop that is warm allocates
// nothing. Only for trivially copyable elements.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace wev {

template <class T>
class Array {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { std::free(static_cast<void*>(data_)); }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return data_[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  [[nodiscard]] T& back() noexcept { return data_[size_ - 1]; }

  /// Room for `count` elements in all. false: out of memory, nothing changed.
  [[nodiscard]] bool reserve(std::size_t count) noexcept {
    if (count <= capacity_) return true;
    std::size_t capacity = capacity_ == 0 ? first_capacity : capacity_ * 2;
    if (capacity < count) capacity = count;
    if (capacity > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T)) return false;
    void* grown = std::realloc(static_cast<void*>(data_), capacity * sizeof(T));
    if (grown == nullptr) return false;
    data_ = static_cast<T*>(grown);
    capacity_ = capacity;
    return true;
  }

  /// false: out of memory, nothing changed.
  [[nodiscard]] bool push_back(const T& value) noexcept {
    if (!reserve(size_ + 1)) return false;
    data_[size_++] = value;
    return true;
  }

  /// false: out of memory, nothing changed.
  [[nodiscard]] bool append(const T* values, std::size_t count) noexcept {
    if (!reserve(size_ + count)) return false;
    if (count > 0) std::memcpy(data_ + size_, values, count * sizeof(T));
    size_ += count;
    return true;
  }

  void swap(Array& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  void pop_back() noexcept { --size_; }
  /// Moves the others up.
  void drop_front(std::size_t count) noexcept {
    size_ -= count;
    if (size_ > 0 && count > 0) std::memmove(data_, data_ + count, size_ * sizeof(T));
  }
  void clear() noexcept { size_ = 0; }

 private:
  static constexpr std::size_t first_capacity = 8;

  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace wev
