// The programs of docs/tasks.md, which this checks.
//
// Exit codes: 0 what the guide says is so; 1 it is not.
#include <array>
#include <cstdio>
#include <span>
#include <variant>

#include "wev/io.hpp"
#include "wev/task.hpp"

using namespace std::chrono_literals;

namespace {

// [errors]
wev::Task<wev::Expected<std::size_t>> copy(const wev::Stream& from, const wev::Stream& to) {
  std::array<std::byte, 4096> buffer;
  for (std::size_t copied = 0;;) {
    const std::size_t size = co_await wev::ok(from.read_some(buffer));
    if (size == 0) co_return copied;
    copied += co_await wev::ok(to.write_all(std::span(buffer).first(size)));
  }
}
// [end]

// [race]
wev::Task<int> slow(std::chrono::milliseconds delay, int result) {
  const auto slept = co_await wev::sleep(delay);
  co_return slept ? result : -1;
}

wev::Task<int> faster() {
  const auto first = co_await wev::when_any(slow(2ms, 1), slow(1h, 2));
  co_return std::get<0>(first);  // 1; the other was cancelled, and has ended
}
// [end]

// [group]
wev::Task<> work(wev::Channel<int>& jobs, int& sum) {
  while (const auto job = co_await jobs.receive()) {  // until it is closed, or we are cancelled
    sum += *job;
  }
}

wev::Task<wev::Expected<int>> add_up() {
  wev::Channel<int> jobs(4);
  int sum = 0;
  co_await wev::ok(
      wev::with_group(wev::fail_fast, [&](wev::TaskGroup& group) -> wev::Task<wev::Expected<void>> {
        for (int i = 0; i < 3; ++i) group.spawn(work(jobs, sum));
        for (int i = 1; i <= 100; ++i) co_await wev::ok(jobs.send(i));
        jobs.close();
        co_return {};
      }));
  co_return sum;  // all four tasks have ended
}
// [end]

// [cancel]
wev::Task<wev::Expected<void>> say_goodbye(int& said) {
  co_await wev::ok(wev::sleep(1ms));
  ++said;
  co_return {};
}

wev::Task<wev::Expected<void>> serve(int& said) {
  const auto slept = co_await wev::sleep(1h);
  const auto done = co_await wev::shield(say_goodbye(said));  // though we are cancelled
  if (!done) co_return done;
  co_return slept;
}
// [end]

// [everywhere]
// Cancels the program at each place where it waits.
bool survives_being_cancelled() {
  for (std::size_t n = 1;; ++n) {
    wev::Loop loop;
    wev::Root<wev::Expected<int>> root(loop, add_up());
    root.cancel_at(n);
    const auto ran = root.run();
    if (!ran) return false;
    if (root.suspensions() < n) return root.take() == 5050;  // it ended before
    const auto sum = root.take();
    if (sum && *sum != 5050) return false;
  }
}
// [end]

}  // namespace

int main() {
  wev::Loop loop;
  const bool fast = wev::run(loop, faster()) == 1;
  const bool added = wev::run(loop, add_up()) == 5050;
  int said = 0;
  const auto served = wev::run(loop, wev::timeout(1ms, serve(said)));
  const bool polite = !served && served.error() == wev::Errc::timed_out && said == 1;
  const auto input = wev::Stream::standard_input(loop);
  const auto output = wev::Stream::standard_output(loop);
  const auto copied = wev::run(loop, copy(input, output));
  if (!copied) std::fprintf(stderr, "tasks: copying: %s\n", copied.error().message().c_str());
  const bool survives = survives_being_cancelled();
  if (fast && added && polite && copied && survives) return 0;
  std::fprintf(stderr, "fast %d, added %d, polite %d, copied %d, survives %d\n", fast, added,
               polite, copied.has_value(), survives);
  return 1;
}
