#include "wev/loop/timer_heap.hpp"

namespace wev {

bool TimerHeap::insert(Completion& completion) noexcept {
  const Entry entry{completion.deadline_, sequence_++, &completion};
  if (!entries_.push_back(entry)) return false;
  sift_up(entries_.size() - 1, entry);
  return true;
}

void TimerHeap::move(Completion& completion) noexcept {
  sift(completion.heap_index_, Entry{completion.deadline_, sequence_++, &completion});
}

void TimerHeap::remove(Completion& completion) noexcept {
  const std::size_t hole = completion.heap_index_;
  completion.heap_index_ = Completion::not_in_heap;
  const Entry last = entries_.back();
  entries_.pop_back();
  if (hole < entries_.size()) sift(hole, last);
}

void TimerHeap::prefetch(const Entry* entries, std::size_t count) noexcept {
  constexpr std::size_t line = 64;
  const char* begin = reinterpret_cast<const char*>(entries);
  for (std::size_t i = 0; i < count * sizeof(Entry); i += line) __builtin_prefetch(begin + i);
}

void TimerHeap::place(std::size_t i, const Entry& entry) noexcept {
  entries_[i] = entry;
  entry.completion->heap_index_ = static_cast<std::uint32_t>(i);
}

void TimerHeap::sift(std::size_t hole, const Entry& entry) noexcept {
  if (hole > 0 && entry.before(entries_[(hole - 1) / 4])) {
    sift_up(hole, entry);
  } else {
    sift_down(hole, entry);
  }
}

void TimerHeap::sift_up(std::size_t hole, const Entry& entry) noexcept {
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / 4;
    if (!entry.before(entries_[parent])) break;
    place(hole, entries_[parent]);
    hole = parent;
  }
  place(hole, entry);
}

void TimerHeap::sift_down(std::size_t hole, const Entry& entry) noexcept {
  const std::size_t size = entries_.size();
  for (;;) {
    const std::size_t first = hole * 4 + 1;
    if (first >= size) break;
    // Which of the children moves up takes a while to find out; the grandchildren
    // of all of them come in meanwhile. Nearly halves a pop from a million.
    const std::size_t grandchildren = first * 4 + 1;
    if (grandchildren + 16 <= size) prefetch(&entries_[grandchildren], 16);
    const std::size_t end = first + 4 < size ? first + 4 : size;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < end; ++child) {
      if (entries_[child].before(entries_[least])) least = child;
    }
    if (!entries_[least].before(entry)) break;
    place(hole, entries_[least]);
    hole = least;
  }
  place(hole, entry);
}

}  // namespace wev
