// watcher.hpp: readiness of a descriptor that belongs to another library.
//
//   auto watcher = wev::Watcher::open(loop, theirs);
//   if (!watcher) ...
//   watcher->on_ready([connection](std::size_t bits) { act(connection, bits); });
//   watcher->want(wev::readable | wev::writable);
//
// Such a library says what it wants to know of a descriptor, changes its mind again and
// again, and expects to be called as long as it is so (level-triggered).
//
// Ready      The callback gets the Readiness bits that are wanted and ready, at most once in
//            a tick, and again in the next tick as long as that is so. An end or an error of
//            the descriptor counts as ready in both directions. It is a hint, as everywhere:
//            somebody may have read meanwhile.
// Callback   An InlineCallable, called by the loop and never from inside a call of the
//            program. It may do anything: want(), set another callback, destroy the watcher,
//            end the connection.
// Owner      The descriptor stays its owner's, who may close it at any moment. What is
//            watched is a duplicate, so nothing that is told is about a later owner of the
//            number. The duplicate keeps a connection open: destroy the watcher as well. Its
//            end reaches the peer in the loop's next ticks. Flags are left as they are.
//            WASI 0.1 has no duplicates: there the number itself is watched, and the watcher
//            has to be destroyed before its owner closes it, by a tick if something was
//            wanted.
// Lifetime   Destroying it, in its callback as well, means that it is not called any more.
//            The loop outlives it, by a run() or drain() if something was wanted.
//            Draining ends the wish: nothing is wanted afterwards, and want() begins anew.
// Errors     What the system refuses to poll counts as ready, every millisecond: the
//            library's own call then tells what is wrong, or goes on. Files are always ready.
// Thread     The loop's.
#pragma once

#include <utility>

#include "wev/loop/request.hpp"

namespace wev {

class Watcher {
 public:
  /// Of nothing, until one is moved here.
  Watcher() = default;
  Watcher(Watcher&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Watcher& operator=(Watcher&& other) noexcept;
  ~Watcher() { end(); }

  /// Nothing is wanted at first. bad_file_descriptor: `fd` is not open;
  /// too_many_files_open, not_enough_memory.
  static Expected<Watcher> open(Loop& loop, int fd);
  [[nodiscard]] bool is_open() const noexcept { return state_ != nullptr; }

  /// Calls `callback(std::size_t bits)`. It may be set anew at any time.
  template <class F>
  void on_ready(F callback) {
    state().callback.set(std::move(callback));
  }
  /// From now on the callback is told of these Readiness bits, and of no others; 0: of
  /// nothing. REQUIRES: on_ready() was called.
  void want(std::size_t bits);
  [[nodiscard]] std::size_t wanted() const noexcept { return state().wanted; }

  /// Whether what it wants keeps run() going; it does unless said otherwise.
  void ref() { refer(true); }
  void unref() { refer(false); }

  /// For a task, or a Request: end once a read or write would not block. They do not touch
  /// what is wanted. Destroying the watcher ends them with operation_canceled (where there
  /// are no duplicates they have to end before).
  [[nodiscard]] Awaitable<ToNothing> readable() const noexcept {
    return {*state().loop, op::poll_readable(state().fd)};
  }
  [[nodiscard]] Awaitable<ToNothing> writable() const noexcept {
    return {*state().loop, op::poll_writable(state().fd)};
  }

  [[nodiscard]] Loop& loop() const noexcept { return *state().loop; }
  /// What is polled, for nothing else.
  [[nodiscard]] int fd() const noexcept { return state().fd; }

 private:
  struct Side {
    Completion completion;  // a poll; or after one that failed, a timer
    bool told = false;      // by the other side, in the same tick
    bool refused = false;   // the last poll failed
  };

  // Lives on until its completions have come back, and while its callback runs.
  struct State : Allocated {
    Side sides[2];  // by Direction: in, out
    InlineFunction<std::size_t> callback;
    Loop* loop = nullptr;
    std::size_t wanted = 0;
    int fd = -1;
    bool owned = false;  // it is a duplicate
    bool referenced = true;
    bool calling = false;
    bool gone = false;

    [[nodiscard]] bool idle() const noexcept;
    void lend(std::size_t bit);
    void update();
    void ended(std::size_t bit, Result result);
    void tell(std::size_t bit);
    void end_if_idle();
    static Action on_in(void* self, Loop&, Completion&, Result result);
    static Action on_out(void* self, Loop&, Completion&, Result result);
  };

  explicit Watcher(State* state) noexcept : state_(state) {}
  [[nodiscard]] State& state() const noexcept {
    WEV_ASSERT(is_open(), "Watcher: it is not open");
    return *state_;
  }
  void refer(bool referenced);
  void end() noexcept;

  State* state_ = nullptr;
};

}  // namespace wev
