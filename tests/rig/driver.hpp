// driver.hpp: loops that are not run, but driven from outside.
//
// A Driver is the loop of a host that owns the thread. It has what such a host has: ticks
// that do not wait, next_deadline(), pollable() and turn_soon. It sleeps without limit
// where these say that nothing is to be done, so a wake that is lost is a test that hangs,
// and it fails where they let it turn again and again for nothing.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "rig/rig.hpp"

namespace wev::test {

class Driver {
 public:
  explicit Driver(Loop& loop) : loop_(loop) {}
  virtual ~Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  /// Returns when Loop::run(mode) would.
  Expected<void> run(RunMode mode);
  /// As Loop::tick(): sleeps at most once.
  Expected<std::size_t> tick();

  /// For Loop::set_driver.
  static void turn_soon(void* driver) noexcept { static_cast<Driver*>(driver)->wake(); }

 protected:
  enum class Slept : std::uint8_t { yes, not_at_all, for_ever };

  /// Until `until`, the loop's pollable is readable, or wake().
  virtual Slept sleep(Instant until) = 0;
  /// Any thread.
  virtual void wake() noexcept = 0;

  Loop& loop_;

 private:
  Expected<std::size_t> turn();
  Expected<void> sleep();

  int in_vain_ = 0;  // turns in a row that did nothing and behind which it did not sleep
};

/// In place of sleeping lets time pass that is made up. What other threads bring, where
/// there are some, is waited for.
class DriverInVirtualTime : public Driver {
 public:
  DriverInVirtualTime(Loop& loop, std::function<void(Duration)> advance, bool threads)
      : Driver(loop), advance_(std::move(advance)), threads_(threads) {}

 protected:
  Slept sleep(Instant until) override;
  void wake() noexcept override;

 private:
  std::function<void(Duration)> advance_;
  const bool threads_;
  std::atomic<bool> woken_{false};
};

/// A rig whose loops are driven. Base has make_driver(Loop&), and says by tells_driver()
/// whether turn_soon is called.
template <class Base>
class Driven final : public Base {
 public:
  using Base::Base;

  std::unique_ptr<Loop> loop() override {
    auto loop = Base::loop();
    if (loop == nullptr) return nullptr;
    auto driver = Base::make_driver(*loop);
    if (Base::tells_driver()) {
      loop->set_driver(Driver::turn_soon, driver.get());
      this->traits_.no_still_clock = "for a driver the clock goes on between two ticks";
    }
    const Lock lock(*this);
    drivers_[loop.get()] = std::move(driver);  // there may be one of a loop that is gone
    return loop;
  }
  [[nodiscard]] bool driven() const override { return true; }
  Expected<void> run(Loop& loop, RunMode mode) override { return driver(loop).run(mode); }
  Expected<std::size_t> tick(Loop& loop) override { return driver(loop).tick(); }
  void check() override {
    drivers_.clear();
    Base::check();
  }

 private:
  // Some loops are of other threads; WASI has no std::mutex.
  struct Lock {
    explicit Lock(Driven& its_rig) : rig(its_rig) {
      while (rig.locked_.test_and_set(std::memory_order_acquire)) {
      }
    }
    ~Lock() { rig.locked_.clear(std::memory_order_release); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    Driven& rig;
  };

  Driver& driver(Loop& loop) {
    const Lock lock(*this);
    return *drivers_.find(&loop)->second;
  }

  std::atomic_flag locked_ = ATOMIC_FLAG_INIT;
  std::map<Loop*, std::unique_ptr<Driver>> drivers_;
};

}  // namespace wev::test
