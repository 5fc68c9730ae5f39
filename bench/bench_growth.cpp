// bench_growth: what an operation costs beside ten others, and beside a hundred thousand.
//
// Each row is one kind of operation; each column how many of its kind are in flight, known or
// waiting meanwhile. It has to be flat: a row fails where its last column costs many times what
// its column of a thousand does, which noise and caches do not explain.
//
//   --rounds N   of which the median is taken
//   --tiny       only to see that everything works
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "bench.hpp"
#include "wev/io.hpp"
#include "wev/loop.hpp"
#include "wev/task.hpp"

namespace {

using bench::Trial;
using namespace std::chrono_literals;

wev::Action on_end(void*, wev::Loop&, wev::Completion&, wev::Result) { return wev::Action::disarm; }

// Eventfds that are never ready.
class Descriptors {
 public:
  explicit Descriptors(std::size_t count) {
    fds_.reserve(count);
    while (fds_.size() < count) fds_.push_back(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  }
  ~Descriptors() {
    for (const int fd : fds_) ::close(fd);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  [[nodiscard]] bool all_open() const {
    return std::ranges::none_of(fds_, [](int fd) { return fd < 0; });
  }
  int operator[](std::size_t i) const { return fds_[i]; }

  /// As many as a process may have, but for some.
  static std::size_t most() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return std::min<std::size_t>(limit.rlim_cur, 1'000'000) - 100;
  }

 private:
  std::vector<int> fds_;
};

using Completions = std::vector<wev::Completion>;

// Each measures trial.size() operations beside as many others, and says whether all went right.

bool set_timers(wev::Loop& loop, Trial& trial) {
  Completions timers(trial.size());
  trial.start();
  for (std::size_t i = 0; i < timers.size(); ++i) {
    loop.add(timers[i], wev::op::timer_at(loop.now() + 1h + i * 1us), nullptr, on_end);
  }
  const bool started = loop.tick(wev::RunMode::no_wait).has_value();
  trial.stop();
  return loop.drain().has_value() && started;
}

bool drain_timers(wev::Loop& loop, Trial& trial) {
  Completions timers(trial.size());
  for (wev::Completion& timer : timers) loop.timer(timer, 1h, nullptr, on_end);
  const bool started = loop.tick(wev::RunMode::no_wait).has_value();
  trial.start();
  const bool drained = loop.drain().has_value();
  trial.stop();
  return started && drained;
}

bool cancel_one_often(wev::Loop& loop, Trial& trial) {
  Completions cancels(trial.size());
  wev::Completion target;
  loop.timer(target, 1h, nullptr, on_end);
  const bool started = loop.tick(wev::RunMode::no_wait).has_value();
  trial.start();
  for (wev::Completion& cancel : cancels) loop.cancel(cancel, target, nullptr, on_end);
  const bool ran = loop.run().has_value();
  trial.stop();
  return started && ran;
}

bool begin_reads(wev::Loop& loop, Trial& trial) {
  const Descriptors descriptors(trial.size());
  if (!descriptors.all_open()) return false;
  Completions reads(trial.size());
  std::array<std::byte, 8> buffer{};
  trial.start();
  for (std::size_t i = 0; i < reads.size(); ++i) {
    loop.add(reads[i], wev::op::read(descriptors[i], buffer), nullptr, on_end);
  }
  const bool started = loop.tick(wev::RunMode::no_wait).has_value();
  trial.stop();
  return loop.drain().has_value() && started;
}

bool cancel_reads(wev::Loop& loop, Trial& trial) {
  const Descriptors descriptors(trial.size());
  if (!descriptors.all_open()) return false;
  Completions reads(trial.size());
  std::array<std::byte, 8> buffer{};
  for (std::size_t i = 0; i < reads.size(); ++i) {
    loop.add(reads[i], wev::op::read(descriptors[i], buffer), nullptr, on_end);
  }
  const bool started = loop.tick(wev::RunMode::no_wait).has_value();
  trial.start();
  for (wev::Completion& read : reads) loop.cancel(read);
  const bool ran = loop.run().has_value();
  trial.stop();
  return started && ran;
}

bool destroy_handles(wev::Loop& loop, Trial& trial) {
  Completions others(trial.size());
  std::deque<wev::Stream> handles;
  for (std::size_t i = 0; i < trial.size(); ++i) {
    handles.emplace_back(loop, ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!handles.back().is_open()) return false;
  }
  for (wev::Completion& other : others) loop.add(other, wev::op::noop(), nullptr, on_end);
  trial.start();
  handles.clear();
  trial.stop();
  return loop.run().has_value();
}

// Turns of a drain, beside descriptors that the loop knows.
bool drain_beside_descriptors(wev::Loop& loop, Trial& trial) {
  const Descriptors descriptors(trial.size());
  if (!descriptors.all_open()) return false;
  {
    Completions polls(trial.size());
    for (std::size_t i = 0; i < polls.size(); ++i) {
      loop.add(polls[i], wev::op::poll_writable(descriptors[i]), nullptr, on_end);
    }
    if (!loop.run()) return false;
  }
  struct Chain {
    wev::Completion completion;
    std::size_t left;
    static wev::Action on_turn(void* self, wev::Loop& loop, wev::Completion& completion,
                               wev::Result) {
      auto& chain = *static_cast<Chain*>(self);
      if (--chain.left > 0) loop.add(completion, wev::op::noop(), self, on_turn);
      return wev::Action::disarm;
    }
  } chain{.completion = {}, .left = std::min<std::size_t>(trial.size(), 5'000)};
  trial.made(chain.left);
  loop.add(chain.completion, wev::op::noop(), &chain, Chain::on_turn);
  trial.start();
  const bool drained = loop.drain().has_value();
  trial.stop();
  for (std::size_t i = 0; i < trial.size(); ++i) (void)loop.forget(descriptors[i]);
  return drained && chain.left == 0;
}

wev::Task<wev::Expected<void>> sleeps() { co_return co_await wev::sleep(1h); }

bool cancel_group(wev::Loop& loop, Trial& trial) {
  const auto task = [&trial]() -> wev::Task<wev::Expected<void>> {
    co_return co_await wev::with_group(
        wev::isolate, [&trial](wev::TaskGroup& group) -> wev::Task<wev::Expected<void>> {
          for (std::size_t i = 0; i < trial.size(); ++i) group.spawn(sleeps());
          (void)co_await wev::yield();
          trial.start();
          group.cancel();
          co_return {};
        });
  };
  (void)wev::run(loop, task());
  trial.stop();
  return true;
}

bool send_to_receivers(wev::Loop& loop, Trial& trial) {
  wev::Channel<std::size_t> channel(0);
  std::size_t sum = 0;
  const auto receiver = [&]() -> wev::Task<wev::Expected<void>> {
    sum += co_await wev::ok(channel.receive());
    co_return {};
  };
  const auto task = [&]() -> wev::Task<wev::Expected<void>> {
    co_return co_await wev::with_group(
        wev::isolate, [&](wev::TaskGroup& group) -> wev::Task<wev::Expected<void>> {
          for (std::size_t i = 0; i < trial.size(); ++i) group.spawn(receiver());
          (void)co_await wev::yield();
          trial.start();
          for (std::size_t i = 0; i < trial.size(); ++i) co_await wev::ok(channel.send(1));
          co_return {};
        });
  };
  const bool sent = wev::run(loop, task()).has_value();
  trial.stop();
  return sent && sum == trial.size();
}

struct Row {
  const char* name;
  bool (*run)(wev::Loop& loop, Trial& trial);
  bool takes_descriptors;
  // What the last column may cost, in times that of a thousand: a heap's levels and the caches'
  // are paid for.
  double most = 4;
};

constexpr std::array rows{
    Row{"add a timer", set_timers, false},
    Row{"drain timers", drain_timers, false, 8},
    Row{"cancels of one target", cancel_one_often, false},
    Row{"begin reads", begin_reads, true},
    Row{"cancel reads in flight", cancel_reads, true},
    Row{"destroy handles", destroy_handles, true},
    Row{"a turn of drain", drain_beside_descriptors, true},
    Row{"cancel a group", cancel_group, false, 8},
    Row{"send to receivers", send_to_receivers, false},
};
constexpr std::array<std::size_t, 5> counts{10, 100, 1'000, 10'000, 100'000};
constexpr std::size_t reference = 2;

// Nanoseconds of an operation; less than zero: it went wrong.
double median(const Row& row, std::size_t count, std::size_t rounds) {
  std::vector<double> times;
  // Few of them are measured often: a single one is shorter than a look at the clock.
  const std::size_t repeat = std::clamp<std::size_t>(10'000 / count, 1, 100) * rounds;
  for (std::size_t i = 0; i < repeat; ++i) {
    wev::Loop loop;
    Trial trial(count, false);
    if (!row.run(loop, trial)) return -1;
    times.push_back(trial.per_operation().cpu);
  }
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

bool print(const Row& row, std::size_t most, std::size_t rounds) {
  std::printf("  %-24s", row.name);
  double thousand = 0;
  double last = 0;
  bool right = true;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::size_t count = std::min(counts[i], most);
    if (i > 0 && count <= counts[i - 1]) {
      std::printf(" %10s", "-");
      continue;
    }
    last = median(row, count, rounds);
    right = right && last >= 0;
    if (i == reference) thousand = last;
    std::printf(" %10.1f", last);
    std::fflush(stdout);
  }
  const double ratio = thousand > 0 ? last / thousand : 0;
  const bool flat = most < counts.back() || ratio <= row.most;
  std::printf("  %5.2f%s\n", ratio, !right ? " WRONG RESULT" : flat ? "" : " NOT FLAT");
  return right && flat;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {.size = counts.back(), .tiny_size = 100});
  const std::size_t most_descriptors = std::min(Descriptors::most(), options.size());
  std::printf("growth: CPU time of one operation beside so many others, ns\n");
  std::printf("size %zu, %zu rounds\n  %-24s", options.size(), options.rounds(), "");
  for (const std::size_t count : counts) std::printf(" %10zu", count);
  std::printf("  last to 1,000\n");
  bool right = true;
  for (const Row& row : rows) {
    if (!options.wants(row.name)) continue;
    const std::size_t most = row.takes_descriptors ? most_descriptors : options.size();
    right = print(row, most, options.rounds()) && right;
  }
  std::printf("\n");
  return right ? 0 : 1;
}
