#include "wev/sim/sim.hpp"

#include <algorithm>

#include "backend/attempt.hpp"
#include "sim/random.hpp"
#include "sim/world.hpp"
#include "sys/thread.hpp"

namespace wev {

using namespace std::chrono_literals;

namespace {

// Of an operation that could end at once.
constexpr Duration longest_latency = 200us;
// A program that looks at the clock so often without a sleep waits for time to pass.
constexpr std::size_t free_readings = 64;
constexpr Duration reading = 1us;

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

std::string Sim::contents(int fd) const { return world_->contents(fd); }
std::size_t Sim::open_descriptors() const { return world_->open_descriptors(); }
void Sim::fail_next(int fd, Error error) { world_->fail_next(fd, error); }
bool Sim::raise(int signal) { return world_->raise(signal); }
void Sim::on_spawn(std::function<Expected<void>(const Child& child)> play) {
  world_->on_spawn(std::move(play), options_.capacity);
}
bool Sim::exit(int pid, int code) {
  return world_->exit(pid, static_cast<std::size_t>(code & 0xff));
}
bool Sim::runs(int pid) const { return world_->runs(pid); }
void Sim::kill(int pid, int signal) { (void)world_->kill(pid, signal); }
void Sim::on_kill(int pid, std::function<void(int signal)> handle) {
  world_->on_kill(pid, std::move(handle));
}
void Sim::advance(Duration duration) {
  readings_ = 0;
  now_ = after(now_, duration);
}

// Backend -------------------------------------------------------------------------

Instant Sim::now() const {
  now_ = after(now_, stalls_->stall(options_.longest_stall));
  if (++readings_ > free_readings) now_ = after(now_, reading);
  return now_;
}

System* Sim::system() noexcept { return world_.get(); }

Expected<void> Sim::know(Descriptor& descriptor, const Operation&) {
  if (world_->is_open(descriptor.fd())) return {};
  return std::unexpected(std::errc::bad_file_descriptor);
}

std::optional<Result> Sim::start(Completion& completion) {
  const Operation& operation = completion.operation();
  if (operation.on_descriptor() && !world_->is_open(operation.io.fd)) {
    return std::unexpected(std::errc::bad_file_descriptor);
  }
  if (transfers_nothing(operation, world_.get())) return 0;
  if (!options_.moody || random_->one_in(2)) {
    const Result result = world_->perform(operation);
    if (!would_block(operation, result)) return result;
  }
  Duration latency = 0ns;
  if (options_.moody && random_->one_in(2)) {
    latency = Duration(random_->below(static_cast<std::size_t>(longest_latency.count())));
  }
  if (!ending_.reserve(flights_.size() + 1) ||
      !flights_.push_back({&completion, now_ + latency, false})) {
    return std::unexpected(std::errc::not_enough_memory);
  }
  completion.note = static_cast<std::uint32_t>(flights_.size());
  return std::nullopt;
}

std::optional<Result> Sim::cancel(Completion& completion) {
  const std::size_t i = completion.note - 1;
  const Operation& operation = completion.operation();
  const bool possible =
      interruptible(operation) &&
      (!world_->is_open(operation.io.fd) || world_->kind(operation.io.fd) != World::Kind::file);
  if (possible && (!options_.moody || random_->one_in(2))) {
    remove(i);
    return std::unexpected(Errc::operation_canceled);
  }
  flights_[i].cancel_asked = possible;
  return std::nullopt;
}

void Sim::remove(std::size_t i) {
  flights_[i].completion->note = 0;
  flights_[i] = flights_.back();
  flights_.pop_back();
  if (i < flights_.size()) {
    flights_[i].completion->note = static_cast<std::uint32_t>(i + 1);
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
void Sim::end_some(CompletionQueue& done) {
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
  for (std::size_t i = 0; i < ending_.size(); ++i) {
    Completion* completion = ending_[i];
    // No mood hides what had come before a deadline.
    if (i >= count && completion->deadline() > now_) continue;
    const Flight flight = flights_[completion->note - 1];
    // One of the others may have taken what this one was ready for.
    const Result result = outcome(flight);
    if (would_block(completion->operation(), result)) continue;
    remove(completion->note - 1);
    done.push(*completion, result);
  }
}

Expected<void> Sim::collect(CompletionQueue& done) {
  woken_.store(false, std::memory_order_relaxed);
  end_some(done);
  return {};
}

// When something can end, as things are.
Instant Sim::next_end() const {
  Instant next = never;
  for (std::size_t i = 0; i < flights_.size(); ++i) {
    const Flight& flight = flights_[i];
    if (can_end(flight)) next = std::min(next, std::max(flight.earliest, now_));
  }
  return next;
}

// Time goes on to when something can end.
Expected<void> Sim::sleep(Instant until) {
  readings_ = 0;
  if (woken_.exchange(false, std::memory_order_acq_rel)) return {};
  if (until <= now_ || (options_.moody && random_->one_in(8))) return {};
  const Instant next = std::min(until, next_end());
  if (next != never) {
    now_ = next;
    return {};
  }
  if (!options_.threads || !sys::park(woken_)) return std::unexpected(Errc::deadlock);
  return {};
}

Instant Sim::look_by(Instant) const { return next_end(); }

void Sim::wake() noexcept { sys::unpark(woken_); }

}  // namespace wev
