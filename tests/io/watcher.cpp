// Watchers: somebody else's descriptors. Here the test is the library that reads and
// writes them.
#include "wev/io/watcher.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "rig/contract.hpp"

namespace wev::test {

namespace {

// A watcher and what it told.
struct Watched {
  Watched(Loop& loop, int fd) {
    auto opened = Watcher::open(loop, fd);
    EXPECT_TRUE(opened);
    if (!opened) return;
    watcher = std::move(*opened);
    watcher.on_ready([this](std::size_t bits) {
      told.push_back(bits);
      EXPECT_EQ(bits & ~watcher.wanted(), 0u) << "told of what is not wanted";
      if (then) then(bits);
    });
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  Watcher watcher;
  std::vector<std::size_t> told;
  std::function<void(std::size_t)> then;
};

std::string read_byte(Rig& rig, int fd) {
  std::byte byte{};
  const Result size = rig.perform(op::read(fd, {&byte, 1}));
  return size == Result(1) ? std::string(1, static_cast<char>(byte)) : std::string();
}

}  // namespace

/// The owner may close the number where the system has duplicates.
#define NEEDS_DUPLICATES(fd)                                                     \
  do {                                                                           \
    const Result made = loop().perform(op::duplicate(fd));                       \
    if (!made) GTEST_SKIP() << "WASI 0.1 has no duplicates";                     \
    ASSERT_TRUE(rig().close(static_cast<int>(*made))) << "of a duplicate of fd"; \
  } while (false)

// Told ---------------------------------------------------------------------------------

TEST_P(Contract, AWatcherTellsOnceInATickAsLongAsItIsReady) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  Watched watched(loop(), reader);
  watched.watcher.want(readable);
  for (int i = 0; i < 5; ++i) look();
  EXPECT_TRUE(watched.told.empty());
  ASSERT_EQ(rig().write(writer, "abcdef"), Result(6));
  std::string taken;
  watched.then = [&, fd = reader](std::size_t) {
    // What was not taken is told of again.
    if (watched.told.size() % 2 == 0) taken += read_byte(rig(), fd);
  };
  while (taken.size() < 6) {
    const std::size_t before = watched.told.size();
    ASSERT_TRUE(loop().tick());
    ASSERT_LE(watched.told.size(), before + 1);
  }
  EXPECT_EQ(taken, "abcdef");
  EXPECT_EQ(watched.told, std::vector<std::size_t>(12, readable));
  for (int i = 0; i < 5; ++i) look();
  EXPECT_EQ(watched.told.size(), 12u);
  ASSERT_EQ(rig().write(writer, "g"), Result(1));
  watched.then = [&, fd = reader](std::size_t) {
    taken += read_byte(rig(), fd);
    watched.watcher.want(0);
  };
  run();
  EXPECT_EQ(taken, "abcdefg");
}

TEST_P(Contract, AWatcherTellsBothDirectionsInOneCall) {
  NEEDS(sockets);
  NEEDS(poll_readable);
  NEEDS(poll_writable);
  const auto [ours, theirs] = socket_pair();
  Watched watched(loop(), ours);
  watched.watcher.want(readable | writable);
  run_until([&] { return !watched.told.empty(); });
  ASSERT_EQ(rig().write(theirs, "x"), Result(1));
  // Where it is told of room in each tick, the loop looks for more every 4 ms.
  std::size_t bits = 0;
  run_until([&] {
    rig().busy(loop(), 1ms);
    bits |= watched.told.back();
    EXPECT_LE(std::exchange(watched.told, {0}).size(), 2u) << "told twice in a tick";
    return bits == (readable | writable);
  });
  watched.watcher.want(0);
  run();
}

TEST_P(Contract, AWatcherTellsOfRoomAndOfTheEnd) {
  NEEDS(full_pipes);
  NEEDS(poll_readable);
  NEEDS(poll_writable);
  const auto [reader, writer] = pipe();
  (void)fill(writer);
  Watched out(loop(), writer);
  Watched in(loop(), reader);
  out.then = [&](std::size_t) { out.watcher.want(0); };
  out.watcher.want(writable);
  for (int i = 0; i < 5; ++i) look();
  EXPECT_TRUE(out.told.empty());
  (void)rig().read_all(reader);
  run();
  EXPECT_EQ(out.told, std::vector<std::size_t>{writable});
  out.watcher = Watcher();
  look();
  in.watcher.want(readable);
  in.then = [&](std::size_t) { in.watcher.want(0); };
  // The duplicate is closed by the loop, which may take a tick or two.
  run_until([&, w = writer] { return loop().forget(w); });
  ASSERT_TRUE(rig().close(writer));
  run();
  EXPECT_EQ(in.told, std::vector<std::size_t>{readable});
}

TEST_P(Contract, AFileIsToldOfInEveryTick) {
  NEEDS(files);
  const int fd = file("text");
  Watched watched(loop(), fd);
  watched.watcher.want(readable | writable);
  std::size_t bits = 0;
  watched.then = [&](std::size_t ready) {
    bits |= ready;
    if (watched.told.size() >= 5 && bits == (readable | writable)) watched.watcher.want(0);
  };
  run();
  EXPECT_GE(watched.told.size(), 5u);
}

TEST_P(Contract, ManyWatchersAreToldEachOfItsOwn) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const std::size_t count = std::min<std::size_t>(traits().many_descriptors / 2, 500);
  std::vector<std::unique_ptr<Watched>> all;
  std::vector<Pair> pipes;
  std::size_t open = 0;
  for (std::size_t i = 0; i < count; ++i) {
    pipes.push_back(pipe());
    all.push_back(std::make_unique<Watched>(loop(), pipes[i].reader));
    all[i]->watcher.want(readable);
    all[i]->then = [&, i](std::size_t) {
      EXPECT_EQ(rig().read_all(pipes[i].reader), std::to_string(i));
      all[i]->watcher.want(0);
      --open;
    };
  }
  look();
  for (std::size_t i = 0; i < count; i += 2) {
    ++open;
    ASSERT_TRUE(rig().write(pipes[i].writer, std::to_string(i)));
  }
  run_until([&] { return open == 0; });
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(all[i]->told.size(), i % 2 == 0 ? 1u : 0u);
}

