// contract.hpp: the fixture of the contract suite.
//
// Operations are lent by Probes, which remember how they ended and watch the
// promises that hold for every operation: one callback for each add(), never
// from inside a call of the program, with the completion dead.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "rig/rig.hpp"
#include "wev/loop/loop.hpp"

namespace wev::test {

using namespace std::chrono_literals;

/// A value that can be a buffer.
template <std::size_t size>
struct Buffer {
  std::byte bytes[size] = {};
  [[nodiscard]] std::string_view text(std::size_t count) const {
    return {reinterpret_cast<const char*>(bytes), count};
  }
};

class Contract;

struct Probe {
  Probe(Contract& contract, std::string its_name) : test(contract), name(std::move(its_name)) {}

  Contract& test;
  Completion completion;
  std::string name;
  /// What the callback does, once the ending is written down.
  std::function<Action(Probe&)> then;
  std::vector<Result> results;
  bool lent = false;

  [[nodiscard]] std::size_t calls() const { return results.size(); }
  [[nodiscard]] Result result() const { return results.back(); }
  [[nodiscard]] Completion::State state() const { return completion.state(); }
};

class Contract : public testing::TestWithParam<RigMaker> {
 public:
  Loop& loop() { return *loop_; }
  Rig& rig() { return *rig_; }
  const Traits& traits() { return rig_->traits(); }

 protected:
  void SetUp() override;
  void TearDown() override;

  Probe& probe(std::string name = {}, std::function<Action(Probe&)> then = {});

  // The loop's calls, watched.
  void add(Probe& probe, const Operation& operation, Instant deadline = never);
  void timer(Probe& probe, Duration delay) { add(probe, op::timer(delay)); }
  Probe& timer(std::string name, Duration delay);
  void cancel(Probe& target);
  void cancel(Probe& probe, Probe& target);
  void post(Probe& probe);
  bool reset(Probe& probe, Duration delay);
  void notify(Async& async);
  void complete(const Ticket& ticket, Result result);

  /// A new probe with this operation.
  Probe& start(std::string name, const Operation& operation, Instant deadline = never);

  void run(RunMode mode = RunMode::until_done);
  /// One tick that does not sleep.
  void look();
  /// Ticks until `done`, and fails instead of going on for ever.
  void run_until(const std::function<bool()>& done);

  /// Detached at the end of the test.
  Async& async();

  // Descriptors, closed at the end of the test.
  struct Pair {
    int reader = -1;
    int writer = -1;
  };
  Pair pipe();
  Pair socket_pair();
  int file(std::string_view contents = {});
  /// What op::open makes of a path.
  int open(const char* path, std::uint32_t flags);
  int listen();
  int connect(int listener);
  int owned(int fd);

  // Buffers, which live until what is in flight at the end of the test is over.
  template <std::size_t size>
  std::span<Buffer<size>> make_buffers(std::size_t count) {
    auto owned = std::make_shared<std::vector<Buffer<size>>>(count);
    memory_.push_back(owned);
    return *owned;
  }
  template <std::size_t size>
  Buffer<size>& make_buffer() {
    return make_buffers<size>(1)[0];
  }

  /// Fills a pipe until it takes no more; returns what it holds.
  std::string fill(int fd);

  /// The names of the probes in the order of their callbacks.
  [[nodiscard]] const std::string& log() const { return log_; }

 private:
  static Action on_end(void* userdata, Loop& loop, Completion& completion, Result result);
  /// All that is lent is found, and nothing else.
  void count_lent();
  template <class F>
  auto inside_call(F f);

  std::unique_ptr<Rig> rig_;
  std::unique_ptr<Loop> loop_;
  std::deque<std::shared_ptr<void>> memory_;
  std::deque<Probe> probes_;
  std::deque<Async> asyncs_;
  std::vector<int> descriptors_;
  std::string log_;
  bool inside_ = false;
  bool draining_ = false;
};

/// What needs other threads; for rigs that are woken by them.
class ContractWithThreads : public Contract {};

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// For messages of failed expectations.
std::string describe(const Result& result);

/// EXPECT_END(probe, 5), EXPECT_END(probe, Errc::operation_canceled), ...
testing::AssertionResult ended_with(const Probe& probe, const Result& expected);
inline testing::AssertionResult ended_with(const Probe& probe, Error expected) {
  return ended_with(probe, Result(std::unexpected(expected)));
}
inline testing::AssertionResult ended_with(const Probe& probe, Errc expected) {
  return ended_with(probe, Error(expected));
}
inline testing::AssertionResult ended_with(const Probe& probe, std::errc expected) {
  return ended_with(probe, Error(expected));
}

/// A timer's ending: after one period, or more where the system was busy.
testing::AssertionResult has_fired(const Probe& timer);

}  // namespace wev::test

#define EXPECT_FIRED(timer) EXPECT_TRUE(::wev::test::has_fired(timer))
#define EXPECT_END(probe, expected) EXPECT_TRUE(::wev::test::ended_with(probe, expected))

/// Skips the test where the backend's world cannot do what it needs.
#define NEEDS(trait)                                                         \
  do {                                                                       \
    if (traits().no_##trait != nullptr) GTEST_SKIP() << traits().no_##trait; \
  } while (false)
