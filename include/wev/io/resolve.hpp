// resolve.hpp: names to addresses, without a thread.
//
//   wev::Resolver resolver(loop);
//   if (auto opened = resolver.open(); !opened) ...
//   wev::ResolveRequest request;
//   wev::Expected<wev::Addresses> addresses =
//       co_await resolver.resolve(request, "example.org", 443);
//
// or at once a connection, to the first of a name's addresses that answers (connect.hpp):
//
//   auto stream = co_await wev::connect(resolver, "example.org", 443).within(5s);
//
// The DNS is spoken by c-ares; the loop waits for its sockets and, with one
// timer, for its timeouts. It is a library of its own, wev::resolve, so that
// programs which need no names are not linked with c-ares.
//
// What      Numeric addresses ("192.0.2.1", "::1") are read, without asking
//           anybody; then comes the hosts file; then the servers, for IPv4 and
//           IPv6 both at once. Addresses stand in the order in which they are best
//           tried (RFC 6724, as c-ares sorts them).
// Flow      Names that are asked for at the same time are at most
//           ResolverOptions::at_once; the others wait for their turn in order.
//           More would be lost in the servers' sockets.
// Thread    The loop's. None is started.
// Changes   When /etc/resolv.conf is another than it was, names that are asked for from then on
//           go to its servers and below its domains; those that were asked for go on where
//           they are. It is looked at, not read, for each name that is not numeric. A file that
//           was changed in place, within the system's grain of time and to the same size, is
//           taken for the same; tools that write it replace it.
// Blocking  open() reads /etc/resolv.conf, and so does the first name after a change. With the
// hosts file in use every name
//           that is not numeric reads that, on the loop's thread: microseconds
//           where it is short, and a reason to turn it off where it is not.
// Memory    A request is the caller's and keeps its callback. The name, the
//           addresses and what c-ares needs come from malloc; without memory the
//           callback gets std::errc::not_enough_memory.
// Lifetime  The loop outlives the resolver, by a run() or drain() if it was ever
//           open, since its sockets are closed through the loop. Destroying the
//           resolver ends its requests with Errc::operation_canceled; their
//           callbacks are called by the loop, so the requests stay alive until
//           then. Callbacks may destroy it. Draining the loop ends them likewise,
//           and the resolver can be used again afterwards.
// Errors    ResolveErrc, for one name each: what befalls one is nothing to the
//           others. Errc::operation_canceled. std::errc::not_enough_memory. What
//           the loop says when it cannot wait for a socket; that ends all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "wev/base/address.hpp"
#include "wev/io/connect.hpp"
#include "wev/loop/request.hpp"

namespace wev {

/// What a name stands for, at least one address, each with the port that was
/// given. Valid until the request is used again or destroyed.
using Addresses = std::span<const Address>;

struct ResolverOptions {
  /// Whom to ask, IPv4 or IPv6; port 0 is 53. Empty: `server_list`.
  std::span<const Address> servers{};  // NOLINT(readability-redundant-member-init)
  /// The same as text, with commas: "192.0.2.53,127.0.0.1:5353,[::1]:53". Empty:
  /// those of /etc/resolv.conf.
  std::string_view server_list{};  // NOLINT(readability-redundant-member-init)
  /// How long the first try of each server may take, in whole milliseconds, at
  /// least one; each round of tries doubles it.
  std::chrono::milliseconds timeout{2000};
  /// How often each server is asked, at least once.
  int tries = 3;
  /// Whether names of the hosts file are known, and "localhost".
  bool hosts_file = true;
  /// Whether names are also looked for below the domains of /etc/resolv.conf.
  bool search = true;
  /// In place of /etc/resolv.conf. Empty: that.
  std::string_view resolv_conf{};  // NOLINT(readability-redundant-member-init)
  /// How many names are asked for at the same time, at least one.
  std::size_t at_once = 64;
};

/// The caller's memory for one name, and then for its addresses. Lent from resolve()
/// until the callback begins; then it is free again, for the next name or to be destroyed.
/// REQUIRES: it stays alive and in place while active().
class ResolveRequest {
 public:
  ResolveRequest() = default;
  ~ResolveRequest();
  ResolveRequest(const ResolveRequest&) = delete;
  ResolveRequest& operator=(const ResolveRequest&) = delete;

  [[nodiscard]] bool active() const noexcept { return loop_ != nullptr; }

  /// Ends it early: the callback gets operation_canceled, or the real result
  /// where that came first. Harmless when it is not active. Calls nobody back.
  void cancel() noexcept;

 private:
  friend class Resolver;
  struct Query;

  template <class F>
  void keep(Loop& loop, F callback) {
    WEV_ASSERT(!active(), "ResolveRequest: it is already active");
    loop_ = &loop;
    callback_.set(std::move(callback));
  }
  void deliver_later() noexcept;
  void fail(Error error) noexcept;
  static Action on_delivery(void* self, Loop&, Completion&, Result);