// Wanting ------------------------------------------------------------------------------

TEST_P(Contract, AWatcherMayWantSomethingElseFromInsideItsCallback) {
  NEEDS(sockets);
  NEEDS(poll_readable);
  NEEDS(poll_writable);
  const auto [ours, theirs] = socket_pair();
  Watched watched(loop(), ours);
  int rounds = 0;
  watched.then = [&, mine = ours, other = theirs](std::size_t bits) {
    if (bits == writable) {
      EXPECT_EQ(rig().write(other, "x"), Result(1));
      watched.watcher.want(0);
      watched.watcher.want(readable);
    } else {
      EXPECT_EQ(read_byte(rig(), mine), "x");
      watched.watcher.want(++rounds < 5 ? writable : std::size_t{0});
    }
  };
  watched.watcher.want(writable);
  run();
  EXPECT_EQ(rounds, 5);
  EXPECT_EQ(watched.told.size(), 10u);
}

TEST_P(Contract, WhatAWatcherDoesNotWantIsNotToldAndHoldsNothingOpen) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  Watched watched(loop(), reader);
  watched.watcher.want(readable);
  watched.watcher.want(0);  // before it began
  run();
  watched.watcher.want(readable);
  look();
  watched.watcher.want(0);  // while it is with the backend
  run();
  ASSERT_EQ(rig().write(writer, "x"), Result(1));
  for (int i = 0; i < 20; ++i) look();
  EXPECT_TRUE(watched.told.empty());
  watched.watcher.want(readable);
  watched.watcher.want(0);
  watched.watcher.want(readable);
  watched.then = [&](std::size_t) { watched.watcher.want(0); };
  run();
  EXPECT_EQ(watched.told, std::vector<std::size_t>{readable});
}

TEST_P(Contract, WantingIsRacedByReadinessAndNothingIsLost) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  Watched watched(loop(), reader);
  watched.then = [&, fd = reader](std::size_t) {
    (void)rig().read_all(fd);
    watched.watcher.want(0);
  };
  for (std::size_t round = 0; round < 50; ++round) {
    watched.watcher.want(readable);
    if (round % 3 != 0) look();
    if (round % 2 == 0) watched.watcher.want(0);
    ASSERT_EQ(rig().write(writer, "x"), Result(1));
    const std::size_t before = watched.told.size();
    if (round % 5 == 0) look();
    if (watched.told.size() > before) continue;
    watched.watcher.want(readable);
    run();
    ASSERT_EQ(watched.told.size(), before + 1);
  }
}

