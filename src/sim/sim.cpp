#include "wev/sim/sim.hpp"

#include <algorithm>

#include "backend/readiness.hpp"
#include "sim/random.hpp"
#include "sim/world.hpp"
#include "sys/thread.hpp"

namespace wev {

using namespace std::chrono_literals;

namespace {

// Systems do not interrupt the others once they have begun.
bool interruptible(const Operation& operation) { return operation.has(waits); }

}  // namespace

Sim::Sim(Options options)
    : options_(options),
      random_(std::make_unique<Random>(options.seed)),
      world_(std::make_unique<World>(*random_, options.moody, 3)),
      stalls_(std::make_unique<Random>(options.seed)) {}

Sim::~Sim() { WEV_ASSERT(flights_.empty(), "~Sim: a loop still has operations in flight on it"); }

// The world outside ---------------------------------------------------------------

std::pair<int, int> Sim::pipe() { return world_->pipe(options_.capacity); }
std::pair<int, int> Sim::socket_pair() { return world_->socket_pair(options_.capacity); }
int Sim::file(std::string_view contents) { return world_->file(contents); }
int Sim::listen() { return world_->listen(); }
int Sim::connect(int listener) { return world_->connect(listener, options_.capacity); }

Result Sim::perform(const Operation& operation) { return world_->perform(operation); }
std::string Sim::contents(int fd) const { return world_->contents(fd); }
std::size_t Sim::open_descriptors() const { return world_->open_descriptors(); }
void Sim::fail_next(int fd, Error error) { world_->fail_next(fd, error); }
void Sim::advance(Duration duration) { now_ = after(now_, duration); }

// Backend -------------------------------------------------------------------------

Instant Sim::now() const {
  now_ = after(now_, stalls_->stall(options_.longest_stall));
  return now_;
}

std::optional<Result> Sim::start(Completion& completion) {
  const Operation& operation = completion.operation();
  if (operation.on_descriptor() && !world_->is_open(operation.io.fd)) {
    return std::unexpected(std::errc::bad_file_descriptor);
  }
  if (!options_.moody || random_->one_in(2)) {
    const Result result = world_->perform(operation);
    if (!would_block(operation, result)) return result;
  }
  Duration latency = 0ns;
  if (options_.moody && random_->one_in(2)) {
    latency = std::chrono::microseconds(random_->below(200));
  }
  if (!ending_.reserve(flights_.size() + 1) ||
      !flights_.push_back({&completion, now_ + latency, false})) {
    return std::unexpected(std::errc::not_enough_memory);
  }
  completion.backend_slot = static_cast<std::uint32_t>(flights_.size());
  return std::nullopt;
}

bool Sim::cancel(Completion& completion) {
  const std::size_t i = completion.backend_slot - 1;
  const Operation& operation = completion.operation();
  const bool possible =
      interruptible(operation) &&
      (!world_->is_open(operation.io.fd) || world_->kind(operation.io.fd) != World::Kind::file);
  if (possible && (!options_.moody || random_->one_in(2))) {
    remove(i);
    return true;
  }
  flights_[i].cancel_asked = possible;
  return false;
}

void Sim::remove(std::size_t i) {
  flights_[i].completion->backend_slot = 0;
  flights_[i] = flights_.back();
  flights_.pop_back();
  if (i < flights_.size()) {
    flights_[i].completion->backend_slot = static_cast<std::uint32_t>(i + 1);
  }
}

bool Sim::can_end(const Flight& flight) const {
  return flight.cancel_asked || world_->ready(flight.completion->operation());
}

Result Sim::outcome(const Flight& flight) {
  const bool too_late = !flight.cancel_asked || random_->one_in(2);
  if (too_late) {
    const Operation& operation = flight.completion->operation();
    const Result result = world_->perform(operation);
    if (!flight.cancel_asked || !would_block(operation, result)) return result;
  }
  return std::unexpected(std::errc::operation_canceled);
}

// Ends what can end by now, in any order; not all of it, in some moods.
bool Sim::end_some(CompletionQueue& done) {
  ending_.clear();
  for (std::size_t i = 0; i < flights_.size(); ++i) {
    const Flight& flight = flights_[i];
    if (flight.earliest > now_ || !can_end(flight)) continue;
    (void)ending_.push_back(flight.completion);  // reserved by start()
  }
  std::size_t count = ending_.size();
  if (options_.moody && count > 0) {
    for (std::size_t i = count; i > 1; --i) {
      std::swap(ending_[i - 1], ending_[random_->below(i)]);
    }
    count = 1 + random_->below(count);
  }
  bool ended = false;
  for (std::size_t i = 0; i < count; ++i) {
    Completion* completion = ending_[i];
    const Flight flight = flights_[completion->backend_slot - 1];
    // One of the others may have taken what this one was ready for.
    const Result result = outcome(flight);
    if (would_block(completion->operation(), result)) continue;
    remove(completion->backend_slot - 1);
    done.push(*completion, result);
    ended = true;
  }
  return ended;
}

std::expected<void, Error> Sim::wait(Instant deadline, CompletionQueue& done) {
  for (;;) {
    if (woken_.exchange(false, std::memory_order_acq_rel)) return {};
    if (end_some(done) || deadline <= now_) return {};
    if (options_.moody && random_->one_in(8)) return {};
    Instant next = deadline;
    for (std::size_t i = 0; i < flights_.size(); ++i) {
      const Flight& flight = flights_[i];
      if (can_end(flight)) next = std::min(next, std::max(flight.earliest, now_));
    }
    if (next != never) {
      now_ = next;
    } else if (!options_.threads || !sys::park(woken_)) {
      return std::unexpected(Errc::deadlock);
    }
  }
}

void Sim::wake() noexcept { sys::unpark(woken_); }

}  // namespace wev
