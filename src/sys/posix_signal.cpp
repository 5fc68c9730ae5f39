// system.hpp: signals, each counted for whoever watches it.
#include <sched.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <new>

#include "sys/immortal.hpp"
#include "sys/port.hpp"
#include "sys/posix.hpp"
#include "sys/system.hpp"
#include "wev/base/allocated.hpp"

namespace wev::sys {

namespace {

// One counter of one signal. Once made it stays in its signal's list, so that handlers
// walk that without a lock; it is used again for the same signal.
struct Watch : Allocated {
  Watch* next = nullptr;              // written before it is in the list
  int reader = -1;                    // who watches knows it by this
  std::atomic<int> writer{-1};        // -1: nobody watches
  std::atomic<unsigned> handlers{0};  // that may be about to write
  std::atomic<unsigned> forks{0};     // of the process that watches: no child counts for it
};

struct WatchedSignal {
  std::atomic<Watch*> first{nullptr};
  std::size_t watches = 0;
  struct sigaction before{};  // what it was before the first watch
};

struct Signals {
  std::mutex mutex;  // of all but what handlers read
  std::array<WatchedSignal, NSIG> all{};
};

constinit Immortal<Signals> signals;

// Either it sees that the descriptor is gone, or unwatch_signal() sees that it is
// here: hence the sequential consistency of both.
void on_signal(int signal) noexcept {
  const int saved = errno;
  const unsigned here = forks();
  const WatchedSignal& watched = signals.value.all[static_cast<std::size_t>(signal)];
  for (Watch* watch = watched.first.load(); watch != nullptr; watch = watch->next) {
    watch->handlers.fetch_add(1);
    const int writer = watch->writer.load();
    if (writer >= 0 && watch->forks.load() == here) count_up(writer);
    watch->handlers.fetch_sub(1);
  }
  errno = saved;
}

bool is_watchable(int signal) noexcept {
  switch (signal) {
    // What a fault raises comes again when its handler returns.
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGKILL:
    case SIGSTOP: return false;
    default: return signal > 0 && signal < NSIG;
  }
}

Watch* unused_watch(WatchedSignal& watched) noexcept {
  for (Watch* watch = watched.first.load(); watch != nullptr; watch = watch->next) {
    if (watch->writer.load() < 0) return watch;
  }
  auto* watch = new (std::nothrow) Watch;
  if (watch == nullptr) return nullptr;
  watch->next = watched.first.load();
  watched.first.store(watch);
  return watch;
}

bool install_handler(int signal, WatchedSignal& watched) noexcept {
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  return ::sigaction(signal, &action, &watched.before) == 0;
}

// What somebody has put in its place meanwhile stays.
void restore_handler(int signal, const WatchedSignal& watched) noexcept {
  struct sigaction now{};
  if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == on_signal) {
    (void)::sigaction(signal, &watched.before, nullptr);
  }
}

// The counter's reader.
Result watch_with(const Counter& counter, int signal) noexcept {
  const std::scoped_lock lock(signals.value.mutex);
  WatchedSignal& watched = signals.value.all[static_cast<std::size_t>(signal)];
  Watch* watch = unused_watch(watched);
  if (watch == nullptr) return std::unexpected(std::errc::not_enough_memory);
  if (watched.watches == 0 && !install_handler(signal, watched)) {
    return std::unexpected(last_error());
  }
  ++watched.watches;
  watch->reader = counter.reader;
  watch->forks.store(forks());
  watch->writer.store(counter.writer);
  return static_cast<std::size_t>(counter.reader);
}

// Its reader is closed by whoever has it.
void end(Watch& watch) noexcept {
  const int writer = watch.writer.exchange(-1);
  while (watch.handlers.load() != 0) ::sched_yield();
  if (writer != watch.reader) (void)close(writer);
}

}  // namespace

Result watch_signal(int signal) noexcept {
  if (!is_watchable(signal)) return std::unexpected(std::errc::invalid_argument);
  Counter counter;
  if (open_counter(counter) < 0) return std::unexpected(last_error());
  const Result watched = watch_with(counter, signal);
  if (!watched) close_counter(counter);
  return watched;
}

Result wait_signal(int fd) noexcept { return take_count(fd); }

Result unwatch_signal(int fd) noexcept {
  const std::scoped_lock lock(signals.value.mutex);
  for (int signal = 0; WatchedSignal& watched : signals.value.all) {
    for (Watch* watch = watched.first.load(); watch != nullptr; watch = watch->next) {
      if (watch->writer.load() < 0 || watch->reader != fd) continue;
      if (--watched.watches == 0) restore_handler(signal, watched);
      end(*watch);
      return 0;
    }
    ++signal;
  }
  return std::unexpected(std::errc::bad_file_descriptor);
}

}  // namespace wev::sys
