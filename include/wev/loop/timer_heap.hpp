// timer_heap.hpp: the deadlines a loop waits for, earliest first.
//
// A part of Loop, behind four functions, so that what is inside may change.
// Intrusive: a completion knows its place, so any of them leaves or moves in
// O(log n). A 4-ary heap with the key beside the pointer, since most of a
// pop's cost is fetching what it compares: four children and their keys lie in
// two cache lines, and no completion is touched but those that move.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wev/base/array.hpp"
#include "wev/loop/completion.hpp"

namespace wev {

class TimerHeap {
 public:
  /// Puts `completion` in, ordered by its deadline, behind those that have the
  /// same one. false: out of memory, nothing changed.
  [[nodiscard]] bool insert(Completion& completion) noexcept;
  /// Puts a completion that is in anew, by its present deadline.
  void move(Completion& completion) noexcept;
  /// Takes it out.
  void remove(Completion& completion) noexcept;
  /// The earliest, nullptr when empty.
  [[nodiscard]] Completion* first() const noexcept {
    return entries_.empty() ? nullptr : entries_[0].completion;
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

  /// Calls f(const Completion&) for each, in no order. f leaves them as they are.
  template <class F>
  void for_each(F f) const {
    for (std::size_t i = 0; i < entries_.size(); ++i) f(*entries_[i].completion);
  }

 private:
  struct Entry {
    Instant deadline;
    // Programs lean on ties firing in submission order, and a plain heap does
    // not give it.
    std::uint64_t sequence;
    Completion* completion;

    [[nodiscard]] bool before(const Entry& other) const noexcept {
      return deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence;
    }
  };

  static void prefetch(const Entry* entries, std::size_t count) noexcept;
  void place(std::size_t i, const Entry& entry) noexcept;
  void sift(std::size_t hole, const Entry& entry) noexcept;
  void sift_up(std::size_t hole, const Entry& entry) noexcept;
  void sift_down(std::size_t hole, const Entry& entry) noexcept;

  Array<Entry> entries_;
  std::uint64_t sequence_ = 0;
};

}  // namespace wev
