// channel.hpp: values from tasks to tasks of one loop, in order.
//
//   wev::Channel<Job> jobs(16);
//   co_await jobs.send(job);
//   while (auto job = co_await jobs.receive()) ...
//
// Holds up to `capacity` values that nobody has taken yet; then send() waits. With a
// capacity of 0 it waits until the value is taken.
//
// Order      Values come out as they were sent, each once. Tasks that wait have their
//            turns in the order in which they came.
// End        close() ends what waits in receive() and all that is sent after it with
//            Errc::closed. What was sent before can still be received, also by those
//            that come later: what the channel holds, and what waits in send().
// Cancel     Waiting ends with Errc::operation_canceled; a value that was not taken by
//            then is destroyed with its send().
// Memory     Room for `capacity` values, once, when it is made; where there is none for
//            it, capacity() is 0. Nothing is allocated after that.
// Lifetime   Outlives those that wait. Values that nobody took are destroyed with it.
// Thread     The loop's, its callbacks included.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "wev/task/sync.hpp"

namespace wev {

template <class T>
class Channel {
  static_assert(std::is_nothrow_move_constructible_v<T>);
  static_assert(alignof(T) <= alignof(std::max_align_t));

 public:
  explicit Channel(std::size_t capacity) noexcept
      : room_(capacity > 0 && capacity <= SIZE_MAX / sizeof(T)
                  ? static_cast<T*>(std::malloc(capacity * sizeof(T)))
                  : nullptr),
        capacity_(room_ != nullptr ? capacity : 0) {}
  ~Channel() {
    while (size_ > 0) (void)pop();
    std::free(static_cast<void*>(room_));
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  class Send;
  class Receiving;
  /// Ends with nothing when the channel, or who receives, has it.
  [[nodiscard]] Send send(T value) noexcept { return Send(*this, std::move(value)); }
  /// Ends with a T.
  WaitFor<Receiving, Channel> receive() noexcept { return WaitFor<Receiving, Channel>(*this); }

  /// At once. false: it is full or closed, and `value` is as it was.
  bool try_send(T& value) noexcept {
    if (closed_) return false;
    if (!receiving_.empty()) {
      static_cast<Receiver&>(receiving_.front()).value.emplace(std::move(value));
      receiving_.wake_first();
      return true;
    }
    if (size_ == capacity_) return false;
    push(std::move(value));
    return true;
  }
  /// The same of a value that is lost where it is not taken.
  bool try_send(T&& value) noexcept { return try_send(value); }
  /// At once. nullopt: there is nothing.
  std::optional<T> try_receive() noexcept {
    std::optional<T> value;
    if (size_ > 0) {
      value.emplace(pop());
      // The one that waits longest moves up.
      if (!sending_.empty()) push(take_first_sender());
    } else if (!sending_.empty()) {
      value.emplace(take_first_sender());
    }
    return value;
  }

  void close() noexcept {
    closed_ = true;
    receiving_.wake_all();
  }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// Values that it holds.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Sender : WaitNode {
    explicit Sender(T&& sent) noexcept : value(std::move(sent)) {}
    T value;
  };
  struct Receiver : WaitNode {
    std::optional<T> value;
  };

  void push(T&& value) noexcept {
    new (static_cast<void*>(room_ + (first_ + size_) % capacity_)) T(std::move(value));
    ++size_;
  }
  T pop() noexcept {
    T& first = room_[first_];
    T value = std::move(first);
    std::destroy_at(&first);
    first_ = (first_ + 1) % capacity_;
    --size_;
    return value;
  }
  T take_first_sender() noexcept {
    T value = std::move(static_cast<Sender&>(sending_.front()).value);
    sending_.wake_first();
    return value;
  }

  T* room_;
  std::size_t capacity_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  bool closed_ = false;
  WaitList sending_;    // empty unless it is full
  WaitList receiving_;  // empty unless it holds nothing
};

template <class T>
class Channel<T>::Send {
 public:
  Send(Channel& channel, T value) noexcept : channel_(channel), value_(std::move(value)) {}

  class Awaiter : private Sender {
   public:
    Awaiter(Channel& channel, T&& sent) noexcept : Sender(std::move(sent)), channel_(channel) {}
    [[nodiscard]] bool await_ready() noexcept {
      closed_ = channel_.closed_;
      return closed_ || channel_.try_send(this->value);
    }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> task) noexcept {
      channel_.sending_.park(task.promise(), *this);
    }
    Expected<void> await_resume() const noexcept {
      if (closed_) return std::unexpected(Errc::closed);
      if (this->canceled()) return std::unexpected(Errc::operation_canceled);
      return {};
    }

   private:
    Channel& channel_;
    bool closed_ = false;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(channel_, std::move(value_)); }

 private:
  Channel& channel_;
  T value_;
};

template <class T>
class Channel<T>::Receiving : private Receiver {
 public:
  explicit Receiving(Channel& channel) noexcept : channel_(channel) {}
  [[nodiscard]] bool await_ready() noexcept {
    if (auto there = channel_.try_receive()) this->value.emplace(*std::move(there));
    return this->value || channel_.closed_;
  }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    channel_.receiving_.park(task.promise(), *this);
  }
  Expected<T> await_resume() noexcept {
    if (this->value) return *std::move(this->value);
    return std::unexpected(this->canceled() ? Errc::operation_canceled : Errc::closed);
  }

 private:
  Channel& channel_;
};

}  // namespace wev
