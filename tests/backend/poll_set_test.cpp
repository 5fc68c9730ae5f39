// The subscriptions handed to poll_oneoff, against a model.
#include "backend/poll_set.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "sim/random.hpp"
#include "support/allocations.hpp"
#include "wev/loop/loop.hpp"
#include "wev/sim/sim.hpp"

namespace wev::test {

using namespace sys::wasi;

namespace {

// Completions with operations, which only a loop can give them; it never starts
// them.
class PollSetTest : public testing::Test {
 protected:
  ~PollSetTest() override {
    // The loop does not know what the set wrote into them.
    EXPECT_TRUE(loop_.drain());
  }

  Completion& completion(const Operation& operation) {
    Completion& completion = completions_.emplace_back();
    loop_.add(completion, operation, nullptr,
              [](void*, Loop&, Completion&, Result) { return Action::disarm; });
    return completion;
  }
  Completion& reading(int fd) { return completion(op::read(fd, {})); }
  Completion& writing(int fd) { return completion(op::write(fd, {})); }

  // The promises between calls, for a set that holds these.
  void check(const std::set<Completion*>& subscribed, const std::set<Completion*>& parked) {
    ASSERT_EQ(set_.size(), subscribed.size());
    ASSERT_EQ(set_.parked_size(), parked.size());
    const Subscription* subscriptions = set_.subscriptions(5'000'000);
    check_clock(subscriptions[0], 5'000'000);
    std::set<Completion*> found;
    for (std::size_t i = 0; i < set_.size(); ++i) {
      Completion& completion = set_[i];
      found.insert(&completion);
      ASSERT_TRUE(PollSet::contains(completion));
      ASSERT_FALSE(PollSet::is_parked(completion));
      const Subscription& subscription = subscriptions[i + 1];
      ASSERT_EQ(&set_.subscription(i), &subscription);
      ASSERT_EQ(subscription.fd, completion.operation().io.fd);
      const bool in = completion.operation().type->direction == Direction::in;
      ASSERT_EQ(subscription.tag, in ? eventtype_fd_read : eventtype_fd_write);
      // What a host would say of it finds its way back.
      ASSERT_EQ(set_.owner({subscription.userdata, 0, subscription.tag, 0, 0}), &completion);
    }
    ASSERT_EQ(found, subscribed);
    found.clear();
    for (std::size_t i = 0; i < set_.parked_size(); ++i) {
      Completion& completion = set_.parked(i);
      found.insert(&completion);
      ASSERT_TRUE(PollSet::contains(completion));
      ASSERT_TRUE(PollSet::is_parked(completion));
    }
    ASSERT_EQ(found, parked);
  }

  static void check_clock(const Subscription& clock, Timestamp timeout) {
    ASSERT_EQ(clock.tag, eventtype_clock);
    ASSERT_EQ(clock.userdata, 0u);
    ASSERT_EQ(clock.clock.id, clock_monotonic);
    ASSERT_EQ(clock.clock.timeout, timeout);
    ASSERT_EQ(clock.clock.precision, 0u);
    ASSERT_EQ(clock.clock.flags, 0u);
  }

  PollSet set_;

