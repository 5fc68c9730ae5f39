#include "wev/io/connect.hpp"

#include <algorithm>
#include <memory>
#include <new>

namespace wev {

// A try that is under way.
struct ConnectRequest::Attempt : Allocated, Link {
  ConnectRequest* owner = nullptr;
  std::size_t number = 0;
  Request request;
};

void ConnectRequest::begin(const ConnectOptions& options) {
  options_ = options;
  addresses_ = {};
  next_[0] = next_[1] = 0;
  turn_ = decided_ = looks_ = false;
  next_try_ = never;
  tried_ = 0;
  result_ = std::unexpected(std::errc::address_not_available);
  set_timer();
}

void ConnectRequest::found(Expected<std::span<const Address>> addresses) {
  leave_ = nullptr;
  if (decided_) return finish_if_over();
  if (!addresses) return fail(addresses.error());
  go(*addresses);
}

void ConnectRequest::go(std::span<const Address> addresses) {
  addresses_ = addresses;
  try_next();
}

// RFC 8305, 4: the families by turns; when one is used up, what is left of the other.
const Address* ConnectRequest::take_next() noexcept {
  for (int families = 0; families < 2; ++families) {
    const bool others = std::exchange(turn_, !turn_);
    std::size_t& next = next_[others ? 1 : 0];
    while (next < addresses_.size()) {
      const Address& address = addresses_[next++];
      if ((address.family() != addresses_[0].family()) == others) return &address;
    }
  }
  return nullptr;
}

void ConnectRequest::try_next() {
  const Address* address = take_next();
  next_try_ = never;
  if (address == nullptr) {
    if (attempts_.empty()) decide();
    return finish_if_over();
  }
  auto* attempt = new (std::nothrow) Attempt;
  if (attempt == nullptr) {
    if (tried_++ == 0) result_ = std::unexpected(std::errc::not_enough_memory);
    return try_next();
  }
  attempt->owner = this;
  attempt->number = tried_++;
  attempts_.push_back(*attempt);
  // With the deadline its own, so that what came before that wins.
  attempt->request.start(TcpStream::connect(*loop_, *address).deadline(options_.deadline),
                         [attempt](Expected<TcpStream> stream) {
                           attempt->owner->ended(*attempt, std::move(stream));
                         });
  next_try_ = loop_->from_now(options_.stagger);
  set_timer();
}

void ConnectRequest::ended(Attempt& attempt, Expected<TcpStream> stream) {
  const bool first = attempt.number == 0;
  attempt.unlink();
  delete &attempt;
  if (decided_) return finish_if_over();
  if (stream) {
    result_ = std::move(stream);
    decide();
    return finish_if_over();
  }
  if (stream.error() == Errc::operation_canceled) return fail(stream.error());  // the loop drains
  if (loop_->now() >= options_.deadline) {
    if (attempts_.empty()) fail(Errc::timed_out);
    return;
  }
  if (first) result_ = std::unexpected(stream.error());
  try_next();
}

void ConnectRequest::cancel() noexcept {
  if (!active() || decided_) return;
  result_ = std::unexpected(Errc::operation_canceled);
  decide();
}

void ConnectRequest::fail(Error error) {
  result_ = std::unexpected(error);
  decide();
  finish_if_over();
}

// The result is there: all else ends, and when it has, the request. Calls nobody back.
void ConnectRequest::decide() noexcept {
  decided_ = true;
  attempts_.for_each_backwards([](Attempt& attempt) { attempt.request.cancel(); });
  if (timer_.state() != Completion::State::dead) {
    loop_->cancel(timer_);
  } else if (attempts_.empty() && leave_ == nullptr) {
    loop_->add(timer_, op::noop(), this, on_timer);
  }
  if (leave_ != nullptr) leave_(*this);
}

void ConnectRequest::set_timer() {
  if (looks_) return;  // on_timer() will
  const Instant due = std::min(options_.deadline, next_try_);
  if (due == never) return;
  const Duration left = due > loop_->now() ? due - loop_->now() : Duration::zero();
  loop_->timer_reset(timer_, left, this, on_timer);
}

Action ConnectRequest::on_timer(void* self, Loop& loop, Completion&, Result result) {
  auto& request = *static_cast<ConnectRequest*>(self);
  const bool looked = std::exchange(request.looks_, false);
  if (request.decided_) {
    request.finish_if_over();
  } else if (!result) {
    request.fail(result.error());  // the loop drains
  } else if (loop.now() >= request.options_.deadline) {
    if (request.attempts_.empty()) request.fail(Errc::timed_out);  // else they say so
  } else if (loop.now() < request.next_try_) {
    request.set_timer();
  } else if (!looked) {
    // A loop that was busy has not seen what came meanwhile: before the next turn it looks.
    request.looks_ = true;
    loop.add(request.timer_, op::noop(), self, on_timer);
  } else {
    request.try_next();
    if (request.active() && !request.decided_) request.set_timer();
  }
  return Action::disarm;
}

void ConnectRequest::finish_if_over() {
  const bool over = decided_ && attempts_.empty() && leave_ == nullptr &&
                    timer_.state() == Completion::State::dead;
  if (!over) return;
  loop_ = nullptr;
  callback_(std::exchange(result_, std::unexpected(Errc::operation_canceled)));
}

ToAddresses::ToAddresses(Loop& loop, std::string_view host, std::uint16_t port) noexcept
    : loop_(&loop) {
  if (const auto address = Address::numeric(host, port)) one_ = *address;
}

}  // namespace wev
