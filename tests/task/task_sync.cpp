// Tasks that wait for each other: Event, Semaphore, Mutex, Channel. And what a program of
// tasks allocates.
#include "task/tasks.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "wev/io/stream.hpp"
#include "wev/task/channel.hpp"
#include "wev/task/sync.hpp"
#include "wev/task/task_group.hpp"
#include "wev/task/timeout.hpp"
#include "wev/task/when.hpp"

namespace wev::test {

namespace {

/// Ends when `body` and all that it has spawned have.
template <class Body>
Task<> grouped(Body body) {
  const Expected<void> ended = co_await with_group(isolate, std::move(body));
  EXPECT_TRUE(ended);
}

/// Counts those that were not moved from and not destroyed.
class Parcel {
 public:
  Parcel(int& alive, int number) noexcept : alive_(&alive), number_(number) { ++alive; }
  Parcel(Parcel&& other) noexcept
      : alive_(std::exchange(other.alive_, nullptr)), number_(other.number_) {}
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;
  Parcel& operator=(Parcel&& other) noexcept {
    std::swap(alive_, other.alive_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~Parcel() {
    if (alive_ != nullptr) --*alive_;
  }
  [[nodiscard]] int number() const { return number_; }

 private:
  int* alive_;
  int number_;
};

}  // namespace

// Event -----------------------------------------------------------------------------------

TEST_P(Contract, AnEventLetsAllGoThatWaitInTheirOrderAndWhoComesLater) {
  Event event;
  std::string log;
  const auto waits = [&](char name) -> Task<Expected<void>> {
    co_await ok(event.wait());
    log += name;
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                         for (const char name : {'a', 'b', 'c'}) group.spawn(waits(name));
                         (void)co_await yield();
                         EXPECT_EQ(log, "");
                         event.set();
                         EXPECT_EQ(log, "") << "what waits runs inside of set()";
                         (void)co_await yield();
                         EXPECT_EQ(log, "abc");
                         EXPECT_TRUE(event.is_set());
                         group.spawn(waits('d'));
                         (void)co_await waits('e');
                       })));
  EXPECT_EQ(log, "abced");
}

TEST_P(Contract, AnEventThatIsResetIsWaitedForAgain) {
  Event event;
  std::string log;
  const auto waits = [&](char name) -> Task<Expected<void>> {
    co_await ok(event.wait());
    log += name;
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                         group.spawn(waits('a'));
                         (void)co_await yield();
                         event.set();
                         event.reset();  // 'a' goes on nevertheless
                         group.spawn(waits('b'));
                         (void)co_await yield();
                         EXPECT_EQ(log, "a");
                         event.set();
                       })));
  EXPECT_EQ(log, "ab");
}

TEST_P(Contract, AnEventIsSetByACallback) {
  Event event;
  std::string log;
  Probe& sets = probe({}, [&](Probe&) {
    event.set();
    EXPECT_EQ(log, "");
    return Action::disarm;
  });
  timer(sets, 1ms);
  const auto task = [&]() -> Task<Expected<void>> {
    co_await ok(event.wait());
    log += 'a';
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_EQ(log, "a");
}

TEST_P(Contract, OneThatIsCanceledLeavesTheOthersWaiting) {
  Event event;
  Event canceled;
  std::string log;
  const auto waits = [&](char name, Duration limit) -> Task<> {
    const Expected<void> waited = co_await timeout(limit, event.wait());
    log += name;
    log += waited ? '+' : '-';
    canceled.set();
  };
  EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                         group.spawn(waits('a', 1h));
                         group.spawn(waits('b', 1ms));
                         group.spawn(waits('c', 1h));
                         (void)co_await canceled.wait();
                         event.set();
                       })));
  EXPECT_EQ(log, "b-a+c+");
}

// Semaphore, Mutex ----------------------------------------------------------------------------