TEST_P(Contract, AWatcherThatIsUnreferencedHoldsNothingOpen) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  Watched watched(loop(), reader);
  watched.watcher.unref();
  watched.watcher.want(readable);
  run();
  EXPECT_TRUE(watched.told.empty());
  watched.then = [&, fd = reader](std::size_t) { (void)rig().read_all(fd); };
  for (std::size_t i = 1; i <= 2; ++i) {
    ASSERT_EQ(rig().write(writer, "x"), Result(1));
    while (watched.told.size() < i) {
      timer({}, 1ms);
      run();  // returns when the timer has fired
    }
  }
  watched.watcher.ref();
  watched.then = [&](std::size_t) { watched.watcher.want(0); };
  timer(probe({},
              [&, fd = writer](Probe&) {
                EXPECT_EQ(rig().write(fd, "x"), Result(1));
                return Action::disarm;
              }),
        2ms);
  run();
  EXPECT_EQ(watched.told.size(), 3u);
}

TEST_P(Contract, AWatcherCanBeAwaitedOnce) {
  NEEDS(full_pipes);
  NEEDS(poll_readable);
  NEEDS(poll_writable);
  const auto [reader, writer] = pipe();
  Watched in(loop(), reader);
  Watched out(loop(), writer);
  (void)fill(writer);
  std::string ends;
  Request reading;
  Request writing;
  Request late;
  reading.start(in.watcher.readable(), [&](Expected<void> end) { ends += end ? 'r' : '-'; });
  writing.start(out.watcher.writable(), [&, fd = reader](Expected<void> end) {
    ends += end && rig().read_all(fd).empty() ? 'w' : '-';
  });
  run_until([&] { return !ends.empty(); });
  EXPECT_EQ(ends, "r");
  (void)rig().read_all(reader);
  run();
  EXPECT_EQ(ends, "rw");
  Expected<void> ended;
  late.start(in.watcher.readable().within(2ms), [&](Expected<void> end) { ended = end; });
  run();
  EXPECT_EQ(ended, std::unexpected(Error(Errc::timed_out)));
  EXPECT_TRUE(in.told.empty());
}

// Ending -------------------------------------------------------------------------------

TEST_P(Contract, AWatcherMayBeDestroyedInItsCallback) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  ASSERT_EQ(rig().write(writer, "x"), Result(1));
  auto watched = std::make_unique<Watched>(loop(), reader);
  int calls = 0;
  watched->then = [&](std::size_t) {
    ++calls;
    watched->watcher.want(readable);
    watched->watcher = Watcher();
  };
  watched->watcher.want(readable);
  run();
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(watched->watcher.is_open());
}

TEST_P(Contract, AWatcherMayBeReplacedInItsCallback) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  ASSERT_EQ(rig().write(writer, "x"), Result(1));
  struct State {
    Loop& loop;
    int fd;
    Watcher watcher;
    int calls = 0;
    void watch() {
      auto opened = Watcher::open(loop, fd);
      ASSERT_TRUE(opened);
      watcher = std::move(*opened);
      watcher.on_ready([this](std::size_t) { ++calls < 10 ? watch() : watcher.want(0); });
      watcher.want(readable);
    }
  } state{loop(), reader, {}};
  state.watch();
  run();
  EXPECT_EQ(state.calls, 10);
}

TEST_P(Contract, AWatcherIsNotCalledOnceItIsDestroyed) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  const auto [other_reader, other_writer] = pipe();
  // Both are ready in one tick, and the first that is told ends the other.
  Watched a(loop(), reader);
  Watched b(loop(), other_reader);
  int calls = 0;
  for (Watched* each : {&a, &b}) {
    each->watcher.want(readable);
    each->then = [&](std::size_t) {
      ++calls;
      a.watcher = Watcher();
      b.watcher = Watcher();
    };
  }
  look();
  ASSERT_EQ(rig().write(writer, "x"), Result(1));
  ASSERT_EQ(rig().write(other_writer, "x"), Result(1));
  run();
  EXPECT_EQ(calls, 1);
  // At each point of its life.
  for (int ticks = 0; ticks < 4; ++ticks) {
    {
      Watched brief(loop(), reader);
      brief.then = [&](std::size_t) { brief.watcher.want(0); };
      brief.watcher.want(ticks % 2 == 0 ? readable : readable | writable);
      for (int i = 0; i < ticks; ++i) look();
    }
    look();
  }
  run();
}