  Completion completion_;   // lent once the result is there
  Loop* loop_ = nullptr;    // nullptr: not active
  Query* query_ = nullptr;  // its name, then its addresses; nullptr: it failed
  Query* found_ = nullptr;  // the one before, whose addresses may be looked at
  Error error_ = Errc::operation_canceled;
  InlineFunction<Expected<Addresses>> callback_;
};

class Resolver {
 public:
  /// A name with all its dots; the last one may be missing.
  static constexpr std::size_t longest_name = 254;
  /// Of ResolverOptions::server_list.
  static constexpr std::size_t longest_server_list = 1023;
  static constexpr std::size_t most_servers = 16;
  /// Of ResolverOptions::resolv_conf.
  static constexpr std::size_t longest_path = 1023;

  explicit Resolver(Loop& loop) noexcept : loop_(loop) {}
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// invalid_argument: `servers` is more than most_servers or holds a Unix
  /// socket's path, `server_list` is none or too long, or `resolv_conf` is too long. Nothing
  /// of the options need stay. REQUIRES: !is_open().
  Expected<void> open(const ResolverOptions& options = {}) noexcept;
  [[nodiscard]] bool is_open() const noexcept { return channel_ != nullptr; }

  /// Finds the addresses of `name`, which is copied, and calls
  /// `callback(Expected<Addresses>)`, an InlineCallable, never from inside this. A
  /// name that ends with a dot is not searched for below other
  /// domains. REQUIRES: is_open(), and `request` is not active.
  template <class F>
  void resolve(ResolveRequest& request, std::string_view name, std::uint16_t port, F callback) {
    request.keep(loop_, std::move(callback));
    start(request, name, port);
  }

  class Resolving;
  /// The same for a task: ends with Addresses. `name` stays alive until it is awaited.
  [[nodiscard]] Resolving resolve(ResolveRequest& request, std::string_view name,
                                  std::uint16_t port) noexcept;

  [[nodiscard]] Loop& loop() const noexcept { return loop_; }

 private:
  friend class ResolveRequest;
  class Channel;

  void start(ResolveRequest& request, std::string_view name, std::uint16_t port) noexcept;
  void take_up_changes() noexcept;

  Loop& loop_;
  Channel* channel_ = nullptr;  // c-ares, its sockets and the timer; names are asked for there
};

/// What to do with a name, begun when it is awaited.
class [[nodiscard("begins when it is awaited")]] Resolver::Resolving {
 public:
  using Value = Expected<Addresses>;

  Resolving(Resolver& resolver, ResolveRequest& request, std::string_view name,
            std::uint16_t port) noexcept
      : resolver_(resolver), request_(request), name_(name), port_(port) {}

  // For whoever awaits it (task/awaiter.hpp).
  [[nodiscard]] Loop& loop() const noexcept { return resolver_.loop(); }
  template <class F>
  void start(F callback) const {
    resolver_.resolve(request_, name_, port_, std::move(callback));
  }
  void cancel() const noexcept { request_.cancel(); }

 private:
  Resolver& resolver_;
  ResolveRequest& request_;
  std::string_view name_;
  std::uint16_t port_;
};
inline Resolver::Resolving Resolver::resolve(ResolveRequest& request, std::string_view name,
                                             std::uint16_t port) noexcept {
  return {*this, request, name, port};
}

/// As ConnectRequest, to a name. Its deadline is for the name and the connection together.
class NameConnectRequest : public ConnectRequest {
 public:
  /// `host` is copied. Errors are also those of Resolver::resolve.
  template <class F>
  void start(Resolver& resolver, std::string_view host, std::uint16_t port,
             const ConnectOptions& options, F callback) {
    keep(resolver.loop(), options, std::move(callback));
    look_up([](ConnectRequest& request) noexcept {
      static_cast<NameConnectRequest&>(request).resolving_.cancel();
    });
    resolver.resolve(resolving_, host, port,
                     [this](Expected<Addresses> addresses) { found(addresses); });
  }

 private:
  ResolveRequest resolving_;
};

/// A name and a port.
class ToName {
 public:
  using Request = NameConnectRequest;

  ToName(Resolver& resolver, std::string_view host, std::uint16_t port) noexcept
      : resolver_(&resolver), host_(host), port_(port) {}

  [[nodiscard]] Loop& loop() const noexcept { return resolver_->loop(); }
  template <class F>
  void start(NameConnectRequest& request, const ConnectOptions& options, F callback) const {
    request.start(*resolver_, host_, port_, options, std::move(callback));
  }

 private:
  Resolver* resolver_;
  std::string_view host_;
  std::uint16_t port_;
};

/// Ends with a TcpStream to `host`, a name or a numeric address, which stays alive until it
/// is awaited. REQUIRES: the resolver is open.
inline Connecting<ToName> connect(Resolver& resolver, std::string_view host,
                                  std::uint16_t port) noexcept {
  return Connecting(ToName(resolver, host, port));
}

}  // namespace wev
