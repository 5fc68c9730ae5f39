// Notifications, from the loop's thread and from others.
#include <atomic>

#include "rig/contract.hpp"
#include "support/threads.hpp"

namespace wev::test {

TEST_P(Contract, ANotifyBeforeTheWaitIsRemembered) {
  Async& async = this->async();
  notify(async);
  notify(async);
  notify(async);
  look();
  Probe& first = start("first", op::async_wait(async));
  run();
  EXPECT_END(first, Result(0));
  // Three were one.
  Probe& second = start("second", op::async_wait(async), loop().now() + 2ms);
  run();
  EXPECT_END(second, Errc::timed_out);
}

TEST_P(Contract, ANotifyInTheSameTickAsTheWaitIsNotLost) {
  Async& async = this->async();
  Probe& before = start("before", op::async_wait(async));
  notify(async);
  run();
  EXPECT_END(before, Result(0));
}

TEST_P(Contract, ANotifyFromACallbackEndsTheWait) {
  Async& async = this->async();
  Probe& waiting = start("waiting", op::async_wait(async));
  Probe& t = probe("t", [&](Probe&) {
    notify(async);
    notify(async);
    return Action::disarm;
  });
  timer(t, 2ms);
  run();
  EXPECT_EQ(log(), "t waiting");
  EXPECT_EQ(waiting.calls(), 1u);
}

TEST_P(Contract, ANotifyEndsAllThatWait) {
  Async& async = this->async();
  start("a", op::async_wait(async));
  start("b", op::async_wait(async));
  start("c", op::async_wait(async));
  look();
  notify(async);
  run();
  EXPECT_EQ(log(), "a b c");
}

TEST_P(Contract, ManyAsyncsAreToldApart) {
  std::deque<Async> asyncs;
  std::vector<Probe*> waiting;
  for (int i = 0; i < 100; ++i) {
    asyncs.emplace_back(loop());
    waiting.push_back(&start(std::to_string(i), op::async_wait(asyncs.back())));
  }
  look();
  notify(asyncs[63]);
  notify(asyncs[7]);
  look();
  EXPECT_EQ(log(), "63 7");
  EXPECT_EQ(loop().active(), 98u);
  for (Async& async : asyncs) loop().detach(async);
  run();
  for (int i = 0; i < 100; ++i) {
    if (i == 63 || i == 7) continue;
    EXPECT_END(*waiting[static_cast<std::size_t>(i)], Errc::operation_canceled);
  }
}

TEST_P(Contract, AnAsyncCanBeFreedOnceDetached) {
  auto owned_async = std::make_unique<Async>(loop());
  Probe& p = start("p", op::async_wait(*owned_async));
  look();
  notify(*owned_async);
  loop().detach(*owned_async);
  owned_async.reset();
  run();
  EXPECT_EQ(p.calls(), 1u);
}

TEST_P(Contract, AnAsyncWaitCanBeRearmedAndCountsEveryDelivery) {
  Async& async = this->async();
  Probe& p =
      probe("p", [](Probe& self) { return self.calls() < 3 ? Action::rearm : Action::disarm; });
  add(p, op::async_wait(async));
  for (int i = 0; i < 3; ++i) {
    notify(async);
    look();
  }
  run();
  EXPECT_EQ(p.calls(), 3u);
}

TEST_P(ContractWithThreads, ANotifyFromAnotherThreadWakesTheLoop) {
  NEEDS(threads);
  Async& async = this->async();
  Probe& p = start("p", op::async_wait(async));
  const Joiner join = spawn([&] { async.notify(); });
  run();
  join();
  EXPECT_END(p, Result(0));
}

TEST_P(ContractWithThreads, NotifiesFromManyThreadsAreNeverLost) {
  NEEDS(threads);
  constexpr int threads = 4;
  constexpr int rounds = 2'000;
  Async& async = this->async();
  std::atomic<int> sent{0};
  int seen = 0;
  Probe& p = probe({}, [&](Probe&) {
    seen = sent.load(std::memory_order_relaxed);
    return seen < threads * rounds ? Action::rearm : Action::disarm;
  });
  add(p, op::async_wait(async));
  std::vector<Joiner> running;
  for (int t = 0; t < threads; ++t) {
    running.push_back(spawn([&] {
      for (int i = 0; i < rounds; ++i) {
        sent.fetch_add(1, std::memory_order_relaxed);
        async.notify();
      }
    }));
  }
  // Ends only if the callback saw what came before the last notify.
  run();
  for (const Joiner& join : running) join();
  EXPECT_EQ(seen, threads * rounds);
  look();
}

TEST_P(ContractWithThreads, PostsFromManyThreadsRunOnceEachInTheirThreadsOrder) {
  NEEDS(threads);
  constexpr int threads = 4;
  constexpr int rounds = 1'000;
  std::vector<int> last(threads, -1);
  bool in_order = true;
  int total = 0;
  Async& hold = async();
  Probe& held = start("held", op::async_wait(hold));
  std::vector<Joiner> running;
  for (int t = 0; t < threads; ++t) {
    running.push_back(spawn([&, t] {
      for (int i = 0; i < rounds; ++i) {
        EXPECT_TRUE(loop().post([&, t, i] {
          auto& mine = last[static_cast<std::size_t>(t)];
          in_order = in_order && mine == i - 1;
          mine = i;
          if (++total == threads * rounds) hold.notify();
        }));
      }
    }));
  }
  run();
  for (const Joiner& join : running) join();
  EXPECT_EQ(total, threads * rounds);
  EXPECT_TRUE(in_order);
  EXPECT_END(held, Result(0));
}

// Nor is it called: what it refers to may be gone.
TEST_P(Contract, AFunctionThatWasPostedAndNeverCalledIsFreedWithItsLoop) {
  const auto owned = std::make_shared<int>(0);
  {
    const auto loop = rig().loop();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(loop->post([owned] { ++*owned; }));
    EXPECT_EQ(owned.use_count(), 4);
  }
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_EQ(*owned, 0);
}

// What a function owns may post another when it is freed.
TEST_P(Contract, WhatIsPostedWhileALoopFreesItsPostsIsFreedToo) {
  const auto owned = std::make_shared<int>(0);
  struct PostsAtItsEnd {
    Loop* loop;
    std::shared_ptr<int> owned;
    PostsAtItsEnd(Loop& its_loop, std::shared_ptr<int> its)
        : loop(&its_loop), owned(std::move(its)) {}
    PostsAtItsEnd(PostsAtItsEnd&& other) noexcept
        : loop(std::exchange(other.loop, nullptr)), owned(std::move(other.owned)) {}
    ~PostsAtItsEnd() {
      if (loop != nullptr) loop->post([mine = owned] { ++*mine; });
    }
  };
  {
    const auto loop = rig().loop();
    loop->post([posts = PostsAtItsEnd(*loop, owned)] {});
  }
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_EQ(*owned, 0);
}

}  // namespace wev::test
