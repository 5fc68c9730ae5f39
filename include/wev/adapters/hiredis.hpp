// hiredis.hpp: Redis clients of hiredis, driven by a loop.
//
//   redisAsyncContext* redis = redisAsyncConnect("127.0.0.1", 6379);
//   if (redis == nullptr || redis->err != 0) ...
//   if (auto attached = wev::attach(loop, *redis); !attached) ...
//   redisAsyncCommand(redis, on_reply, this, "GET %s", key);
//
// Link       The program is linked with hiredis (-lhiredis), 0.14 or later; wev is not.
// Callbacks  hiredis's own, called by the loop. They may do whatever hiredis allows them.
// Lifetime   From attach() on until hiredis frees the context: after redisAsyncDisconnect,
//            an error or redisAsyncFree. The loop outlives that, by a run() or drain().
//            A drain of the loop leaves a context that is not called any more: free it.
// Timeouts   Of redisAsyncSetTimeout, which hiredis has since 1.0.
// Thread     The loop's.
#pragma once

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <chrono>
#include <new>

#include "wev/io/timer.hpp"
#include "wev/io/watcher.hpp"

namespace wev {

namespace internal {

/// What hiredis calls. It lives until hiredis has done with it (cleanup).
class HiredisEvents : public Allocated {
 public:
  HiredisEvents(Loop& loop, redisAsyncContext& context, Watcher watcher)
      : context_(context), watcher_(std::move(watcher)), timer_(loop) {
    watcher_.on_ready([this](std::size_t bits) { ready(bits); });
    context.ev.data = this;
    context.ev.addRead = [](void* self) { want(self, readable, true); };
    context.ev.delRead = [](void* self) { want(self, readable, false); };
    context.ev.addWrite = [](void* self) { want(self, writable, true); };
    context.ev.delWrite = [](void* self) { want(self, writable, false); };
    context.ev.cleanup = [](void* self) { delete static_cast<HiredisEvents*>(self); };
    set_timer_hook(context);
  }
  ~HiredisEvents() {
    if (ended_ != nullptr) *ended_ = true;
  }
  HiredisEvents(const HiredisEvents&) = delete;
  HiredisEvents& operator=(const HiredisEvents&) = delete;

 private:
  static void want(void* self, std::size_t bit, bool wanted) {
    Watcher& watcher = static_cast<HiredisEvents*>(self)->watcher_;
    watcher.want(wanted ? watcher.wanted() | bit : watcher.wanted() & ~bit);
  }

  // hiredis may free the context, and this, in the first of the two.
  void ready(std::size_t bits) {
    bool ended = false;
    ended_ = &ended;
    redisAsyncContext& context = context_;
    if ((bits & readable) != 0) redisAsyncHandleRead(&context);
    if (!ended && (bits & writable) != 0) redisAsyncHandleWrite(&context);
    if (!ended) ended_ = nullptr;
  }

  template <class Context>
  static void set_timer_hook(Context& context) {
    if constexpr (requires { context.ev.scheduleTimer; }) {
      context.ev.scheduleTimer = [](void* self, timeval delay) {
        auto& events = *static_cast<HiredisEvents*>(self);
        events.timer_.after(
            std::chrono::seconds(delay.tv_sec) + std::chrono::microseconds(delay.tv_usec),
            [context = static_cast<Context*>(&events.context_)](std::size_t) {
              redisAsyncHandleTimeout(context);
            });
      };
    }
  }

  redisAsyncContext& context_;
  Watcher watcher_;
  Timer timer_;
  bool* ended_ = nullptr;  // of the ready() that is under way
};

}  // namespace internal

/// Lets `loop` drive a connection. bad_file_descriptor: `context` has none, see its err;
/// too_many_files_open, not_enough_memory. REQUIRES: it is attached to nothing yet.
inline Expected<void> attach(Loop& loop, redisAsyncContext& context) {
  WEV_ASSERT(context.ev.data == nullptr, "attach: the context has an event loop already");
  auto watcher = Watcher::open(loop, context.c.fd);
  if (!watcher) return std::unexpected(watcher.error());
  auto* events = new (std::nothrow) internal::HiredisEvents(loop, context, std::move(*watcher));
  if (events == nullptr) return std::unexpected(std::errc::not_enough_memory);
  return {};
}

}  // namespace wev
