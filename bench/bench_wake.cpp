// bench_wake: two threads wake each other in turn.
//
// Each has a loop of its own and sleeps until the other one notifies it; an
// operation is one round trip, two notifications. Both threads are pinned to one
// CPU: on two, what is measured is how long an idle CPU takes to wake up.
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include "bench.hpp"
#include "fd.hpp"
#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"
#ifdef WEV_BENCH_HAS_LIBUV
#include <uv.h>
#endif

namespace {

using bench::Outcome;
using bench::Trial;

// This thread, and those it makes, stay on one of the CPUs it may use.
class PinnedToOneCpu {
 public:
  PinnedToOneCpu() {
    ::pthread_getaffinity_np(::pthread_self(), sizeof before_, &before_);
    int last = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &before_)) last = cpu;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    ::pthread_setaffinity_np(::pthread_self(), sizeof one, &one);
  }
  ~PinnedToOneCpu() { ::pthread_setaffinity_np(::pthread_self(), sizeof before_, &before_); }
  PinnedToOneCpu(const PinnedToOneCpu&) = delete;
  PinnedToOneCpu& operator=(const PinnedToOneCpu&) = delete;

 private:
  cpu_set_t before_;
};

// Half of a pair that has failed: the other half would wait for ever.
void require(bool went_well) {
  if (went_well) return;
  std::fprintf(stderr, "bench_wake: a loop has failed\n");
  std::_Exit(1);
}

// Raw ------------------------------------------------------------------------------

// An eventfd, watched edge-triggered and so never read.
class RawSleeper {
 public:
  RawSleeper() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), epoll_(::epoll_create1(0)) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    works_ = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event_.get(), &event) == 0;
  }

  void wake() { (void)::eventfd_write(event_.get(), 1); }
  bool sleep() {
    epoll_event event;
    int count = 0;
    do {
      count = ::epoll_wait(epoll_.get(), &event, 1, -1);
    } while (count < 0 && errno == EINTR);
    return count == 1;
  }
  [[nodiscard]] bool works() const noexcept { return works_; }

 private:
  bench::Fd event_;
  bench::Fd epoll_;
  bool works_ = false;
};

Outcome raw(Trial& trial) {
  const PinnedToOneCpu pinned;
  RawSleeper here;
  RawSleeper there;
  if (!here.works() || !there.works()) return Outcome::unavailable;
  std::thread other([&] {
    for (std::size_t i = 0; i < trial.size(); ++i) {
      require(there.sleep());
      here.wake();
    }
  });
  trial.start();
  for (std::size_t i = 0; i < trial.size(); ++i) {
    there.wake();
    require(here.sleep());
  }
  trial.stop();
  other.join();
  return Outcome::right;
}

// wev ------------------------------------------------------------------------------

// One of the threads: notified so many times, it notifies the other one each time,
// but for the last if it was it who began.
struct WevThread {
  WevThread(std::unique_ptr<wev::Backend> backend, std::size_t its_count)
      : loop(std::move(backend)), async(loop), left(its_count) {}
  ~WevThread() { loop.detach(async); }

  void wait() { loop.add(completion, wev::op::async_wait(async), this, on_notified); }

  static wev::Action on_notified(void* self, wev::Loop&, wev::Completion&, wev::Result) {
    auto& at = *static_cast<WevThread*>(self);
    --at.left;
    if (at.left > 0 || !at.began) at.peer->notify();
    return at.left > 0 ? wev::Action::rearm : wev::Action::disarm;
  }

  wev::Loop loop;
  wev::Async async;
  wev::Completion completion;
  wev::Async* peer = nullptr;
  std::size_t left;
  bool began = false;
};

template <wev::BackendKind kind>
Outcome on_wev(Trial& trial) {
  const PinnedToOneCpu pinned;
  auto first = wev::make_backend({.kind = kind});
  auto second = wev::make_backend({.kind = kind});
  if (!first || !second) return Outcome::unavailable;
  WevThread here(std::move(*first), trial.size());
  WevThread there(std::move(*second), trial.size());
  here.peer = &there.async;
  there.peer = &here.async;
  here.began = true;
  here.wait();
  there.wait();
  std::thread other([&] { require(there.loop.run().has_value()); });
  trial.start();
  there.async.notify();
  require(here.loop.run().has_value());
  trial.stop();
  other.join();
  return here.left == 0 && there.left == 0 ? Outcome::right : Outcome::wrong;
}

// libuv ----------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_LIBUV
struct UvThread {
  explicit UvThread(std::size_t its_count) : left(its_count) {
    works = ::uv_loop_init(&loop) == 0 && ::uv_async_init(&loop, &async, on_notified) == 0;
    async.data = this;
  }
  ~UvThread() {
    ::uv_close(reinterpret_cast<uv_handle_t*>(&async), nullptr);
    ::uv_run(&loop, UV_RUN_DEFAULT);
    ::uv_loop_close(&loop);
  }
  UvThread(const UvThread&) = delete;
  UvThread& operator=(const UvThread&) = delete;

  static void on_notified(uv_async_t* async) {
    auto& at = *static_cast<UvThread*>(async->data);
    --at.left;
    if (at.left > 0 || !at.began) ::uv_async_send(at.peer);
    if (at.left == 0) ::uv_stop(&at.loop);
  }

  uv_loop_t loop;
  uv_async_t async;
  uv_async_t* peer = nullptr;
  std::size_t left;
  bool began = false;
  bool works = false;
};

Outcome libuv(Trial& trial) {
  const PinnedToOneCpu pinned;
  UvThread here(trial.size());
  UvThread there(trial.size());
  if (!here.works || !there.works) return Outcome::unavailable;
  here.peer = &there.async;
  there.peer = &here.async;
  here.began = true;
  std::thread other([&] { ::uv_run(&there.loop, UV_RUN_DEFAULT); });
  trial.start();
  ::uv_async_send(&there.async);
  ::uv_run(&here.loop, UV_RUN_DEFAULT);
  trial.stop();
  other.join();
  return here.left == 0 && there.left == 0 ? Outcome::right : Outcome::wrong;
}
#else
constexpr bench::Run libuv = bench::not_built;
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {.size = 200'000, .tiny_size = 500});
  bench::Contest contest("two threads on one CPU wake each other", "round trip", options);
  contest.add("eventfd and epoll", raw);
  contest.add("wev epoll", on_wev<wev::BackendKind::epoll>, "eventfd and epoll");
  contest.add("wev io_uring", on_wev<wev::BackendKind::io_uring>, "eventfd and epoll");
  contest.add("libuv", libuv, "eventfd and epoll");
  return contest.run() ? 0 : 1;
}