TEST_P(Contract, ASemaphoreGivesItsPlacesInTheOrderInWhichTasksCame) {
  Semaphore places(2);
  int inside = 0;
  std::string log;
  const auto enters = [&](char name) -> Task<Expected<void>> {
    const Semaphore::Place place = co_await ok(places.acquire());
    EXPECT_TRUE(place.owns());
    const Counted counted(inside);
    EXPECT_LE(inside, 2);
    log += name;
    co_await ok(sleep(1ms));
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                         EXPECT_EQ(places.available(), 2u);
                         for (char name = 'a'; name <= 'j'; ++name) group.spawn(enters(name));
                         (void)co_await yield();
                         EXPECT_EQ(inside, 2);
                         EXPECT_FALSE(places.try_acquire().owns());
                       })));
  EXPECT_EQ(log, "abcdefghij");
  EXPECT_EQ(places.available(), 2u);
}

TEST_P(Contract, NobodyOvertakesWhoWaitsForAPlace) {
  Semaphore places(1);
  std::string log;
  const auto enters = [&](char name) -> Task<Expected<void>> {
    const Semaphore::Place place = co_await ok(places.acquire());
    log += name;
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                         auto mine = places.try_acquire();
                         EXPECT_TRUE(mine.owns());
                         group.spawn(enters('a'));
                         group.spawn(enters('b'));
                         (void)co_await yield();
                         mine.release();
                         // It is 'a's, which has not run yet.
                         EXPECT_FALSE(places.try_acquire().owns());
                         EXPECT_EQ(places.available(), 0u);
                         (void)co_await enters('c');
                       })));
  EXPECT_EQ(log, "abc");
  EXPECT_EQ(places.available(), 1u);
}

TEST_P(Contract, NoPlaceIsLostWithACancel) {
  Semaphore places(1);
  std::string log;
  Event canceled;
  const auto enters = [&](char name) -> Task<Expected<void>> {
    const auto place = co_await places.acquire();
    log += name;
    log += place ? '+' : '-';
    co_return {};
  };
  const auto task = [&]() -> Task<Expected<void>> {
    auto mine = places.try_acquire();
    // Cancelled while it waits; and when the place is its own, but it has not run yet.
    const auto first = co_await when_any(enters('a'), yield());
    EXPECT_EQ(first.index(), 1u);
    const auto gives = [&]() -> Task<> {
      (void)co_await yield();
      mine.release();
    };
    const auto second = co_await when_any(enters('b'), gives());
    EXPECT_EQ(second.index(), 1u);
    EXPECT_EQ(places.available(), 1u);
    Semaphore::Place moved = places.try_acquire();
    Semaphore::Place other = std::move(moved);
    EXPECT_TRUE(other.owns());
    other = Semaphore::Place();
    EXPECT_EQ(places.available(), 1u);
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_EQ(log, "a-b+");
}

TEST_P(Contract, AMutexIsHadByOneAtATimeAndInTurn) {
  Mutex mutex;
  int inside = 0;
  std::string log;
  const auto locks = [&](char name) -> Task<Expected<void>> {
    for (int i = 0; i < 3; ++i) {
      const Mutex::Lock lock = co_await ok(mutex.lock());
      const Counted counted(inside);
      EXPECT_EQ(inside, 1);
      EXPECT_TRUE(mutex.locked());
      EXPECT_FALSE(mutex.try_lock().owns());
      log += name;
      if (i != 1) co_await ok(yield());
    }
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                         for (const char name : {'a', 'b', 'c'}) group.spawn(locks(name));
                         co_return;
                       })));
  EXPECT_EQ(log, "abcabcabc");
  EXPECT_FALSE(mutex.locked());
  EXPECT_TRUE(mutex.try_lock().owns());
}

// Channel ---------------------------------------------------------------------------------

