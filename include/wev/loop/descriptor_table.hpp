// descriptor_table.hpp: what a loop knows of each descriptor it works on.
//
// A part of Loop. At most one ordered operation for each descriptor and
// direction is with the backend, the next ones queue behind it, so no backend
// has to settle who is woken first, and none reads a descriptor twice at once.
//
// An entry is made by the first operation on a descriptor and stays until the
// descriptor is closed through the loop or forgotten, so that what a backend
// found out about it is asked once. Entries do not move and are recycled.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wev/base/allocated.hpp"
#include "wev/base/array.hpp"
#include "wev/loop/completion.hpp"

namespace wev {

/// A link of those of which something is to go on.
struct Descriptor : Allocated, Link {
  /// The program's name for it, and the table's key.
  int number = -1;
  /// The system's handle of it. The same number, unless Backend::know says otherwise.
  std::uintptr_t native = 0;
  /// The backend's notes, zero when it first sees the descriptor.
  std::uint32_t backend_flags = 0;
  std::uint32_t backend_index = 0;
  /// For which operations Backend::know has found out what it is.
  enum class Known : std::uint8_t { no, for_polls, for_all } known = Known::no;
  /// By Direction; those with the backend stand in front.
  List<Completion> queues[3];
  /// Operations that have not ended, wherever they stand.
  std::size_t users = 0;
  /// Those that have ended, and whose callback is still to come: it may go on.
  std::size_t undelivered = 0;
  /// Those that were added and not started.
  std::size_t coming = 0;
  /// How often all that is on it was cancelled. Of those that are coming `note` says how often
  /// it was by then.
  BackendNote cancels = 0;
  /// What that was when its last owner's close was carried out.
  BackendNote closed_at = 0;
  /// By Direction: an operation in parts has ended one, and may go on.
  bool held[3] = {};
  /// An operation ended with bad_file_descriptor.
  bool bad = false;
  /// It is given away: what is known of it goes with the last operation.
  bool leaving = false;
  /// The close that ends this entry, once it has begun.
  Completion* close = nullptr;

  [[nodiscard]] List<Completion>& queue(Direction direction) noexcept {
    return queues[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] bool& holds(Direction direction) noexcept {
    return held[static_cast<std::size_t>(direction)];
  }
  [[nodiscard]] bool idle() const noexcept { return users == 0; }
  /// Nothing is on it, and nobody is still to be told.
  [[nodiscard]] bool unused() const noexcept {
    return idle() && undelivered == 0 && coming == 0 && close == nullptr;
  }
  /// `native` on POSIX.
  [[nodiscard]] int fd() const noexcept { return static_cast<int>(native); }
};

/// Open addressing with linear probing, by descriptor number. Numbers may be
/// anything: some WASI hosts hand out random ones.
class DescriptorTable {
 public:
  DescriptorTable() = default;
  DescriptorTable(const DescriptorTable&) = delete;
  DescriptorTable& operator=(const DescriptorTable&) = delete;
  ~DescriptorTable();

  [[nodiscard]] Descriptor* find(int number) const noexcept;
  /// Finds or makes. nullptr: out of memory, nothing changed.
  [[nodiscard]] Descriptor* obtain(int number) noexcept;
  /// REQUIRES: descriptor.idle(). Stays, as if it were new, while operations are coming.
  void erase(Descriptor& descriptor) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Calls f(Descriptor&) for each entry. f may erase the one it is called with;
  /// another may then be passed over.
  template <class F>
  void for_each(F f) const {
    for (std::size_t i = 0; i < capacity(); ++i) {
      if (slots_[i] != nullptr) f(*slots_[i]);
    }
  }

 private:
  [[nodiscard]] std::size_t capacity() const noexcept { return slots_ == nullptr ? 0 : mask_ + 1; }
  [[nodiscard]] std::size_t home(int number) const noexcept;
  [[nodiscard]] std::size_t slot_of(int number) const noexcept;
  [[nodiscard]] bool grow() noexcept;

  Descriptor** slots_ = nullptr;
  std::size_t mask_ = 0;
  unsigned shift_ = 0;  // of a hash of 32 bits, to those of the mask
  std::size_t size_ = 0;
  Array<Descriptor*> spare_;  // recycled entries; has room for all there are
};

}  // namespace wev
