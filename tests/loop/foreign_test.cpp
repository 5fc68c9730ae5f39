// Foreign operations of several loops, which share the memory for them.
#include "wev/loop/foreign.hpp"

#include <array>
#include <thread>

#include <gtest/gtest.h>

#include "wev/loop/loop.hpp"
#include "wev/sim/sim.hpp"

namespace wev::test {

namespace {

// Every other time it is completed while it starts, else by whoever turns the loop.
struct Round {
  Completion completion;
  Ticket ticket;
  std::size_t left = 0;
  int wrong = 0;

  static void begin(void* self, Ticket ticket) noexcept {
    auto& round = *static_cast<Round*>(self);
    round.ticket = ticket;
    if (round.left % 2 == 0) ticket.complete(round.left);
  }
  static Action on_end(void* self, Loop&, Completion&, Result result) {
    auto& round = *static_cast<Round*>(self);
    if (result != Result(round.left)) ++round.wrong;
    return --round.left > 0 ? Action::rearm : Action::disarm;
  }
};

template <std::size_t count>
void run_all(std::array<Round, count>& rounds) {
  Sim sim;
  Loop loop(sim);
  for (Round& round : rounds) {
    round.left = 1'000;
    loop.add(round.completion, op::foreign(Round::begin, nullptr, &round), &round, Round::on_end);
  }
  while (loop.active() > 0) {
    EXPECT_TRUE(loop.tick(RunMode::no_wait));
    for (Round& round : rounds) {
      if (round.completion.state() != Completion::State::active) continue;
      round.ticket.complete(round.left);
    }
  }
}

}  // namespace

TEST(Foreign, LoopsOnSeveralThreadsDoNotGetInEachOthersWay) {
  std::array<std::array<Round, 50>, 4> of_loops;
  std::array<std::thread, of_loops.size()> threads;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    threads[i] = std::thread([&rounds = of_loops[i]] { run_all(rounds); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& rounds : of_loops) {
    for (const Round& round : rounds) {
      EXPECT_EQ(round.left, 0u);
      EXPECT_EQ(round.wrong, 0);
    }
  }
}

// A callback of one completes the other's, and that answers.
TEST(Foreign, TwoLoopsOfOneThreadAnswerEachOther) {
  Sim first_sim({.moody = false});
  Sim second_sim({.moody = false});
  Loop first(first_sim);
  Loop second(second_sim);
  struct Side {
    Completion completion;
    Ticket ticket;
    Side* other = nullptr;
    int answers = 0;

    static void begin(void* self, Ticket ticket) noexcept {
      static_cast<Side*>(self)->ticket = ticket;
    }
    static Action on_end(void* self, Loop&, Completion&, Result) {
      auto& side = *static_cast<Side*>(self);
      if (++side.answers == 10) return Action::disarm;
      side.other->ticket.complete(0);
      return Action::rearm;
    }
  } a, b;
  a.other = &b;
  b.other = &a;
  first.add(a.completion, op::foreign(Side::begin, nullptr, &a), &a, Side::on_end);
  second.add(b.completion, op::foreign(Side::begin, nullptr, &b), &b, Side::on_end);
  const auto turn = [](Loop& loop) { EXPECT_TRUE(loop.tick(RunMode::no_wait)); };
  turn(first);
  turn(second);
  a.ticket.complete(0);
  for (int i = 0; i < 9; ++i) {
    turn(first);
    turn(first);  // and it starts again
    turn(second);
    turn(second);
  }
  EXPECT_EQ(b.answers, 9);
  turn(first);
  EXPECT_EQ(a.answers, 10);
  b.ticket.complete(0);
  turn(second);
  EXPECT_EQ(b.answers, 10);
}

}  // namespace wev::test