TEST_P(Contract, AChannelGivesEachValueOnceAndInOrder) {
  for (const std::size_t capacity : {0, 1, 7}) {
    int alive = 0;
    {
      Channel<Parcel> channel(capacity);
      EXPECT_EQ(channel.capacity(), capacity);
      constexpr int count = 200;
      const auto sends = [&]() -> Task<Expected<void>> {
        for (int i = 0; i < count; ++i) {
          if (i % 13 == 0) co_await ok(yield());
          co_await ok(channel.send(Parcel(alive, i)));
          EXPECT_LE(channel.size(), capacity);
        }
        channel.close();
        co_return {};
      };
      int next = 0;
      const auto receives = [&]() -> Task<Error> {
        for (;;) {
          if (next % 17 == 0) (void)co_await yield();
          const Expected<Parcel> parcel = co_await channel.receive();
          if (!parcel) co_return parcel.error();
          EXPECT_EQ(parcel->number(), next++);
          EXPECT_LE(alive, static_cast<int>(capacity) + 2);
        }
      };
      const auto both = [&]() -> Task<> {
        const auto [sent, end] = co_await when_all(sends(), receives());
        EXPECT_TRUE(sent);
        EXPECT_EQ(end, Errc::closed);
      };
      EXPECT_TRUE(run_task(rig(), loop(), both()));
      EXPECT_EQ(next, count);
    }
    EXPECT_EQ(alive, 0);
  }
}

TEST_P(Contract, SendingWaitsUntilThereIsRoomOrSomebodyTakesIt) {
  for (const std::size_t capacity : {0, 1, 3}) {
    Channel<int> channel(capacity);
    int sent = 0;
    const auto sends = [&]() -> Task<Expected<void>> {
      for (int i = 0; i < 6; ++i) {
        co_await ok(channel.send(i));
        ++sent;
      }
      co_return {};
    };
    EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                           group.spawn(sends());
                           for (int i = 0; i < 6; ++i) {
                             (void)co_await yield();
                             EXPECT_EQ(sent, std::min(i + static_cast<int>(capacity), 6));
                             EXPECT_EQ(channel.try_receive(), i);
                           }
                           EXPECT_EQ(channel.try_receive(), std::nullopt);
                         })));
    EXPECT_EQ(sent, 6);
  }
}

TEST_P(Contract, ManySendersAndReceiversHaveTheirTurns) {
  for (const std::size_t capacity : {0, 1, 4}) {
    Channel<int> channel(capacity);
    std::vector<std::string> received(3);
    std::string all;
    const auto receives = [&](int who) -> Task<Expected<void>> {
      for (;;) {
        const int value = co_await ok(channel.receive());
        received[static_cast<std::size_t>(who)] += static_cast<char>('a' + value);
        all += static_cast<char>('a' + value);
      }
    };
    // Receivers wait, in turn.
    EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                           for (int who = 0; who < 3; ++who) group.spawn(receives(who));
                           for (int i = 0; i < 6; ++i) {
                             (void)co_await yield();
                             (void)co_await channel.send(i);
                           }
                           (void)co_await yield();
                           channel.close();
                         })));
    EXPECT_EQ(received, (std::vector<std::string>{"ad", "be", "cf"}));
    // Senders wait, in turn.
    Channel<int> other(capacity);
    std::string order;
    EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                           for (int i = 0; i < 10; ++i) {
                             group.spawn([](Channel<int>& to, int value) -> Task<Expected<void>> {
                               co_return co_await to.send(value);
                             }(other, i));
                           }
                           (void)co_await yield();
                           for (int i = 0; i < 10; ++i) {
                             const Expected<int> got = co_await other.receive();
                             order += static_cast<char>('0' + got.value_or(-1));
                           }
                         })));
    EXPECT_EQ(order, "0123456789");
  }
}

