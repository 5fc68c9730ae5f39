// rig.hpp: what a backend's test file provides: loops and descriptors.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "support/seeds.hpp"
#include "wev/loop/loop.hpp"

namespace wev::test {

/// What a backend's world cannot do, each with the reason; nullptr: it can.
struct Traits {
  const char* no_pipes = nullptr;
  const char* no_full_pipes = nullptr;  ///< writing blocks the program
  const char* no_broken_pipes = nullptr;
  const char* no_polls = nullptr;          ///< what only polls never ends
  const char* no_poll_readable = nullptr;  ///< the host does not know, of pipes
  const char* no_poll_writable = nullptr;
  const char* no_sockets = nullptr;
  const char* no_socket_errors = nullptr;
  const char* no_files = nullptr;
  const char* no_threads = nullptr;
  const char* no_unreachable = nullptr;
  const char* no_still_clock = nullptr;  ///< Loop::now() between two ticks
  const char* no_prompt_ends = nullptr;  ///< an operation takes a while by itself
  /// Of what a test does at random.
  std::uint64_t seed = number_of("WEV_SEED", 1);
  /// How many timers are a lot.
  std::size_t many_timers = 10'000;
  /// How many waiting descriptors are a lot; 0: see no_pipes.
  std::size_t many_descriptors = 200;
  /// How many connections are a lot, both ends in the program.
  std::size_t many_connections = 300;
};

class Rig {
 public:
  Rig() = default;
  virtual ~Rig() = default;
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  [[nodiscard]] const Traits& traits() const { return traits_; }

  virtual std::unique_ptr<Loop> loop() = 0;

  // Loops of the rig are turned by these, on the rigs that drive them from outside, too.

  /// As Loop::run(mode).
  virtual Expected<void> run(Loop& loop, RunMode mode) { return loop.run(mode); }
  Expected<void> run(Loop& loop) { return run(loop, RunMode::until_done); }
  /// As Loop::tick().
  virtual Expected<std::size_t> tick(Loop& loop) { return loop.tick(); }
  /// By another than the loop itself.
  [[nodiscard]] virtual bool driven() const { return false; }

  /// {read end, write end}, non-blocking. REQUIRES: the trait.
  virtual std::pair<int, int> pipe() = 0;
  virtual std::pair<int, int> socket_pair() = 0;
  virtual int listen() = 0;
  virtual int connect(int listener) = 0;
  /// A file open for reading and writing, at its start.
  virtual int file(std::string_view contents) = 0;

  /// A TCP socket from which 127.0.0.1 cannot be reached.
  virtual int unreachable_socket() { return -1; }

  /// Carries an operation out from outside of the loop, now.
  virtual Result perform(const Operation& operation) { return operation.perform(); }

  /// Lets `duration` pass while the program is busy.
  virtual void busy(Loop& loop, Duration duration) = 0;

  /// Called after the loop is gone: whether the world saw anything wrong.
  virtual void check() {}

  // From perform().

  Result write(int fd, std::string_view text) {
    auto left = std::as_bytes(std::span(text));
    while (!left.empty()) {
      const Result written = perform(op::write(fd, left));
      if (!written) return left.size() == text.size() ? written : text.size() - left.size();
      left = left.subspan(*written);
    }
    return text.size();
  }

  /// What there is, up to the end or until it would block.
  std::string read_all(int fd) {
    std::string all;
    std::byte buffer[4096];
    for (;;) {
      const Result read = perform(op::read(fd, buffer));
      if (!read || *read == 0) return all;
      all.append(reinterpret_cast<const char*>(buffer), *read);
    }
  }

  Result close(int fd) { return perform(op::close(fd)); }

 protected:
  Traits traits_;
};

struct RigMaker {
  std::string name;
  std::function<std::unique_ptr<Rig>()> make;

  // For GoogleTest's messages.
  friend void PrintTo(const RigMaker& maker, std::ostream* out) { *out << maker.name; }
};

}  // namespace wev::test
