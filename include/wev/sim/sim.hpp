// sim.hpp: a backend whose time, descriptors and moods are made up.
//
// For testing programs that use a loop. Time is virtual: a timer of an hour
// takes no time. Pipes, files and sockets live in memory. And by its seed it
// takes every freedom that backend.hpp leaves a real system: an operation ends
// at once or later, in any order, with fewer bytes than asked for; a cancel
// comes at once, late or too late; sleep() wakes for nothing. A program that is
// right on a thousand seeds leans on no accident of one system, and one that is
// wrong is so again on the same seed.
//
//   wev::Sim sim({.seed = 7});
//   wev::Loop loop(sim);
//   auto [reader, writer] = sim.pipe();
//   ... add, run ...
//
// Runs       Everything of op::, but that what run_blocking is given is called at once, on
//            the loop's thread. Names of a Resolver and what an adapter waits for are the
//            real system's. Signals come by raise(), and processes are played by the test,
//            see on_spawn().
// Files      By path, for as long as the Sim lives, below no directories; of at most
//            1 GiB. They are read and written as they were opened, and what is
//            appended goes to the end, as on Linux. A path of a Unix socket is free
//            again when its socket is closed.
// Sockets    Reach each other within one Sim, on every address. As on Linux an address
//            is taken once, a full Unix socket says "try again", and datagrams
//            that nobody receives are lost.
// Thread     As every backend: wake() from any, the rest from the loop's.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "wev/base/array.hpp"
#include "wev/loop/backend.hpp"

namespace wev {

class World;
class Random;

class Sim final : public Backend {
 public:
  struct Options {
    std::uint64_t seed = 0;
    /// false: operations end as soon and as whole as they can, in order.
    bool moody = true;
    /// Other threads notify the loop. Without them, Loop::run() ends with
    /// Errc::deadlock when nothing can happen any more.
    bool threads = false;
    /// Bytes that a pipe or one direction of a socket holds.
    std::size_t capacity = 65536;
    /// Now and then up to so long passes while the clock is looked at, as if the
    /// machine had been busy with something else: what a program does "at once"
    /// is late, and timers of different delays are due together. At 0 time
    /// passes only in sleep() and advance(), and for a loop that never sleeps: from
    /// the 65th reading of the clock after a sleep on, each takes a microsecond.
    Duration longest_stall = Duration::zero();
  };

  explicit Sim(Options options);
  Sim() : Sim(Options{}) {}
  ~Sim() override;

  // Descriptors, for the loop or for the calls below ---------------------------

  /// {read end, write end}
  std::pair<int, int> pipe();
  /// Both ends of a connection.
  std::pair<int, int> socket_pair();
  /// A file open for reading and writing, at its start.
  int file(std::string_view contents = {});
  int listen();
  /// The client's end of a new connection, which the listener then accepts.
  /// REQUIRES: `listener` came from listen().
  int connect(int listener);

  // The world outside the loop --------------------------------------------------

  /// Carries out any operation on a descriptor at once, as another process
  /// would: what would block is resource_unavailable_try_again.
  using Backend::perform;
  Result read(int fd, std::span<std::byte> buffer) { return perform(op::read(fd, buffer)); }
  Result write(int fd, std::string_view text) {
    return perform(op::write(fd, std::as_bytes(std::span(text))));
  }
  Result close(int fd) { return perform(op::close(fd)); }
  /// REQUIRES: `fd` is an open file.
  [[nodiscard]] std::string contents(int fd) const;
  [[nodiscard]] std::size_t open_descriptors() const;

  /// The next operation on `fd` that is carried out fails with `error`.
  /// REQUIRES: `fd` is open.
  void fail_next(int fd, Error error);

  /// A signal comes, to each Signal that watches it. false: none does, and on a real
  /// system its default would happen.
  bool raise(int signal);

  // Processes, which the program spawns and the test plays ----------------------

  /// One that was spawned.
  struct Child {
    int pid;
    /// What the program asked for; only during the call.
    const Spawn& asked;
    /// Its stdin, stdout and stderr: its end of a pipe, or a duplicate of what it was given, for
    /// the test to close, or to give to handles. -1: it was given none of the Sim's.
    std::array<int, 3> stdio;
  };
  /// Has `play` called by each spawn. An error: the spawn fails with it. Else the child is
  /// there, and runs until exit(), which `play` may call: what it reads, writes and waits for
  /// meanwhile may be a task on the same loop. Without one spawn ends with
  /// operation_not_supported.
  void on_spawn(std::function<Expected<void>(const Child& child)> play);
  /// A child ends: its pipes hang up, and what still uses their numbers here ends with
  /// bad_file_descriptor. false: it has ended by now, as one that was killed.
  bool exit(int pid, int code);
  [[nodiscard]] bool runs(int pid) const;
  /// A signal comes to it, as by Process::kill: ends it or, if on_kill() was called for it, calls
  /// what that was given. SIGKILL (9) always ends it. Nothing happens if it has ended.
  void kill(int pid, int signal);
  /// Has `handle` called in place of being ended by a signal. REQUIRES: it runs.
  void on_kill(int pid, std::function<void(int signal)> handle);

  /// Lets time pass, as if the program had been busy.
  void advance(Duration duration);

  // Backend -------------------------------------------------------------------

  [[nodiscard]] const char* name() const noexcept override { return "sim"; }
  Expected<void> know(Descriptor& descriptor, const Operation& operation) override;
  std::optional<Result> start(Completion& completion) override;
  std::optional<Result> cancel(Completion& completion) override;
  Expected<void> collect(CompletionQueue& done) override;
  Expected<void> sleep(Instant until) override;
  void wake() noexcept override;
  [[nodiscard]] Instant now() const override;
  [[nodiscard]] Instant look_by(Instant looked_at) const override;
  System* system() noexcept override;

 private:
  struct Flight {
    Completion* completion;
    Instant earliest;  // it takes at least until then
    bool cancel_asked;
  };

  [[nodiscard]] bool can_end(const Flight& flight) const;
  [[nodiscard]] Instant next_end() const;
  void remove(std::size_t i);
  void end_some(CompletionQueue& done);
  Result outcome(const Flight& flight);

  Options options_;
  std::unique_ptr<Random> random_;
  std::unique_ptr<World> world_;
  std::unique_ptr<Random> stalls_;  // of its own: moods are the same with stalls and without
  mutable Instant now_{std::chrono::seconds(1)};
  mutable std::size_t readings_ = 0;  // of the clock, since the last sleep
  Array<Flight> flights_;             // a completion's note is the index + 1
  Array<Completion*> ending_;         // end_some()'s; has room for all flights
  std::atomic<bool> woken_{false};
};

}  // namespace wev