 private:
  Sim sim_;
  std::deque<Completion> completions_;
  Loop loop_{sim_};
};

}  // namespace

TEST_F(PollSetTest, AnEmptyOneStillHasTheClock) {
  EXPECT_EQ(set_.size(), 0u);
  check_clock(set_.subscriptions(7'000'000)[0], 7'000'000);
  check_clock(PollSet::clock_subscription(3), 3);
}

TEST_F(PollSetTest, TheTimeoutIsTheLatestOneAsked) {
  ASSERT_TRUE(set_.subscribe(reading(3)));
  check_clock(set_.subscriptions(1'000'000)[0], 1'000'000);
  check_clock(set_.subscriptions(2'000'000)[0], 2'000'000);
}

TEST_F(PollSetTest, TheDirectionDecidesTheSubscription) {
  ASSERT_TRUE(set_.subscribe(reading(3)));
  ASSERT_TRUE(set_.subscribe(writing(4)));
  ASSERT_TRUE(set_.subscribe(completion(op::poll_readable(5))));
  ASSERT_TRUE(set_.subscribe(completion(op::poll_writable(6))));
  ASSERT_TRUE(set_.subscribe(completion(op::accept(7))));
  ASSERT_TRUE(set_.subscribe(completion(op::send(8, {}))));
  const Subscription* subscriptions = set_.subscriptions(0);
  for (int i = 1; i <= 6; ++i) {
    EXPECT_EQ(subscriptions[i].fd, i + 2);
    EXPECT_EQ(subscriptions[i].tag, i % 2 == 1 ? eventtype_fd_read : eventtype_fd_write);
  }
}

TEST_F(PollSetTest, IndexesAgreeWithAModelOverRandomSteps) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::vector<Completion*> all;
    for (int i = 0; i < 60; ++i) all.push_back(i % 3 == 0 ? &writing(i) : &reading(i));
    std::set<Completion*> subscribed;
    std::set<Completion*> parked;
    for (int step = 0; step < 5'000; ++step) {
      Completion& any = *all[random.below(all.size())];
      ASSERT_EQ(PollSet::contains(any), subscribed.contains(&any) || parked.contains(&any));
      if (!PollSet::contains(any)) {
        const bool park = random.one_in(3);
        ASSERT_TRUE(park ? set_.park(any) : set_.subscribe(any));
        (park ? parked : subscribed).insert(&any);
      } else if (random.one_in(2)) {
        set_.remove(any);
        ASSERT_EQ(any.note, 0u);
        subscribed.erase(&any);
        parked.erase(&any);
      } else if (PollSet::is_parked(any)) {
        set_.subscribe_parked(any);
        subscribed.insert(&any);
        parked.erase(&any);
      } else {
        set_.park_subscribed(any);
        parked.insert(&any);
        subscribed.erase(&any);
      }
      check(subscribed, parked);
      if (HasFatalFailure()) FAIL() << "at step " << step;
    }
    for (Completion* completion : all) {
      if (PollSet::contains(*completion)) set_.remove(*completion);
    }
    check({}, {});
  }
}

TEST_F(PollSetTest, RemovingWhileGoingThroughItBackwardsMissesNone) {
  std::vector<Completion*> expected;
  for (int fd = 0; fd < 20; ++fd) {
    Completion& completion = reading(fd);
    ASSERT_TRUE(fd % 2 == 0 ? set_.subscribe(completion) : set_.park(completion));
    expected.push_back(&completion);
  }
  std::vector<Completion*> seen;
  for (std::size_t i = set_.size(); i-- > 0;) {
    seen.push_back(&set_[i]);
    if (i % 3 != 0) set_.remove(set_[i]);
  }
  for (std::size_t i = set_.parked_size(); i-- > 0;) {
    seen.push_back(&set_.parked(i));
    if (i % 3 != 0) set_.subscribe_parked(set_.parked(i));
  }
  std::ranges::sort(seen);
  std::ranges::sort(expected);
  EXPECT_EQ(seen, expected);
}

TEST_F(PollSetTest, TheOwnerOfWhatAHostMadeUpIsNobody) {
  Completion& first = reading(3);
  Completion& second = writing(4);
  Completion& parked = reading(5);
  ASSERT_TRUE(set_.subscribe(first));
  ASSERT_TRUE(set_.subscribe(second));
  ASSERT_TRUE(set_.park(parked));
  const auto owner = [&](std::uint64_t userdata, std::uint8_t type) {
    return set_.owner({userdata, 0, type, 0, 0});
  };
  const std::uint64_t of_first = set_.subscription(0).userdata;
  const std::uint64_t of_second = set_.subscription(1).userdata;
  EXPECT_EQ(owner(of_first, eventtype_fd_read), &first);
  EXPECT_EQ(owner(of_second, eventtype_fd_write), &second);

  // The clock's own, whatever it calls itself.
  for (const std::uint8_t type : {eventtype_clock, eventtype_fd_read, eventtype_fd_write}) {
    EXPECT_EQ(owner(0, type), nullptr);
  }
  // The wrong type, and types that do not exist.
  EXPECT_EQ(owner(of_first, eventtype_fd_write), nullptr);
  EXPECT_EQ(owner(of_first, eventtype_clock), nullptr);
  EXPECT_EQ(owner(of_second, eventtype_fd_read), nullptr);
  EXPECT_EQ(owner(of_first, 3), nullptr);
  EXPECT_EQ(owner(of_first, 255), nullptr);
  // Numbers that nobody gave, those that only look right in 32 bits too.
  for (const std::uint64_t userdata :
       {std::uint64_t{3}, std::uint64_t{1'000'000}, of_first | std::uint64_t{1} << 32,
        of_first | std::uint64_t{1} << 31, std::uint64_t{parked.note}, ~std::uint64_t{0}}) {
    EXPECT_EQ(owner(userdata, eventtype_fd_read), nullptr) << userdata;
  }
  // And what was true before it was removed.
  set_.remove(second);
  EXPECT_EQ(owner(of_second, eventtype_fd_write), nullptr);
}

