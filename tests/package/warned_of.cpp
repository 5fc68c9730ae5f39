// All of wev, and of its parts what is made by templates.
#include <wev/base/error_code.hpp>
#include <wev/base/error_text.hpp>
#include <wev/io/resolve.hpp>
#include <wev/sim.hpp>
#include <wev/wev.hpp>

static_assert(WEV_VERSION ==
              10000 * WEV_VERSION_MAJOR + 100 * WEV_VERSION_MINOR + WEV_VERSION_PATCH);

wev::Task<wev::Expected<int>> uses_templates(wev::Loop& loop, wev::Stream& stream) {
  using namespace std::chrono_literals;
  wev::Channel<int> channel(1);
  wev::Mutex mutex;
  wev::Timer timer(loop);
  timer.after(1s, [] {});
  timer.every(1s, [](std::size_t) {});
  loop.post([] {});
  char characters[16];
  const std::size_t size = co_await wev::ok(stream.read_some(characters).within(1s));
  co_await wev::ok(stream.write_all("text"));
  co_await wev::ok(channel.send(static_cast<int>(size)));
  co_await wev::ok(wev::timeout(1s, channel.receive()));
  wev::Request request;
  request.start(stream.write_some({characters, size}), [](wev::Expected<std::size_t>) {});
  co_await wev::ok(wev::connect(loop, "::1", 80).within(1s));
  co_await wev::with_group(wev::fail_fast, [&](wev::TaskGroup& group) -> wev::Task<> {
    group.spawn(wev::as_task(wev::when_any(wev::sleep(1s), channel.receive())));
    co_return;
  });
  co_await wev::shield(wev::run_blocking([] { return 1; }));
  co_return 0;
}