TEST_P(Contract, ATaskThatIsCanceledAtAChannelTakesNothingAndGivesNothing) {
  for (const std::size_t capacity : {0, 2}) {
    int alive = 0;
    {
      Channel<Parcel> channel(capacity);
      std::string log;
      const auto sends = [&](int value) -> Task<Expected<void>> {
        Expected<void> sent = co_await channel.send(Parcel(alive, value));
        log += static_cast<char>('0' + value);
        log += sent ? '+' : '-';
        co_return sent;
      };
      const auto receives = [&]() -> Task<Expected<int>> {
        const Parcel parcel = co_await ok(channel.receive());
        co_return parcel.number();
      };
      const auto task = [&]() -> Task<Expected<void>> {
        const Expected<int> none = co_await timeout(1ms, receives());
        EXPECT_FAILED(none, Errc::timed_out);
        for (std::size_t i = 0; i < capacity; ++i) co_await ok(sends(static_cast<int>(i)));
        // Two wait; the first of them gives up.
        const auto late = [&]() -> Task<Expected<void>> {
          co_return co_await timeout(2ms, sends(8));
        };
        const auto takes = [&]() -> Task<Expected<std::string>> {
          co_await ok(sleep(5ms));
          std::string got;
          for (std::size_t i = 0; i <= capacity; ++i) {
            got += std::to_string(co_await ok(receives()));
          }
          co_return got;
        };
        const auto [gave_up, waited, got] = co_await when_all(late(), sends(9), takes());
        EXPECT_FAILED(gave_up, Errc::timed_out);
        EXPECT_TRUE(waited);
        EXPECT_EQ(got, capacity == 0 ? "9" : "019");
        co_return {};
      };
      EXPECT_TRUE(run_task(rig(), loop(), task()));
      EXPECT_EQ(log, capacity == 0 ? "8-9+" : "0+1+8-9+");
      EXPECT_EQ(alive, 0);
    }
  }
}

TEST_P(Contract, AValueThatIsOnItsWayComesThoughItsReceiverIsCanceled) {
  Channel<int> channel(0);
  Expected<int> received = 0;
  const auto receives = [&]() -> Task<> { received = co_await channel.receive(); };
  const auto task = [&]() -> Task<> {
    const auto sends = [&]() -> Task<Expected<void>> {
      co_await ok(yield());
      co_return co_await channel.send(5);  // and wins, which cancels the receiver
    };
    const auto first = co_await when_any(receives(), sends());
    EXPECT_EQ(first.index(), 1u);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_EQ(received, 5);
}

TEST_P(Contract, AChannelThatIsClosedGivesWhatWasSentBefore) {
  for (const std::size_t capacity : {0, 2}) {
    int alive = 0;
    {
      Channel<Parcel> channel(capacity);
      const auto sends = [&](int value) -> Task<Expected<void>> {
        co_return co_await channel.send(Parcel(alive, value));
      };
      EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                             for (int i = 0; i < 4; ++i) group.spawn(sends(i));
                             (void)co_await yield();
                             channel.close();
                             EXPECT_TRUE(channel.is_closed());
                             const Expected<void> late = co_await sends(99);
                             EXPECT_FAILED(late, Errc::closed);
                             Parcel parcel(alive, 98);
                             EXPECT_FALSE(channel.try_send(parcel));
                             EXPECT_EQ(parcel.number(), 98);
                             for (int i = 0; i < 4; ++i) {
                               const Expected<Parcel> got = co_await channel.receive();
                               EXPECT_TRUE(got);
                               if (got) {
                                 EXPECT_EQ(got->number(), i) << "capacity " << capacity;
                               }
                             }
                             const Expected<Parcel> end = co_await channel.receive();
                             EXPECT_FAILED(end, Errc::closed);
                           })));
      EXPECT_EQ(alive, 0);
    }
  }
}

TEST_P(Contract, ClosingAChannelEndsAllThatReceive) {
  Channel<int> channel(1);
  int closed = 0;
  const auto receives = [&]() -> Task<> {
    const Expected<int> got = co_await channel.receive();
    EXPECT_FAILED(got, Errc::closed);
    ++closed;
  };
  EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                         for (int i = 0; i < 3; ++i) group.spawn(receives());
                         (void)co_await yield();
                         channel.close();
                         channel.close();
                         EXPECT_EQ(closed, 0);
                       })));
  EXPECT_EQ(closed, 3);
}

TEST_P(Contract, ValuesThatNobodyTookAreDestroyedWithTheirChannel) {
  int alive = 0;
  {
    Channel<Parcel> channel(3);
    for (int i = 0; i < 5; ++i) {
      Parcel parcel(alive, i);
      EXPECT_EQ(channel.try_send(parcel), i < 3);
    }
    EXPECT_EQ(alive, 3);
    EXPECT_EQ(channel.size(), 3u);
    EXPECT_EQ(channel.try_receive()->number(), 0);
    Parcel parcel(alive, 9);
    EXPECT_TRUE(channel.try_send(parcel));
    EXPECT_FALSE(channel.try_send(Parcel(alive, 10))) << "it is full";
    EXPECT_EQ(channel.try_receive()->number(), 1);
    EXPECT_TRUE(channel.try_send(Parcel(alive, 11)));
  }
  EXPECT_EQ(alive, 0);
}

