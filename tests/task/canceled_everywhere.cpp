// A program of tasks that is cancelled wherever it waits. Its uncancelled run has so
// many suspensions; then it is run anew, cancelled at the first of them, at the second,
// and so on. Whenever it comes, everything is left in order.
#include <algorithm>
#include <array>
#include <set>

#include "io/network.hpp"
#include "wev/io/file.hpp"
#include "wev/io/tcp.hpp"
#include "wev/task/channel.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/sync.hpp"
#include "wev/task/task_group.hpp"
#include "wev/task/this_task.hpp"
#include "wev/task/timeout.hpp"
#include "wev/task/when.hpp"

namespace wev::test {

namespace {

constexpr std::size_t values = 5;
constexpr std::string_view contents = "what stands in the file";

// What a run has to answer for.
struct Ledger {
  std::set<const void*> alive;
  std::size_t begun = 0;
  std::size_t ended = 0;

  struct Fate {
    bool sent = false;
    int received = 0;
    int made = 0;
    int destroyed = 0;
  };
  std::array<Fate, values> fates;

  int with_mutex = 0;
  int shielded = 0;
  int shielded_ended = 0;
  int closes = 0;
  int timeouts = 0;
  int echoes = 0;
  bool fetched = false;
};

// A variable of a task. What is inside of it, in the same task, in one that that awaits
// or in one that was started there, has ended before it does.
class Local {
 public:
  explicit Local(Ledger& ledger) : ledger_(ledger), outer_(nullptr) { enter(); }
  explicit Local(Local& outer) : ledger_(outer.ledger_), outer_(&outer) {
    ++outer.inner_;
    enter();
  }
  ~Local() {
    ++ledger_.ended;
    EXPECT_EQ(ledger_.alive.erase(this), 1u) << "a variable was destroyed twice";
    EXPECT_EQ(inner_, 0) << "an outer variable was destroyed before an inner one";
    if (outer_ == nullptr) return;
    EXPECT_TRUE(ledger_.alive.contains(outer_)) << "an inner variable outlived an outer one";
    --outer_->inner_;
  }
  Local(const Local&) = delete;
  Local& operator=(const Local&) = delete;

  [[nodiscard]] Ledger& ledger() const { return ledger_; }

 private:
  void enter() {
    ++ledger_.begun;
    EXPECT_TRUE(ledger_.alive.insert(this).second);
  }

