// list.hpp: an intrusive doubly linked list with a sentinel.
//
// A completion that is lent stands in at most one list at any time, and leaves
// it in O(1) without knowing which one it is. Nothing is allocated.
#pragma once

namespace wev {

class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  [[nodiscard]] bool linked() const noexcept { return next_ != this; }
  void unlink() noexcept {
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = this;
  }

 private:
  template <class T>
  friend class List;

  Link* next_ = this;
  Link* prev_ = this;
};

/// T derives from Link.
template <class T>
class List {
 public:
  List() = default;
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  [[nodiscard]] bool empty() const noexcept { return !head_.linked(); }
  [[nodiscard]] T& front() const noexcept { return *static_cast<T*>(head_.next_); }

  void push_back(T& item) noexcept { insert_before(head_, item); }

  void push_front(T& item) noexcept { insert_before(*head_.next_, item); }

  T& pop_front() noexcept {
    Link& first = *head_.next_;
    head_.next_ = first.next_;
    first.next_->prev_ = &head_;
    first.next_ = first.prev_ = &first;
    return static_cast<T&>(first);
  }

  /// Calls f(T&) for each, last first; f may unlink the one it is called with.
  template <class F>
  void for_each_backwards(F f) {
    for (Link* link = head_.prev_; link != &head_;) {
      Link* previous = link->prev_;
      f(*static_cast<T*>(link));
      link = previous;
    }
  }

  /// Calls f(const T&) for each, first first; f leaves the list as it is.
  template <class F>
  void for_each(F f) const {
    for (const Link* link = head_.next_; link != &head_; link = link->next_) {
      f(*static_cast<const T*>(link));
    }
  }

  /// Moves all of `other` behind what is here, in order.
  void take(List& other) noexcept {
    if (other.empty()) return;
    Link& from = other.head_;
    head_.prev_->next_ = from.next_;
    from.next_->prev_ = head_.prev_;
    from.prev_->next_ = &head_;
    head_.prev_ = from.prev_;
    from.next_ = from.prev_ = &from;
  }

 private:
  static void insert_before(Link& place, Link& item) noexcept {
    item.next_ = &place;
    item.prev_ = place.prev_;
    place.prev_->next_ = &item;
    place.prev_ = &item;
  }

  Link head_;
};

}  // namespace wev
