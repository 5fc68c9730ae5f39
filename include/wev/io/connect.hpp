// connect.hpp: a TCP connection to whichever of several addresses answers first.
//
//   auto stream = co_await wev::connect(loop, addresses).within(5s);
//   auto stream = co_await wev::connect(loop, "2001:db8::1", 443);
//
// To a name it is the same with a Resolver, in resolve.hpp:
//
//   auto stream = co_await wev::connect(resolver, "example.org", 443).within(5s);
//
// Order      Happy Eyeballs (RFC 8305, 4 and 5): as the addresses stand, but IPv6 and IPv4
//            by turns, from the first one's family on. The next one is tried when one has
//            failed, or none has answered for `stagger`; those before go on. The first
//            connection that is there is taken, the others are ended.
// Result     A TcpStream. If none answers, why the first address did not. One deadline is
//            for all: Errc::timed_out. Without addresses: address_not_available.
// Memory     Each try that is under way has some from malloc; one that gets none has failed
//            with not_enough_memory.
// Thread     The loop's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "wev/base/address.hpp"
#include "wev/base/inline_callable.hpp"
#include "wev/base/list.hpp"
#include "wev/io/tcp.hpp"

namespace wev {

struct ConnectOptions {
  /// How long an address has before the next one is tried beside it. Of RFC 8305: 250 ms,
  /// at least 10 ms, at most 2 s.
  Duration stagger = std::chrono::milliseconds(250);
  /// When all ends with Errc::timed_out.
  Instant deadline = never;
};

/// The caller's memory for one connection, lent from start() until the callback begins; then
/// it is free again. REQUIRES: it stays alive and in place while active().
class ConnectRequest {
 public:
  ConnectRequest() = default;
  ~ConnectRequest() { WEV_ASSERT(!active(), "~ConnectRequest: it is still active"); }
  ConnectRequest(const ConnectRequest&) = delete;
  ConnectRequest& operator=(const ConnectRequest&) = delete;

  /// Begins, and calls `callback(Expected<TcpStream>)`, an InlineCallable, never from inside
  /// this. `addresses` stay alive until then. REQUIRES: !active().
  template <class F>
  void start(Loop& loop, std::span<const Address> addresses, const ConnectOptions& options,
             F callback) {
    keep(loop, options, std::move(callback));
    go(addresses);
  }

  [[nodiscard]] bool active() const noexcept { return loop_ != nullptr; }

  /// Ends it early: with operation_canceled, or the connection that came first. Harmless
  /// when it is not active. Calls nobody back.
  void cancel() noexcept;

 protected:
  // For what finds the addresses first.

  template <class F>
  void keep(Loop& loop, const ConnectOptions& options, F callback) {
    WEV_ASSERT(!active(), "ConnectRequest: it is already active");
    loop_ = &loop;
    callback_.set(std::move(callback));
    begin(options);
  }
  /// Addresses are being looked for, from now until found(); `leave` ends that early.
  void look_up(void (*leave)(ConnectRequest& request) noexcept) noexcept { leave_ = leave; }
  void found(Expected<std::span<const Address>> addresses);
  /// Begins with the first address.
  void go(std::span<const Address> addresses);

 private:
  struct Attempt;

  void begin(const ConnectOptions& options);
  const Address* take_next() noexcept;
  void try_next();
  void ended(Attempt& attempt, Expected<TcpStream> stream);
  void fail(Error error);
  void decide() noexcept;
  void set_timer();
  void finish_if_over();
  static Action on_timer(void* self, Loop& loop, Completion&, Result result);

  Loop* loop_ = nullptr;  // nullptr: not active
  ConnectOptions options_;
  std::span<const Address> addresses_;
  std::size_t next_[2] = {};  // of the first one's family, and of others: where to look
  bool turn_ = false;         // which of the two
  bool decided_ = false;      // result_ is what it ends with
  bool looks_ = false;        // timer_ is a turn that is awaited
  void (*leave_)(ConnectRequest& request) noexcept = nullptr;
  Instant next_try_ = never;
  List<Attempt> attempts_;
  std::size_t tried_ = 0;
  Completion timer_;
  Expected<TcpStream> result_;
  InlineFunction<Expected<TcpStream>> callback_;
};

/// What to connect to, begun when it is awaited. `To` says where that is.
template <class To>
class [[nodiscard("begins when it is awaited")]] Connecting {
 public:
  using Value = Expected<TcpStream>;

  explicit Connecting(const To& to) noexcept : to_(to) {}
  /// Of one that was not begun.
  Connecting(const Connecting& other) noexcept
      : to_(other.to_), options_(other.options_), within_(other.within_) {}
  Connecting& operator=(const Connecting&) = delete;

  /// For all that it takes: it ends with Errc::timed_out when that has passed.
  [[nodiscard]] Connecting deadline(Instant deadline) const noexcept {
    Connecting with = *this;
    with.options_.deadline = deadline;
    return with;
  }
  /// The same, from when it begins.
  template <class Rep, class Period>
  [[nodiscard]] Connecting within(std::chrono::duration<Rep, Period> delay) const noexcept {
    Connecting with = *this;
    with.within_ = saturate(delay);
    return with;
  }
  /// See ConnectOptions::stagger.
  template <class Rep, class Period>
  [[nodiscard]] Connecting stagger(std::chrono::duration<Rep, Period> delay) const noexcept {
    Connecting with = *this;
    with.options_.stagger = saturate(delay);
    return with;
  }

  // For whoever awaits it (task/awaiter.hpp).
  [[nodiscard]] Loop& loop() const noexcept { return to_.loop(); }
  template <class F>
  void start(F callback) const {
    ConnectOptions options = options_;
    if (within_ != Duration::max()) {
      options.deadline = std::min(options.deadline, loop().from_now(within_));
    }
    to_.start(request_, options, std::move(callback));
  }
  void cancel() const noexcept { request_.cancel(); }

 private:
  To to_;
  ConnectOptions options_;
  Duration within_ = Duration::max();
  mutable To::Request request_;
};

/// One address or several.
class ToAddresses {
 public:
  using Request = ConnectRequest;

  ToAddresses(Loop& loop, std::span<const Address> addresses) noexcept
      : loop_(&loop), addresses_(addresses) {}
  ToAddresses(Loop& loop, std::string_view host, std::uint16_t port) noexcept;

  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  template <class F>
  void start(ConnectRequest& request, const ConnectOptions& options, F callback) const {
    request.start(*loop_, one_ ? std::span(&*one_, 1) : addresses_, options, std::move(callback));
  }

 private:
  Loop* loop_;
  std::span<const Address> addresses_;
  std::optional<Address> one_;
};

/// `addresses` stay alive until it has ended.
inline Connecting<ToAddresses> connect(Loop& loop, std::span<const Address> addresses) noexcept {
  return Connecting(ToAddresses(loop, addresses));
}
/// To a numeric IPv4 or IPv6 address, "192.0.2.1" or "fe80::1%2". Names need a Resolver: of
/// what is none of those it ends with address_not_available.
inline Connecting<ToAddresses> connect(Loop& loop, std::string_view host,
                                       std::uint16_t port) noexcept {
  return Connecting(ToAddresses(loop, host, port));
}

}  // namespace wev