  Ledger& ledger_;
  Local* outer_;
  int inner_ = 0;
};

// Has one owner at a time.
class Value {
 public:
  Value(Ledger& ledger, std::size_t number) : fate_(&ledger.fates[number]), number_(number) {
    ++fate_->made;
  }
  Value(Value&& other) noexcept
      : fate_(std::exchange(other.fate_, nullptr)), number_(other.number_) {}
  Value& operator=(Value&& other) noexcept {
    std::swap(fate_, other.fate_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~Value() {
    if (fate_ != nullptr) ++fate_->destroyed;
  }
  [[nodiscard]] std::size_t number() const { return number_; }

 private:
  Ledger::Fate* fate_;
  std::size_t number_;
};

bool canceled(const auto& result) { return !result && result.error() == Errc::operation_canceled; }

// The program ------------------------------------------------------------------------------

Task<> serve_one(Local& outer, TcpStream peer) {
  Local here(outer);
  std::array<std::byte, 16> buffer{};
  for (;;) {
    const Expected<std::size_t> size = co_await timeout(2ms, peer.read_some(buffer));
    if (!size && size.error() == Errc::timed_out) ++here.ledger().timeouts;
    if (!size || *size == 0) break;
    Local answering(here);
    const auto sent = co_await peer.write_all(std::span(buffer).first(*size));
    if (!sent) break;
    ++here.ledger().echoes;
  }
  const Expected<void> closed = co_await peer.close();
  EXPECT_FALSE(canceled(closed)) << "a close was cancelled";
  ++here.ledger().closes;
}

Task<Expected<void>> accept_all(Local& outer, TaskGroup& connections, const TcpListener& listener) {
  Local here(outer);
  for (;;) {
    TcpStream peer = co_await ok(listener.accept());
    connections.spawn(serve_one(outer, std::move(peer)));
  }
}

Task<Expected<void>> serve(Local& outer, const TcpListener& listener, Event& stop) {
  Local here(outer);
  co_return co_await with_group(isolate, [&](TaskGroup& group) -> Task<Expected<void>> {
    const Local inside(here);
    const auto first = co_await when_any(accept_all(here, group, listener), stop.wait());
    if (first.index() == 0) co_return std::get<0>(first);
    co_return std::get<1>(first);
  });
}

Task<> say_goodbye(Local& outer, const TcpStream& stream) {
  Local here(outer);
  ++here.ledger().shielded;
  const Expected<void> slept = co_await sleep(100us);
  EXPECT_TRUE(slept) << "what was shielded was cancelled";
  const Expected<std::size_t> sent = co_await stream.write_all(bytes_of("bye"));
  EXPECT_FALSE(canceled(sent)) << "what was shielded was cancelled";
  const Expected<void> ended = co_await stream.shutdown(Shutdown::send);
  EXPECT_FALSE(canceled(ended)) << "what was shielded was cancelled";
  ++here.ledger().shielded_ended;
}

Task<Expected<void>> talk(Local& outer, const TcpStream& stream, bool silent) {
  const Local here(outer);
  std::array<std::byte, 5> buffer{};
  if (!silent) co_await ok(stream.write_all(bytes_of("hello")));
  // The server may have lost patience with either.
  const std::size_t size = co_await ok(stream.read_exactly(buffer));
  EXPECT_TRUE(std::ranges::equal(std::span(buffer).first(size), bytes_of("hello").first(size)));
  co_return {};
}

Task<Expected<void>> client(Local& outer, Loop& loop, const Address& server, bool silent) {
  Local here(outer);
  const TcpStream stream = co_await ok(TcpStream::connect(loop, server).within(1h));
  Local connected(here);
  const Expected<void> talked = co_await talk(connected, stream, silent);
  co_await shield(say_goodbye(connected, stream));
  co_return talked;
}

Task<Expected<void>> clients(Local& outer, Loop& loop, const Address& server) {
  Local here(outer);
  co_return co_await with_group(isolate, [&](TaskGroup& group) -> Task<Expected<void>> {
    for (int i = 0; i < 3; ++i) group.spawn(client(here, loop, server, i == 1));
    co_return {};
  });
}

Task<Expected<std::byte>> fetch(Local& outer, Loop& loop, const Address& server, std::byte what) {
  Local here(outer);
  const TcpStream stream = co_await ok(TcpStream::connect(loop, server));
  const Local connected(here);
  std::array<std::byte, 1> buffer = {what};
  co_await ok(stream.write_all(buffer));
  buffer = {};
  const std::size_t size = co_await ok(stream.read_exactly(buffer));
  if (size == 1) {
    EXPECT_EQ(buffer[0], what);
    here.ledger().fetched = true;
  }
  co_return buffer[0];
}

// Nobody else is at the same time where one of these lives.
class Alone {
 public:
  explicit Alone(Ledger& ledger) : ledger_(ledger) { EXPECT_EQ(++ledger_.with_mutex, 1); }
  ~Alone() { --ledger_.with_mutex; }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  Ledger& ledger_;
};

struct Closer {
  Channel<Value>& channel;
  ~Closer() { channel.close(); }
};

Task<Expected<void>> produce(Local& outer, Channel<Value>& channel, Mutex& mutex) {
  Local here(outer);
  const Closer closer{channel};
  for (std::size_t i = 0; i < values; ++i) {
    {
      const Mutex::Lock lock = co_await ok(mutex.lock());
      const Local locked(here);
      const Alone alone(here.ledger());
      co_await ok(yield());
    }
    co_await ok(channel.send(Value(here.ledger(), i)));
    here.ledger().fates[i].sent = true;
  }
  co_return {};
}

Task<Expected<void>> consume(Local& outer, Channel<Value>& channel, Mutex& mutex) {
  Local here(outer);
  for (;;) {
    const Expected<Value> value = co_await channel.receive();
    if (!value && value.error() == Errc::closed) co_return {};
    if (!value) co_return std::unexpected(value.error());
    Local received(here);
    ++here.ledger().fates[value->number()].received;
    const Mutex::Lock lock = co_await ok(mutex.lock());
    const Local locked(received);
    const Alone alone(here.ledger());
    co_await ok(sleep(50us));
  }
}

Task<Expected<std::size_t>> read(Local& outer, const File& file) {
  const Local here(outer);
  std::array<std::byte, contents.size()> buffer{};
  const std::size_t size = co_await ok(file.size());
  EXPECT_EQ(size, contents.size());
  const std::size_t red = co_await ok(file.read_exactly(buffer));
  EXPECT_TRUE(std::ranges::equal(std::span(buffer).first(red), bytes_of(contents).first(red)));
  co_return red;
}

Task<Expected<std::size_t>> program(Loop& loop, Ledger& ledger, int fd) {
  Local here(ledger);
  const File file(loop, fd);
  const TcpListener listener = co_await ok(TcpListener::listen(loop, Address::loopback()));
  const Address server = co_await ok(listener.local_address());
  Channel<Value> channel(1);
  Mutex mutex;
  Event stop;
  Local shared(here);
  const auto size =
      co_await with_group(fail_fast, [&](TaskGroup& group) -> Task<Expected<std::size_t>> {
        Local inside(shared);
        group.spawn(serve(shared, listener, stop));
        group.spawn(produce(shared, channel, mutex));
        group.spawn(consume(shared, channel, mutex));
        group.spawn(consume(shared, channel, mutex));
        auto [met, first, found] =
            co_await when_all(clients(inside, loop, server),
                              when_any(fetch(inside, loop, server, std::byte{1}),
                                       fetch(inside, loop, server, std::byte{2})),
                              timeout(1h, read(inside, file)));
        stop.set();
        co_await ok(met);
        co_return found;
      });
  EXPECT_FALSE(mutex.locked());
  co_return size;
}

// Its runs -----------------------------------------------------------------------------------

// Runs it in a world of its own and cancels it at the `n`th suspension, 0: before it
// begins. Returns how many there were.
std::size_t run_canceled_at(const RigMaker& maker, std::size_t n) {
  Ledger ledger;
  auto rig = maker.make();
  auto loop = rig->loop();
  auto root = std::make_unique<Root<Expected<std::size_t>>>(
      *loop, program(*loop, ledger, rig->file(contents)));
  if (n == 0) {
    root->cancel();
  } else {
    root->cancel_at(n);
  }
  const Instant began = loop->now();
  for (int ticks = 0; !root->done(); ++ticks) {
    const auto called = rig->tick(*loop);
    if (called && ticks < 100'000) continue;
    ADD_FAILURE() << "it does not end: " << describe(called);
    // With all that is still waiting in them.
    (void)root.release();
    (void)loop.release();
    (void)rig.release();
    return 0;
  }
  const std::size_t suspensions = root->suspensions();
  const bool went_through = n > suspensions;
  EXPECT_LT(loop->now() - began, 1h) << "it waited for a timer that had nothing to wait for";
  const auto result = root->take();
  root.reset();
  EXPECT_EQ(loop->active(), 0u) << "something is still lent to the loop";
  loop.reset();
  rig->check();

  EXPECT_EQ(ledger.begun, ledger.ended);
  EXPECT_TRUE(ledger.alive.empty());
  EXPECT_EQ(ledger.with_mutex, 0);
  EXPECT_EQ(ledger.shielded, ledger.shielded_ended) << "what was shielded did not end";
  for (std::size_t i = 0; i < values; ++i) {
    const Ledger::Fate& fate = ledger.fates[i];
    EXPECT_EQ(fate.made, fate.destroyed) << "value " << i;
    EXPECT_LE(fate.received, fate.sent ? 1 : 0) << "value " << i;
    EXPECT_GE(fate.received, went_through ? 1 : 0) << "value " << i;
  }
  if (went_through) {
    EXPECT_EQ(result, contents.size());
    EXPECT_EQ(ledger.shielded, 3);
    EXPECT_GE(ledger.closes, 4);
    EXPECT_GE(ledger.timeouts, 1);
  }
  return suspensions;
}

}  // namespace

TEST_P(Network, AProgramOfTasksCanBeCanceledWhereverItWaits) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  // Where time is real each run is another: until one ends before it was cancelled.
  for (std::size_t n = 0;; ++n) {
    SCOPED_TRACE(testing::Message()
                 << GetParam().name << ", cancelled at suspension " << n << "; to repeat: "
                 << "--gtest_filter=" << test->test_suite_name() << '.' << test->name());
    ASSERT_LT(n, 10'000u);
    const std::size_t suspensions = run_canceled_at(GetParam(), n);
    if (HasFailure()) return;
    if (suspensions >= n) continue;
    EXPECT_GT(suspensions, 50u) << "the program has become trivial";
    return;
  }
}

}  // namespace wev::test
