#include <array>
#include <cstdio>

#include "wev/io.hpp"
#include "wev/task.hpp"

using namespace std::chrono_literals;

// Copies stdin to stdout until it ends, and gives up where nothing comes for an hour.
wev::Task<wev::Expected<std::size_t>> copy(wev::Loop& loop) {
  const auto input = wev::Stream::standard_input(loop);
  const auto output = wev::Stream::standard_output(loop);
  std::array<std::byte, 4096> buffer;
  for (std::size_t copied = 0;;) {
    const std::size_t size = co_await wev::ok(input.read_some(buffer).within(1h));
    if (size == 0) co_return copied;
    copied += co_await wev::ok(output.write_all(std::span(buffer).first(size)));
  }
}

// Counts until it is cancelled.
wev::Task<> beat(int& beats) {
  while (const auto slept = co_await wev::sleep(100ms)) ++beats;
}

wev::Task<wev::Expected<void>> program(wev::Loop& loop) {
  int beats = 0;
  const auto first = co_await wev::when_any(copy(loop), beat(beats));
  std::fprintf(stderr, "%d heartbeats\n", beats);
  if (const auto& copied = std::get<0>(first); !copied) co_return std::unexpected(copied.error());
  co_return {};
}

int main() {
  const auto ended = wev::run(program);
  if (!ended) std::fprintf(stderr, "heartbeat: %s\n", ended.error().message().c_str());
  return ended ? 0 : 1;
}