TEST_P(Contract, AChannelWithoutMemoryHoldsNothingAndStillWorks) {
  std::optional<Channel<int>> channel;
  {
    const NoMemory no_memory;
    channel.emplace(4);
  }
  EXPECT_EQ(channel->capacity(), 0u);
  const auto sends = [&]() -> Task<Expected<void>> { co_return co_await channel->send(5); };
  const auto receives = [&]() -> Task<Expected<int>> { co_return co_await channel->receive(); };
  const auto both = [&]() -> Task<> {
    const auto [sent, got] = co_await when_all(sends(), receives());
    EXPECT_TRUE(sent);
    EXPECT_EQ(got, 5);
  };
  EXPECT_TRUE(run_task(rig(), loop(), both()));
}

TEST_P(Contract, WhateverIsSentAtRandomIsReceivedOnceOrNotSent) {
  std::mt19937_64 random(traits().seed);
  const auto pick = [&random](int choices) {
    return static_cast<int>(random() % static_cast<unsigned>(choices));
  };
  for (const std::size_t capacity : {0, 1, 5}) {
    int alive = 0;
    {
      Channel<Parcel> channel(capacity);
      constexpr int count = 300;
      std::vector<int> sent(count);
      std::vector<int> received(count);
      const auto sends = [&](int value) -> Task<Expected<void>> {
        co_await ok(sleep(pick(100) * 50us));
        const Expected<void> ended = co_await channel.send(Parcel(alive, value));
        if (ended) ++sent[static_cast<std::size_t>(value)];
        co_return ended;
      };
      const auto receives = [&]() -> Task<Expected<void>> {
        co_await ok(sleep(pick(100) * 50us));
        const Parcel parcel = co_await ok(channel.receive());
        ++received[static_cast<std::size_t>(parcel.number())];
        co_return {};
      };
      const auto limited = [&](Task<Expected<void>> task) -> Task<Expected<void>> {
        co_return co_await timeout(pick(100) * 100us, std::move(task));
      };
      EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                             for (int i = 0; i < count; ++i) {
                               group.spawn(limited(sends(i)));
                               group.spawn(limited(receives()));
                             }
                             co_return;
                           })));
      while (auto parcel = channel.try_receive()) {
        ++received[static_cast<std::size_t>(parcel->number())];
      }
      EXPECT_EQ(sent, received);
      EXPECT_LE(*std::ranges::max_element(sent), 1);
    }
    EXPECT_EQ(alive, 0);
  }
}

// Turns -------------------------------------------------------------------------------------

TEST_P(Contract, TasksThatKeepWakingEachOtherStarveNobody) {
  constexpr int too_often = 1'000'000;
  Channel<int> there(0);
  Channel<int> back(0);
  int rounds = 0;
  const auto player = [&](Channel<int>& from, Channel<int>& to) -> Task<Expected<void>> {
    for (;;) {
      const int ball = co_await ok(from.receive());
      co_await ok(to.send(ball + 1));
    }
  };
  const auto serves = [&]() -> Task<> {
    const Probe& fires = timer({}, 0ms);
    (void)co_await there.send(0);
    while (fires.calls() == 0 && rounds < too_often) {
      const Expected<int> ball = co_await back.receive();
      ++rounds;
      (void)co_await there.send(ball.value_or(0));
    }
    there.close();
    back.close();
  };
  const auto task = [&]() -> Task<> { (void)co_await when_any(player(there, back), serves()); };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_LT(rounds, too_often);
}