TEST_P(Contract, AWatcherMovesWhileItWaits) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  auto opened = Watcher::open(loop(), reader);
  ASSERT_TRUE(opened);
  int calls = 0;
  opened->on_ready([&calls](std::size_t) { ++calls; });
  opened->want(readable);
  look();
  Watcher moved(std::move(*opened));
  EXPECT_FALSE(opened->is_open());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(moved.wanted(), readable);
  ASSERT_EQ(rig().write(writer, "x"), Result(1));
  run_until([&] { return calls > 0; });
  moved.want(0);
  run();
}

TEST_P(Contract, DrainingEndsWhatIsWantedAndItCanBeWantedAgain) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  Watched watched(loop(), reader);
  watched.watcher.want(readable | writable);
  watched.watcher.want(readable);
  look();
  EXPECT_TRUE(loop().drain());
  EXPECT_EQ(watched.watcher.wanted(), 0u);
  EXPECT_EQ(loop().active(), 0u);
  const std::size_t before = watched.told.size();
  ASSERT_EQ(rig().write(writer, "x"), Result(1));
  run();
  EXPECT_EQ(watched.told.size(), before);
  watched.then = [&](std::size_t) { watched.watcher.want(0); };
  watched.watcher.want(readable);
  run();
  EXPECT_EQ(watched.told.size(), before + 1);
}

// The owner ------------------------------------------------------------------------------

TEST_P(Contract, WhatIsNotOpenCannotBeWatched) {
  NEEDS(pipes);
  EXPECT_EQ(Watcher::open(loop(), -1).error(), std::errc::bad_file_descriptor);
  const auto [reader, writer] = rig().pipe();
  ASSERT_TRUE(rig().close(reader));
  ASSERT_TRUE(rig().close(writer));
  EXPECT_EQ(Watcher::open(loop(), reader).error(), std::errc::bad_file_descriptor);
}

// Whatever had begun when the owner closes: nothing, a poll that is about to start, one
// that is with the backend, one that has ended.
TEST_P(Contract, TheOwnerOfAWatchedNumberClosesItAtAnyMomentAndAnotherGetsIt) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [keeper, keepers_writer] = pipe();
  NEEDS_DUPLICATES(keeper);
  for (int moment = 0; moment < 4; ++moment) {
    const auto [reader, writer] = rig().pipe();
    Watched old(loop(), reader);
    if (moment > 0) old.watcher.want(readable);
    if (moment > 1) look();
    if (moment > 2) look();
    ASSERT_TRUE(rig().close(reader));
    const auto [next_reader, next_writer] = rig().pipe();
    EXPECT_TRUE(next_reader == reader || next_writer == reader) << "the number is not used again";
    Watched next(loop(), next_reader);
    old.watcher.want(readable);
    next.watcher.want(readable);
    look();
    ASSERT_EQ(rig().write(next_writer, "next"), Result(4));
    next.then = [&, fd = next_reader](std::size_t) {
      EXPECT_EQ(rig().read_all(fd), "next");
      next.watcher.want(0);
    };
    run_until([&] { return !next.told.empty(); });
    for (int i = 0; i < 5; ++i) look();
    EXPECT_TRUE(old.told.empty()) << "told of another's readiness";
    // What the number was is still there, for its watcher.
    ASSERT_EQ(rig().write(writer, "old"), Result(3));
    old.then = [&](std::size_t) { old.watcher.want(0); };
    run_until([&] { return !old.told.empty(); });
    EXPECT_EQ(next.told.size(), 1u);
    // Until that is gone, too.
    old.watcher = Watcher();
    run_until([&, w = writer] { return !rig().write(w, "x").has_value(); });
    for (const int fd : {writer, next_reader, next_writer}) EXPECT_TRUE(rig().close(fd));
  }
}

TEST_P(Contract, SeveralWatchersOfOneDescriptorAreAllTold) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  NEEDS_DUPLICATES(reader);
  Watched first(loop(), reader);
  Watched second(loop(), reader);
  for (Watched* each : {&first, &second}) {
    each->watcher.want(readable);
    each->then = [each](std::size_t) { each->watcher.want(0); };
  }
  ASSERT_EQ(rig().write(writer, "x"), Result(1));
  run();
  EXPECT_EQ(first.told, std::vector<std::size_t>{readable});
  EXPECT_EQ(second.told, std::vector<std::size_t>{readable});
}

}  // namespace wev::test
