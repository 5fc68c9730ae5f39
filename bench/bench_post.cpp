// bench_post: what a loop's own thread hands to its loop while that is running.
//
//   chained  Each callback posts, or notifies, the next one: what a turn of a loop
//            costs that never sleeps. libuv has no post; it notifies itself.
//   batched  All are posted, then the loop runs.
//
// An operation is one callback.
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"
#ifdef WEV_BENCH_HAS_LIBUV
#include <uv.h>
#endif
#ifdef WEV_BENCH_HAS_ASIO
#include <asio.hpp>
#endif

namespace {

using bench::Outcome;
using bench::Trial;

Outcome none_left(std::size_t left) { return left == 0 ? Outcome::right : Outcome::wrong; }

// wev ------------------------------------------------------------------------------

struct WevLoop {
  explicit WevLoop(const Trial& trial) : left(trial.size()) {
    if (auto backend = wev::make_backend({.kind = wev::BackendKind::epoll})) {
      loop = std::make_unique<wev::Loop>(std::move(*backend));
    }
  }

  std::unique_ptr<wev::Loop> loop;  // nullptr: not available
  std::size_t left;                 // callbacks
};

wev::Action on_wev_posted(void* self, wev::Loop& loop, wev::Completion& completion, wev::Result) {
  if (--static_cast<WevLoop*>(self)->left > 0) loop.post(completion, self, on_wev_posted);
  return wev::Action::disarm;
}

Outcome wev_post(Trial& trial) {
  WevLoop wev(trial);
  if (!wev.loop) return Outcome::unavailable;
  wev::Completion completion;
  trial.start();
  wev.loop->post(completion, &wev, on_wev_posted);
  const bool ran = wev.loop->run().has_value();
  trial.stop();
  return ran ? none_left(wev.left) : Outcome::wrong;
}

struct PostNext {
  WevLoop& wev;
  void operator()() const {
    if (--wev.left > 0) wev.loop->post(*this);
  }
};

Outcome wev_post_function(Trial& trial) {
  WevLoop wev(trial);
  if (!wev.loop) return Outcome::unavailable;
  trial.start();
  const bool posted = wev.loop->post(PostNext{wev});
  const bool ran = wev.loop->run().has_value();
  trial.stop();
  return posted && ran ? none_left(wev.left) : Outcome::wrong;
}

Outcome wev_notify(Trial& trial) {
  WevLoop wev(trial);
  if (!wev.loop) return Outcome::unavailable;
  struct Notified {
    WevLoop& wev;
    wev::Async async{*wev.loop};
    wev::Completion completion{};
  } state{wev};
  wev.loop->add(state.completion, wev::op::async_wait(state.async), &state,
                [](void* self, wev::Loop&, wev::Completion&, wev::Result) {
                  auto& at = *static_cast<Notified*>(self);
                  if (--at.wev.left == 0) return wev::Action::disarm;
                  at.async.notify();
                  return wev::Action::rearm;
                });
  trial.start();
  state.async.notify();
  const bool ran = wev.loop->run().has_value();
  trial.stop();
  wev.loop->detach(state.async);
  return ran ? none_left(wev.left) : Outcome::wrong;
}

wev::Action on_wev_batched(void* self, wev::Loop&, wev::Completion&, wev::Result) {
  --static_cast<WevLoop*>(self)->left;
  return wev::Action::disarm;
}

Outcome wev_batch(Trial& trial) {
  WevLoop wev(trial);
  if (!wev.loop) return Outcome::unavailable;
  std::vector<wev::Completion> completions(trial.size());
  trial.start();
  for (wev::Completion& each : completions) wev.loop->post(each, &wev, on_wev_batched);
  const bool ran = wev.loop->run().has_value();
  trial.stop();
  return ran ? none_left(wev.left) : Outcome::wrong;
}

Outcome wev_function_batch(Trial& trial) {
  WevLoop wev(trial);
  if (!wev.loop) return Outcome::unavailable;
  trial.start();
  for (std::size_t i = 0; i < trial.size(); ++i) wev.loop->post([&wev] { --wev.left; });
  const bool ran = wev.loop->run().has_value();
  trial.stop();
  return ran ? none_left(wev.left) : Outcome::wrong;
}

// Asio -----------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_ASIO
struct AsioPostNext {
  asio::io_context& io;
  std::size_t& left;
  void operator()() const {
    if (--left > 0) asio::post(io, *this);
  }
};

Outcome asio_post(Trial& trial) {
  asio::io_context io(1);
  std::size_t left = trial.size();
  trial.start();
  asio::post(io, AsioPostNext{io, left});
  io.run();
  trial.stop();
  return none_left(left);
}

Outcome asio_batch(Trial& trial) {
  asio::io_context io(1);
  std::size_t left = trial.size();
  trial.start();
  for (std::size_t i = 0; i < trial.size(); ++i) asio::post(io, [&left] { --left; });
  io.run();
  trial.stop();
  return none_left(left);
}
#else
constexpr bench::Run asio_post = bench::not_built;
constexpr bench::Run asio_batch = bench::not_built;
#endif

// libuv ----------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_LIBUV
Outcome libuv_notify(Trial& trial) {
  uv_loop_t loop;
  uv_async_t async;
  std::size_t left = trial.size();
  if (::uv_loop_init(&loop) != 0) return Outcome::unavailable;
  ::uv_async_init(&loop, &async, [](uv_async_t* notified) {
    if (--*static_cast<std::size_t*>(notified->data) > 0) {
      ::uv_async_send(notified);
    } else {
      ::uv_close(reinterpret_cast<uv_handle_t*>(notified), nullptr);
    }
  });
  async.data = &left;
  trial.start();
  ::uv_async_send(&async);
  ::uv_run(&loop, UV_RUN_DEFAULT);
  trial.stop();
  ::uv_loop_close(&loop);
  return none_left(left);
}
#else
constexpr bench::Run libuv_notify = bench::not_built;
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {.size = 1'000'000, .tiny_size = 2'000});
  bench::Contest chained("to the own loop, each posts the next", "callback", options);
  chained.add("Asio post", asio_post);
  chained.add("wev post", wev_post, "Asio post");
  chained.add("wev post function", wev_post_function, "Asio post");
  chained.add("wev notify", wev_notify, "Asio post");
  chained.add("libuv async", libuv_notify, "Asio post");
  bench::Contest batched("to the own loop, all are posted before it runs", "callback", options);
  batched.add("Asio post", asio_batch);
  batched.add("wev post", wev_batch, "Asio post");
  batched.add("wev post function", wev_function_batch, "Asio post");
  const bool first = chained.run();
  const bool second = batched.run();
  return first && second ? 0 : 1;
}
