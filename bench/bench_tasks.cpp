// bench_tasks: what tasks cost that wait for nothing outside of the program.
//
// An operation is one task that is made, awaited and gone (await), one that is spawned
// into a group and has ended (spawn), or one value through a channel from a task to
// another (channel). The baseline of each is a function that is called through a
// pointer, as plain as it can be, for scale: the compiler must not see through it.
#include <array>
#include <cstddef>

#include "bench.hpp"
#include "wev/task.hpp"
#ifdef WEV_BENCH_HAS_ASIO
#include <asio.hpp>
#include <asio/experimental/channel.hpp>
#endif

namespace {

using bench::Outcome;
using bench::Trial;

std::size_t next(std::size_t i) { return i + 1; }

// Calls --------------------------------------------------------------------------------

Outcome calls(Trial& trial) {
  std::size_t (*volatile function)(std::size_t) = next;
  std::size_t i = 0;
  trial.start();
  while (i < trial.size()) i = function(i);
  trial.stop();
  return i == trial.size() ? Outcome::right : Outcome::wrong;
}

// wev ----------------------------------------------------------------------------------

wev::Task<std::size_t> next_task(std::size_t i) { co_return i + 1; }

wev::Task<std::size_t> await_all(std::size_t size) {
  std::size_t i = 0;
  while (i < size) i = co_await next_task(i);
  co_return i;
}

template <class Make>
Outcome run_task(Trial& trial, Make make) {
  wev::Loop loop;
  trial.start();
  const wev::Expected<std::size_t> count = wev::run(loop, make());
  trial.stop();
  return count == trial.size() ? Outcome::right : Outcome::wrong;
}

Outcome awaits(Trial& trial) {
  return run_task(trial, [&] { return await_all(trial.size()); });
}

wev::Task<> count_up(std::size_t& count) {
  ++count;
  co_return;
}

wev::Task<std::size_t> spawn_all(std::size_t size) {
  constexpr std::size_t at_once = 100;
  std::size_t count = 0;
  while (count < size) {
    co_await wev::with_group(wev::isolate, [&](wev::TaskGroup& group) -> wev::Task<> {
      for (std::size_t i = 0; i < at_once && i + count < size; ++i) group.spawn(count_up(count));
      co_return;
    });
  }
  co_return count;
}

Outcome spawns(Trial& trial) {
  return run_task(trial, [&] { return spawn_all(trial.size()); });
}

wev::Task<std::size_t> receive_all(wev::Channel<std::size_t>& channel) {
  std::size_t count = 0;
  while (const auto value = co_await channel.receive()) count += *value == count ? 1 : 0;
  co_return count;
}
wev::Task<> send_all(wev::Channel<std::size_t>& channel, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) (void)co_await channel.send(i);
  channel.close();
}
wev::Task<std::size_t> through_channel(std::size_t size) {
  wev::Channel<std::size_t> channel(16);
  const auto both = co_await wev::when_all(receive_all(channel), send_all(channel, size));
  co_return std::get<0>(both);
}

Outcome channels(Trial& trial) {
  return run_task(trial, [&] { return through_channel(trial.size()); });
}

// Asio ---------------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_ASIO
asio::awaitable<std::size_t> asio_next(std::size_t i) { co_return i + 1; }

template <class Make>
Outcome run_asio(Trial& trial, Make make) {
  asio::io_context io(1);
  std::size_t count = 0;
  trial.start();
  asio::co_spawn(io, make(),
                 [&](const std::exception_ptr&, std::size_t result) { count = result; });
  io.run();
  trial.stop();
  return count == trial.size() ? Outcome::right : Outcome::wrong;
}

asio::awaitable<std::size_t> asio_await_all(std::size_t size) {
  std::size_t i = 0;
  while (i < size) i = co_await asio_next(i);
  co_return i;
}
Outcome asio_awaits(Trial& trial) {
  return run_asio(trial, [&] { return asio_await_all(trial.size()); });
}

asio::awaitable<void> asio_count_up(std::size_t& count) {
  ++count;
  co_return;
}
Outcome asio_spawns(Trial& trial) {
  asio::io_context io(1);
  std::size_t count = 0;
  trial.start();
  while (count < trial.size()) {
    const std::size_t more = std::min<std::size_t>(100, trial.size() - count);
    for (std::size_t i = 0; i < more; ++i) asio::co_spawn(io, asio_count_up(count), asio::detached);
    io.run();
    io.restart();
  }
  trial.stop();
  return count == trial.size() ? Outcome::right : Outcome::wrong;
}

using AsioChannel = asio::experimental::channel<void(asio::error_code, std::size_t)>;
asio::awaitable<std::size_t> asio_receive_all(AsioChannel& channel, std::size_t size) {
  std::size_t count = 0;
  while (count < size) {
    const std::size_t value = co_await channel.async_receive(asio::use_awaitable);
    if (value != count) break;
    ++count;
  }
  co_return count;
}
asio::awaitable<void> asio_send_all(AsioChannel& channel, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    co_await channel.async_send(asio::error_code(), i, asio::use_awaitable);
  }
}
Outcome asio_channels(Trial& trial) {
  asio::io_context io(1);
  AsioChannel channel(io, 16);
  std::size_t count = 0;
  trial.start();
  asio::co_spawn(io, asio_receive_all(channel, trial.size()),
                 [&](const std::exception_ptr&, std::size_t result) { count = result; });
  asio::co_spawn(io, asio_send_all(channel, trial.size()), asio::detached);
  io.run();
  trial.stop();
  return count == trial.size() ? Outcome::right : Outcome::wrong;
}
#else
constexpr bench::Run asio_awaits = bench::not_built;
constexpr bench::Run asio_spawns = bench::not_built;
constexpr bench::Run asio_channels = bench::not_built;
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {.size = 5'000'000, .tiny_size = 1'000});
  bench::Contest contest("tasks that wait for nothing outside", "task or value", options);
  contest.add("calls", calls);
  contest.add("wev await", awaits, "calls");
  contest.add("Asio await", asio_awaits, "wev await");
  contest.add("wev spawn", spawns, "wev await");
  contest.add("Asio spawn", asio_spawns, "wev spawn");
  contest.add("wev channel", channels, "wev await");
  contest.add("Asio channel", asio_channels, "wev channel");
  return contest.run() ? 0 : 1;
}