TEST_P(Contract, TasksThatAreReadyRunInTheOrderInWhichTheyWereWoken) {
  // More than run before the loop has its turn.
  constexpr int count = 3 * Scheduler::most_at_once;
  std::vector<int> order;
  std::vector<std::unique_ptr<Event>> events;
  for (int i = 0; i < count; ++i) events.push_back(std::make_unique<Event>());
  const auto waits = [&](int i) -> Task<Expected<void>> {
    co_await ok(events[static_cast<std::size_t>(i)]->wait());
    order.push_back(i);
    co_return {};
  };
  std::vector<int> woken(count);
  for (int i = 0; i < count; ++i) woken[static_cast<std::size_t>(i)] = i;
  std::mt19937_64 random(traits().seed);
  std::ranges::shuffle(woken, random);
  EXPECT_TRUE(run_task(rig(), loop(), grouped([&](TaskGroup& group) -> Task<> {
                         for (int i = 0; i < count; ++i) group.spawn(waits(i));
                         for (int i = 0; i < 5; ++i) (void)co_await yield();
                         for (const int i : woken) events[static_cast<std::size_t>(i)]->set();
                       })));
  EXPECT_EQ(order, woken);
}

// Memory --------------------------------------------------------------------------------------

TEST_P(Contract, OnceWarmTasksAllocateNothing) {
  constexpr int rounds = 300;
  Pair there;
  Pair back;
  const bool pipes = traits().no_pipes == nullptr;
  if (pipes) {
    there = pipe();
    back = pipe();
  }
  struct Table {
    Stream there_in, there_out, back_in, back_out;
    Channel<int> channel{1};
    Event go;
    int done = 0;
  } table;
  if (pipes) {
    table.there_in = Stream(loop(), there.reader);
    table.there_out = Stream(loop(), there.writer);
    table.back_in = Stream(loop(), back.reader);
    table.back_out = Stream(loop(), back.writer);
  }
  const auto echoes = [&](int times) -> Task<Expected<void>> {
    std::array<std::byte, 16> ball{};
    for (; pipes && times > 0; --times) {
      const std::size_t size = co_await ok(table.there_in.read_some(ball));
      co_await ok(table.back_out.write_all(std::span(ball).first(size)));
    }
    co_return {};
  };
  const auto sends = [&](int value) -> Task<Expected<void>> {
    for (int i = 0; i < 3; ++i) co_await ok(table.channel.send(value));
    co_return {};
  };
  const auto receives = [&]() -> Task<Expected<int>> {
    int sum = 0;
    for (int i = 0; i < 3; ++i) sum += co_await ok(table.channel.receive());
    co_return sum;
  };
  const auto member = [&]() -> Task<Expected<void>> {
    co_await ok(table.go.wait());
    ++table.done;
    co_return {};
  };
  const auto plays = [&](int times) -> Task<Expected<void>> {
    for (; times > 0; --times) {
      if (pipes) {
        std::array<std::byte, 1> ball{std::byte{7}};
        co_await ok(table.there_out.write_all(ball));
        co_await ok(table.back_in.read_exactly(ball).within(1h));
      }
      co_await ok(sleep(1us));
      const auto [sent, sum] = co_await when_all(sends(times), receives());
      if (sum != 3 * times) co_return std::unexpected(Errc::closed);
      co_await ok(sent);
      const auto first = co_await when_any(sleep(1h), yield());
      if (first.index() != 1) co_return std::unexpected(Errc::closed);
      co_await ok(timeout(1h, yield()));
      table.go.reset();
      co_await ok(with_group(fail_fast, [&](TaskGroup& group) -> Task<Expected<void>> {
        for (int i = 0; i < 3; ++i) group.spawn(member());
        co_await ok(yield());
        table.go.set();
        co_return {};
      }));
    }
    co_return {};
  };
  const auto match = [&](int times) -> Task<Expected<void>> {
    const auto [played, echoed] = co_await when_all(plays(times), echoes(times));
    co_await ok(played);
    co_return echoed;
  };
  EXPECT_TRUE(run_task(rig(), loop(), match(rounds)));
  const std::size_t before = allocations();
  const Expected<void> ended = run_by(rig(), loop(), match(rounds));
  const std::size_t allocated = allocations() - before;
  EXPECT_TRUE(ended);
  EXPECT_EQ(table.done, 2 * 3 * rounds);
  EXPECT_EQ(allocated, 0u);
  std::printf("allocations of %d round trips, %s: %zu\n", rounds, GetParam().name.c_str(),
              allocated);
}

}  // namespace wev::test