TEST_F(PollSetTest, TheOwnerOfRandomEventsIsNobodyOrRight) {
  Random random(1);
  for (int fd = 0; fd < 10; ++fd) {
    ASSERT_TRUE(set_.subscribe(fd % 2 == 0 ? reading(fd) : writing(fd)));
  }
  for (int i = 0; i < 10'000; ++i) {
    const Event event{random.one_in(2) ? random.next() : random.below(20),
                      static_cast<Errno>(random.next()), static_cast<std::uint8_t>(random.below(5)),
                      random.next(), static_cast<std::uint16_t>(random.next())};
    const Completion* owner = set_.owner(event);
    if (owner == nullptr) continue;
    ASSERT_EQ(owner->note, event.userdata);
    ASSERT_EQ(&set_[static_cast<std::size_t>(event.userdata) - 1], owner);
  }
}

TEST_F(PollSetTest, OutOfMemoryChangesNothing) {
  std::set<Completion*> subscribed;
  std::set<Completion*> parked;
  int refused = 0;
  for (int fd = 0; fd < 100; ++fd) {
    Completion& one = reading(fd);
    const bool park = fd % 4 == 3;
    const auto put = [&] { return park ? set_.park(one) : set_.subscribe(one); };
    bool done = false;
    {
      const NoMemory no_memory;
      done = put();
    }
    if (!done) {
      ++refused;
      ASSERT_FALSE(PollSet::contains(one));
      check(subscribed, parked);
      ASSERT_TRUE(put());
    }
    (park ? parked : subscribed).insert(&one);
    check(subscribed, parked);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(refused, 0);
}

TEST_F(PollSetTest, TheClockAloneNeedsNoMemory) {
  const std::size_t before = allocations();
  check_clock(set_.subscriptions(0)[0], 0);
  EXPECT_EQ(set_.owner(*(set_.events() + set_.size())), nullptr);
  EXPECT_EQ(allocations(), before);
}

// Parking and subscribing happen where nothing can be refused any more.
TEST_F(PollSetTest, MovingBetweenTheTwoNeedsNoMemory) {
  std::vector<Completion*> all;
  for (int fd = 0; fd < 50; ++fd) {
    all.push_back(&reading(fd));
    ASSERT_TRUE(set_.subscribe(*all.back()));
  }
  const std::size_t before = allocations();
  for (int round = 0; round < 3; ++round) {
    for (Completion* completion : all) set_.park_subscribed(*completion);
    EXPECT_EQ(set_.parked_size(), all.size());
    EXPECT_EQ(set_.size(), 0u);
    for (Completion* completion : all) set_.subscribe_parked(*completion);
  }
  EXPECT_EQ(allocations(), before);
  check({all.begin(), all.end()}, {});
}

// There is room for an event of each, and of the clock.
TEST_F(PollSetTest, EventsHaveRoomForAll) {
  for (int fd = 0; fd < 100; ++fd) {
    ASSERT_TRUE(set_.subscribe(reading(fd)));
    Event* events = set_.events();
    for (std::size_t i = 0; i <= set_.size(); ++i) events[i] = {i, 0, eventtype_fd_read, 0, 0};
  }
  for (std::size_t i = 1; i <= set_.size(); ++i)
    EXPECT_EQ(set_.owner(set_.events()[i]), &set_[i - 1]);
}

}  // namespace wev::test
