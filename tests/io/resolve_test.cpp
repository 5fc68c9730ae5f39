// The promises of resolve.hpp, on each native backend, against a DNS server of the
// test's own.
#include "wev/io/resolve.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "io/dns_server.hpp"
#include "support/allocations.hpp"
#include "support/system.hpp"
#include "wev/backend/backends.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/timeout.hpp"

namespace wev::test {

using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

// One name, and how it ended.
struct Lookup {
  ResolveRequest request;
  std::vector<Address> addresses;
  Error error = std::errc{};
  int calls = 0;
  const bool* inside = nullptr;
  std::function<void()> then;

  [[nodiscard]] bool found(std::vector<Address> expected) const {
    return calls == 1 && std::ranges::is_permutation(addresses, expected);
  }
  [[nodiscard]] bool failed(Error expected) const {
    return calls == 1 && addresses.empty() && error == expected;
  }
};

class Resolve : public testing::TestWithParam<BackendKind> {
 protected:
  // An hour: what hangs does not look like a timeout.
  static constexpr std::chrono::milliseconds long_time = 1h;

  void SetUp() override {
    descriptors_ = open_descriptors();
    auto backend = make_backend({.kind = GetParam()});
    if (!backend) GTEST_SKIP() << "this system has no such backend";
    loop_ = std::make_unique<Loop>(std::move(*backend));
    threads_ = threads();
    server_ = std::make_unique<DnsServer>(*loop_);
    resolver_ = std::make_unique<Resolver>(*loop_);
  }
  void TearDown() override {
    if (loop_ == nullptr) return;
    EXPECT_TRUE(threads_since(threads_).empty()) << "a thread was started";
    resolver_.reset();
    EXPECT_TRUE(loop_->drain());
    server_.reset();
    lookups_.clear();
    loop_.reset();
    if (!resolv_conf_.empty()) ::unlink(resolv_conf_.c_str());
    EXPECT_EQ(open_descriptors(), descriptors_) << "descriptors leaked";
  }

  // A file in place of /etc/resolv.conf, replaced as tools do it.
  const std::string& resolv_conf(std::string_view contents) {
    if (resolv_conf_.empty()) {
      resolv_conf_ = testing::TempDir() + "wev-XXXXXX";
      ::close(::mkstemp(resolv_conf_.data()));
    }
    const std::string fresh = resolv_conf_ + "~";
    std::ofstream(fresh) << contents;
    EXPECT_EQ(std::rename(fresh.c_str(), resolv_conf_.c_str()), 0);
    return resolv_conf_;
  }
  // nullptr: this user or system has no such address.
  std::unique_ptr<DnsServer> server_at(const Address& address) {
    const bool ipv4 = address.family() == Address::Family::ipv4;
    const Result socket = loop_->perform(
        op::socket(ipv4 ? SocketFamily::ipv4 : SocketFamily::ipv6, SocketType::datagram));
    if (!socket) return nullptr;
    const Result bound = loop_->perform(op::bind(static_cast<int>(*socket), address));
    (void)loop_->perform(op::close(static_cast<int>(*socket)));
    return bound ? std::make_unique<DnsServer>(*loop_, address) : nullptr;
  }
  void open_with(ResolverOptions options) {
    options.timeout = long_time;
    ASSERT_TRUE(resolver_->open(options));
  }

  void open(ResolverOptions options = {}, std::chrono::milliseconds timeout = long_time) {
    const std::array servers = {server_->address()};
    if (options.servers.empty() && options.server_list.empty()) options.servers = servers;
    options.timeout = timeout;
    options.search = false;
    ASSERT_TRUE(resolver_->open(options));
  }

  Lookup& lookup(std::string_view name, std::uint16_t port = 80) {
    Lookup& lookup = *lookups_.emplace_back(std::make_unique<Lookup>());
    lookup.inside = &inside_;
    start(lookup, name, port);
    return lookup;
  }
  void start(Lookup& lookup, std::string_view name, std::uint16_t port = 80) {
    inside_ = true;
    resolver_->resolve(lookup.request, name, port, [it = &lookup](Expected<Addresses> result) {
      EXPECT_FALSE(*it->inside) << "called from inside a call";
      EXPECT_FALSE(it->request.active());
      ++it->calls;
      it->addresses.clear();
      if (result) {
        it->addresses.assign(result->begin(), result->end());
      } else {
        it->error = result.error();
      }
      if (it->then) it->then();
    });
    inside_ = false;
    EXPECT_TRUE(lookup.request.active());
  }
  void cancel(Lookup& lookup) {
    inside_ = true;
    lookup.request.cancel();
    inside_ = false;
  }
  void run() { EXPECT_TRUE(loop_->run()); }
  // An address where nobody listens.
  Address nobody() {
    const auto fd = static_cast<int>(
        loop_->perform(op::socket(SocketFamily::ipv4, SocketType::datagram)).value());
    Address address = Address::loopback();
    EXPECT_TRUE(loop_->perform(op::bind(fd, address)));
    EXPECT_TRUE(loop_->perform(op::local_address(fd, address)));
    EXPECT_TRUE(loop_->perform(op::close(fd)));
    return address;
  }
  // Until the server has heard as many questions.
  void run_until_asked(std::size_t questions) {
    while (server_->questions() < questions) ASSERT_TRUE(loop_->tick());
  }
  // The program's own timer.
  void run_for(Duration time) {
    Completion timer;
    bool over = false;
    loop_->timer(timer, time, &over, [](void* over, Loop&, Completion&, Result) {
      *static_cast<bool*>(over) = true;
      return Action::disarm;
    });
    while (!over) ASSERT_TRUE(loop_->tick());
  }

  std::size_t descriptors_ = 0;
  std::set<std::string> threads_;
  bool inside_ = false;
  std::string resolv_conf_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<DnsServer> server_;
  std::unique_ptr<Resolver> resolver_;
  std::vector<std::unique_ptr<Lookup>> lookups_;
};

// Finding -------------------------------------------------------------------------------

TEST_P(Resolve, FindsTheAddressesOfBothFamilies) {
  open();
  const Lookup& both = lookup("h7.test", 443);
  const Lookup& only4 = lookup("only4.test", 0);
  const Lookup& only6 = lookup("only6.test", 65535);
  run();
  EXPECT_TRUE(both.found({ipv4_of(7, 443), ipv6_of(7, 443)}));
  EXPECT_TRUE(only4.found({ipv4_of(4, 0)}));
  EXPECT_TRUE(only6.found({ipv6_of(6, 65535)}));
  EXPECT_EQ(server_->questions(), 6u);
}

TEST_P(Resolve, ATaskAwaitsANameAndItsAddressesStayWithTheRequest) {
  open();
  const auto ask = [this]() -> Task<Expected<int>> {
    ResolveRequest request;
    const Addresses found = co_await ok(resolver_->resolve(request, "h7.test", 443));
    co_await ok(yield());
    const std::vector<Address> expected{ipv4_of(7, 443), ipv6_of(7, 443)};
    EXPECT_TRUE(std::ranges::is_permutation(found, expected));
    const auto missing = co_await resolver_->resolve(request, "a..test", 443);
    EXPECT_EQ(missing.error(), ResolveErrc::malformed_name);
    co_return static_cast<int>((co_await ok(resolver_->resolve(request, "::1", 1))).size());
  };
  EXPECT_EQ(wev::run(*loop_, ask()), 1);
}

TEST_P(Resolve, ATaskThatIsCancelledWaitsForNoName) {
  open();
  const auto ask = [this]() -> Task<Expected<void>> {
    ResolveRequest request;
    co_await ok(resolver_->resolve(request, "silent.test", 443));
    ADD_FAILURE() << "it was found";
    co_return {};
  };
  EXPECT_EQ(
      wev::run(*loop_, [&]() -> Task<Expected<void>> { co_return co_await timeout(1ms, ask()); }())
          .error(),
      Errc::timed_out);
}

TEST_P(Resolve, NumericAddressesAskNobody) {
  open();
  const Lookup& ipv4 = lookup("192.0.2.1", 8080);
  const Lookup& ipv6 = lookup("::1", 8080);
  EXPECT_EQ(ipv4.calls, 0);
  run();
  EXPECT_TRUE(ipv4.found({Address::ipv4({192, 0, 2, 1}, 8080)}));
  EXPECT_TRUE(ipv6.found({Address::loopback_ipv6(8080)}));
  EXPECT_EQ(server_->questions(), 0u);
}

TEST_P(Resolve, TheHostsFileIsReadBeforeAnybodyIsAsked) {
  open();
  const Lookup& name = lookup("localhost", 80);
  run();
  ASSERT_EQ(name.calls, 1);
  EXPECT_TRUE(std::ranges::find(name.addresses, Address::loopback(80)) != name.addresses.end());
  EXPECT_EQ(server_->questions(), 0u);
}

TEST_P(Resolve, AThousandNamesAtOnceAreAllFound) {
  open();
  constexpr unsigned count = 1'000;
  for (unsigned i = 0; i < count; ++i) lookup("h" + std::to_string(i) + ".test");
  run();
  for (unsigned i = 0; i < count; ++i) {
    EXPECT_TRUE(lookups_[i]->found({ipv4_of(i, 80), ipv6_of(i, 80)})) << i;
  }
  EXPECT_EQ(server_->questions(), 2 * count);
}

TEST_P(Resolve, NoMoreNamesAreAskedForAtOnceThanIsSaid) {
  open({.at_once = 10});
  for (int i = 0; i < 50; ++i) lookup("silent.test");
  const Lookup& behind = lookup("h1.test");
  run_until_asked(20);
  run_for(5ms);
  EXPECT_EQ(server_->questions(), 20u);
  for (int i = 0; i < 50; ++i) cancel(*lookups_[static_cast<std::size_t>(i)]);
  run();
  EXPECT_TRUE(behind.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
}

TEST_P(Resolve, ARequestCanBeUsedAgainInItsCallback) {
  open();
  Lookup& again = *lookups_.emplace_back(std::make_unique<Lookup>());
  again.inside = &inside_;
  again.then = [&] {
    EXPECT_EQ(again.addresses.size(), 2u);
    if (again.calls < 20) start(again, "h" + std::to_string(again.calls) + ".test");
  };
  start(again, "h0.test");
  run();
  EXPECT_EQ(again.calls, 20);
}

TEST_P(Resolve, AnAnswerThatIsTooLargeForADatagramComesOverTcp) {
  open();
  const Lookup& large = lookup("large9.test");
  const Lookup& small = lookup("h1.test");
  run();
  EXPECT_TRUE(large.found({ipv4_of(9, 80), ipv6_of(9, 80)}));
  EXPECT_TRUE(small.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
  EXPECT_EQ(server_->tcp_questions(), 2u);
}

// Failing -------------------------------------------------------------------------------

TEST_P(Resolve, EachFailureHasItsErrorAndDisturbsNoOther) {
  open({.tries = 2});
  const Lookup& missing = lookup("missing.test");
  const Lookup& empty = lookup("empty.test");
  const Lookup& good = lookup("h1.test");
  const Lookup& broken = lookup("broken.test");
  const Lookup& refused = lookup("refused.test");
  const Lookup& last = lookup("h2.test");
  run();
  EXPECT_TRUE(missing.failed(ResolveErrc::no_such_name)) << missing.error.code();
  EXPECT_TRUE(empty.failed(ResolveErrc::no_address)) << empty.error.code();
  EXPECT_TRUE(broken.failed(ResolveErrc::server_failure)) << broken.error.code();
  EXPECT_TRUE(refused.failed(ResolveErrc::refused)) << refused.error.code();
  EXPECT_TRUE(good.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
  EXPECT_TRUE(last.found({ipv4_of(2, 80), ipv6_of(2, 80)}));
}

// Later versions of c-ares give up the socket it came from, and ask again for all.
TEST_P(Resolve, AnAnswerThatEndsInTheMiddleIsMalformed) {
  open();
  const Lookup& garbled = lookup("garbled.test");
  const Lookup& good = lookup("h1.test");
  run();
  EXPECT_TRUE(garbled.failed(ResolveErrc::malformed_answer)) << garbled.error.code();
  EXPECT_TRUE(good.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
}

TEST_P(Resolve, AServerThatSaysNothingTimesOut) {
  open({.tries = 2}, 300ms);
  const Instant began = loop_->now();
  const Lookup& silent = lookup("silent.test");
  Lookup& good = lookup("h1.test");
  Instant found = never;
  good.then = [&] { found = loop_->now(); };
  run();
  EXPECT_TRUE(silent.failed(ResolveErrc::timed_out)) << silent.error.code();
  EXPECT_TRUE(good.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
  EXPECT_GE(loop_->now() - began, 300ms);
  EXPECT_LT(found, loop_->now());
  EXPECT_EQ(server_->questions(), 6u) << "two for the good one, and two tries of two";
}

TEST_P(Resolve, WhatGotLostIsAskedForAgain) {
  open({.tries = 3}, 250ms);
  const Lookup& lossy = lookup("lossy5.test");
  run();
  EXPECT_TRUE(lossy.found({ipv4_of(5, 80), ipv6_of(5, 80)}));
  EXPECT_EQ(server_->questions(), 4u);
}

TEST_P(Resolve, WhereNoServerIsThereTheErrorSaysSo) {
  const std::array servers = {nobody()};
  open({.servers = servers, .tries = 2});
  const Lookup& name = lookup("h1.test");
  run();
  EXPECT_TRUE(name.failed(ResolveErrc::unreachable)) << name.error.code();
}

TEST_P(Resolve, TheNextServerIsAskedWhereOneIsNotThere) {
  const std::array servers = {nobody(), server_->address()};
  open({.servers = servers});
  const Lookup& name = lookup("h1.test");
  run();
  EXPECT_TRUE(name.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
}

TEST_P(Resolve, NamesThatAreNoneFailAndAskNobody) {
  open();
  const std::string label(63, 'x');
  const std::string long_name = label + "." + label + "." + label + "." + label + ".";
  const std::vector<std::string> malformed = {"",
                                              ".."s,
                                              "a..test",
                                              ".test",
                                              label + "x.test",
                                              "nul\0.test"s,
                                              long_name,
                                              std::string(10'000, 'a'),
                                              long_name + long_name};
  std::vector<const Lookup*> ended;
  for (const std::string& name : malformed) ended.push_back(&lookup(name));
  run();
  for (std::size_t i = 0; i < ended.size(); ++i) {
    EXPECT_TRUE(ended[i]->failed(ResolveErrc::malformed_name))
        << malformed[i] << ": " << ended[i]->error.code();
  }
  EXPECT_EQ(server_->questions(), 0u);
}

// RFC 1035: 255 bytes with the sizes of the labels, which is 253 as text.
TEST_P(Resolve, TheLongestNameIsFound) {
  open();
  const std::string label(63, 'x');
  std::string name = "h3." + label + "." + label + "." + label + ".";
  name += std::string(253 - name.size(), 'y');
  const Lookup& longest = lookup(name);
  const Lookup& with_dot = lookup(name + ".");
  const Lookup& too_long = lookup(name + "y");
  run();
  EXPECT_TRUE(longest.found({ipv4_of(3, 80), ipv6_of(3, 80)})) << longest.error.code();
  EXPECT_TRUE(with_dot.found({ipv4_of(3, 80), ipv6_of(3, 80)})) << with_dot.error.code();
  EXPECT_TRUE(too_long.failed(ResolveErrc::malformed_name)) << too_long.error.code();
}

TEST_P(Resolve, WithoutMemoryTheCallbackSaysSoAndTheNextNameIsFound) {
  open();
  const Lookup* poor = nullptr;
  Lookup& given = *lookups_.emplace_back(std::make_unique<Lookup>());
  given.inside = &inside_;
  {
    const NoMemory none;
    start(given, "h1.test");
    poor = &given;
  }
  run();
  EXPECT_TRUE(poor->failed(std::errc::not_enough_memory)) << poor->error.code();
  const Lookup& rich = lookup("h2.test");
  run();
  EXPECT_TRUE(rich.found({ipv4_of(2, 80), ipv6_of(2, 80)}));
}

// Ending early --------------------------------------------------------------------------

TEST_P(Resolve, CancelledBeforeTheLoopRanItEndsSo) {
  open();
  Lookup& name = lookup("silent.test");
  cancel(name);
  cancel(name);
  EXPECT_EQ(name.calls, 0);
  run();
  EXPECT_TRUE(name.failed(Errc::operation_canceled));
  cancel(name);  // it is not active
  run();
  EXPECT_EQ(name.calls, 1);
}

TEST_P(Resolve, CancelledWhileItIsAskedForItEndsAtOnceAndOthersGoOn) {
  open();
  Lookup& silent = lookup("silent.test");
  Lookup& other = lookup("silent.test");
  run_until_asked(4);
  cancel(silent);
  const Lookup& good = lookup("h1.test");
  while (good.calls == 0 || silent.calls == 0) ASSERT_TRUE(loop_->tick());
  EXPECT_TRUE(silent.failed(Errc::operation_canceled));
  EXPECT_TRUE(good.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
  EXPECT_EQ(other.calls, 0);
  cancel(other);
  run();  // for an hour, if an unwanted query would hold it open
  EXPECT_TRUE(other.failed(Errc::operation_canceled));
}

TEST_P(Resolve, CancelledAfterItsResultCameItHasThat) {
  open();
  Lookup& numeric = lookup("192.0.2.1");
  cancel(numeric);
  run();
  EXPECT_TRUE(numeric.found({Address::ipv4({192, 0, 2, 1}, 80)}));
}

TEST_P(Resolve, CancelledRequestsCanBeUsedAgainAtOnce) {
  open();
  Lookup& name = lookup("silent.test");
  run_until_asked(2);
  name.then = [&] {
    if (name.calls == 1) start(name, "h1.test");
  };
  cancel(name);
  run();
  EXPECT_EQ(name.calls, 2);
  EXPECT_EQ(name.addresses.size(), 2u);
}

TEST_P(Resolve, DestroyedWithNamesInFlightAllAreCancelledThroughTheLoop) {
  open({.at_once = 5});
  for (int i = 0; i < 20; ++i) lookup(i % 2 == 0 ? "silent.test" : "stuck.test");
  run_until_asked(3 * 2 + 2 * 4);
  const Lookup& numeric = lookup("192.0.2.1");
  const Lookup& fresh = lookup("h1.test");
  inside_ = true;
  resolver_.reset();
  inside_ = false;
  for (const auto& each : lookups_) EXPECT_EQ(each->calls, 0);
  run();
  for (const auto& each : lookups_) {
    if (each.get() == &numeric) continue;
    EXPECT_TRUE(each->failed(Errc::operation_canceled));
  }
  EXPECT_TRUE(numeric.found({Address::ipv4({192, 0, 2, 1}, 80)}));
  EXPECT_TRUE(fresh.failed(Errc::operation_canceled));
}

TEST_P(Resolve, ItMayBeDestroyedInACallback) {
  open();
  const Lookup& silent = lookup("silent.test");
  Lookup& good = lookup("h1.test");
  good.then = [&] { resolver_.reset(); };
  run();
  EXPECT_EQ(good.addresses.size(), 2u);
  EXPECT_TRUE(silent.failed(Errc::operation_canceled));
}

TEST_P(Resolve, DestroyedUnopenedOrUnusedItLeavesNothing) {
  open();
  {
    const Resolver unopened(*loop_);
  }
  resolver_.reset();
  EXPECT_EQ(loop_->active(), 0u);
}

TEST_P(Resolve, DrainingTheLoopEndsAllAndItCanBeUsedAgain) {
  open({.at_once = 2});
  for (int i = 0; i < 5; ++i) lookup("silent.test");
  run_until_asked(4);
  EXPECT_TRUE(loop_->drain());
  for (const auto& each : lookups_) EXPECT_TRUE(each->failed(Errc::operation_canceled));
  server_ = nullptr;
  server_ = std::make_unique<DnsServer>(*loop_);
  resolver_ = std::make_unique<Resolver>(*loop_);
  open();
  const Lookup& good = lookup("h1.test");
  run();
  EXPECT_TRUE(good.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
}

TEST_P(Resolve, AfterADrainTheSameResolverGoesOn) {
  open({.tries = 1}, 50ms);
  lookup("silent.test");
  run_until_asked(2);
  EXPECT_TRUE(loop_->drain());
  EXPECT_TRUE(lookups_[0]->failed(Errc::operation_canceled));
  const Lookup& unheard = lookup("h1.test");  // the server was drained as well
  run();
  EXPECT_TRUE(unheard.failed(ResolveErrc::timed_out)) << unheard.error.code();
}

// Connecting to a name --------------------------------------------------------------------

namespace {

// Listens on one of the loopback addresses only.
TcpListener listen_on(Loop& loop, const Address& address) {
  auto listener = TcpListener::listen(loop, address, {.ipv6_only = true});
  EXPECT_TRUE(listener);
  return listener ? std::move(*listener) : TcpListener();
}

}  // namespace

TEST_P(Resolve, ANameIsConnectedToByWhicheverOfItsAddressesAnswers) {
  open();
  for (const Address& wanted : {Address::loopback(), Address::loopback_ipv6()}) {
    const TcpListener listener = listen_on(*loop_, wanted);
    const Address address = listener.local_address().value_or(Address());
    const auto stream =
        wev::run(*loop_, connect(*resolver_, "local.test", address.port()).within(1min));
    ASSERT_TRUE(stream) << stream.error().message().view();
    EXPECT_EQ(stream->remote_address(), address);
  }
}

TEST_P(Resolve, ConnectingToANameSaysWhyItFails) {
  open();
  const auto error_of = [&](std::string_view name, std::uint16_t port) {
    const auto stream = wev::run(*loop_, connect(*resolver_, name, port));
    return stream ? Error(std::errc{}) : stream.error();
  };
  EXPECT_EQ(error_of("missing.test", 80), ResolveErrc::no_such_name);
  EXPECT_EQ(error_of("a..test", 80), ResolveErrc::malformed_name);
  const std::uint16_t port = nobody().port();
  EXPECT_EQ(error_of("local.test", port), std::errc::connection_refused);
  EXPECT_EQ(error_of("127.0.0.1", port), std::errc::connection_refused);
}

TEST_P(Resolve, TheDeadlineOfAConnectionIsAlsoThatOfItsName) {
  open();
  const auto stream = wev::run(*loop_, connect(*resolver_, "silent.test", 80).within(1ms));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error(), Errc::timed_out);
}

TEST_P(Resolve, AConnectionCanBeCancelledWhileItsNameIsLookedFor) {
  open();
  NameConnectRequest request;
  Expected<TcpStream> ended;
  int calls = 0;
  request.start(*resolver_, "silent.test", 80, {}, [&](Expected<TcpStream> stream) {
    ended = std::move(stream);
    ++calls;
  });
  run_until_asked(2);
  request.cancel();
  request.cancel();
  EXPECT_EQ(calls, 0);
  run();
  EXPECT_EQ(calls, 1);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), Errc::operation_canceled);
  EXPECT_FALSE(request.active());
}

TEST_P(Resolve, DestroyingTheResolverEndsAConnectionThatWaitsForIt) {
  open();
  NameConnectRequest request;
  Expected<TcpStream> ended;
  request.start(*resolver_, "silent.test", 80, {},
                [&](Expected<TcpStream> stream) { ended = std::move(stream); });
  resolver_.reset();
  run();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), Errc::operation_canceled);
}

// Options -------------------------------------------------------------------------------

TEST_P(Resolve, ServersCanBeGivenAsText) {
  const std::string list = "127.0.0.1:" + std::to_string(server_->address().port());
  open({.server_list = list});
  const Lookup& name = lookup("h1.test");
  run();
  EXPECT_TRUE(name.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
}

TEST_P(Resolve, ServersThatAreNoneAreRefused) {
  const std::array path = {*Address::unix_path("/tmp/x")};
  const std::vector<Address> many(Resolver::most_servers + 1, Address::loopback(53));
  const std::string long_list(Resolver::longest_server_list + 1, '1');
  const std::vector<ResolverOptions> wrong = {{.servers = path},
                                              {.servers = many},
                                              {.server_list = "nonsense"},
                                              {.server_list = long_list}};
  for (const ResolverOptions& options : wrong) {
    const Expected<void> opened = resolver_->open(options);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(), std::errc::invalid_argument);
    EXPECT_FALSE(resolver_->is_open());
  }
  {
    const NoMemory none;
    EXPECT_EQ(resolver_->open({}).error(), std::errc::not_enough_memory);
  }
  open({.servers = std::span(many).first(Resolver::most_servers)});
}

TEST_P(Resolve, AServerMayHaveAnIpv6Address) {
  const auto server = server_at(Address::loopback_ipv6());
  if (server == nullptr) GTEST_SKIP() << "this system has no IPv6";
  const std::array servers = {server->address()};
  open({.servers = servers});
  const Lookup& h = lookup("h7.test");
  const Lookup& large = lookup("large8.test");
  run();
  EXPECT_TRUE(h.found({ipv4_of(7, 80), ipv6_of(7, 80)}));
  EXPECT_TRUE(large.found({ipv4_of(8, 80), ipv6_of(8, 80)}));
  EXPECT_EQ(server_->questions(), 0u);
  resolver_.reset();
  EXPECT_TRUE(loop_->drain());
}

// resolv.conf ---------------------------------------------------------------------------

// Each name is asked for with both families.
TEST_P(Resolve, NamesAreLookedForBelowTheDomainsOfResolvConf) {
  const std::array servers = {server_->address()};
  open_with({.servers = servers, .resolv_conf = resolv_conf("search one.test two.test\n")});
  const Lookup& missing = lookup("missing");
  run();
  EXPECT_TRUE(missing.failed(ResolveErrc::no_such_name));
  const Lookup& found = lookup("h7");
  run();
  EXPECT_TRUE(found.found({ipv4_of(7, 80), ipv6_of(7, 80)}));
  const Lookup& whole = lookup("missing.");
  run();
  EXPECT_TRUE(whole.failed(ResolveErrc::no_such_name));
  EXPECT_EQ(server_->names(), (std::vector<std::string>{"missing.one.test", "missing.two.test",
                                                        "missing", "h7.one.test", "missing"}));
}

TEST_P(Resolve, WithoutSearchNamesAreWhatTheyAre) {
  const std::array servers = {server_->address()};
  open_with({.servers = servers,
             .search = false,
             .resolv_conf = resolv_conf("search one.test two.test\n")});
  const Lookup& missing = lookup("missing");
  run();
  EXPECT_TRUE(missing.failed(ResolveErrc::no_such_name));
  EXPECT_EQ(server_->names(), std::vector<std::string>{"missing"});
}

TEST_P(Resolve, AChangedResolvConfIsNoticedByTheNextName) {
  const std::array servers = {server_->address()};
  open_with({.servers = servers, .resolv_conf = resolv_conf("search one.test\n")});
  (void)lookup("h7");
  run();
  Lookup& silent = lookup("silent");
  run_until_asked(4);
  resolv_conf("search two.test\n");
  const Lookup& after = lookup("h8");
  while (after.calls == 0) ASSERT_TRUE(loop_->tick());
  EXPECT_TRUE(after.found({ipv4_of(8, 80), ipv6_of(8, 80)}));
  EXPECT_EQ(server_->names(),
            (std::vector<std::string>{"h7.one.test", "silent.one.test", "h8.two.test"}));
  EXPECT_EQ(silent.calls, 0) << "it goes on as it was asked";
  cancel(silent);
  run();
  EXPECT_TRUE(silent.failed(Errc::operation_canceled));
  (void)lookup("h9");
  run();
  EXPECT_EQ(server_->names().back(), "h9.two.test");
}

TEST_P(Resolve, TheServersOfAChangedResolvConfAreAsked) {
  constexpr std::uint16_t port = 53;  // the only one that stands in no resolv.conf
  const auto first = server_at(Address::ipv4({127, 0, 53, 1}, port));
  const auto second = server_at(Address::ipv4({127, 0, 53, 2}, port));
  if (first == nullptr || second == nullptr) GTEST_SKIP() << "only root can have port 53";
  open_with({.search = false, .resolv_conf = resolv_conf("nameserver 127.0.53.1\n")});
  (void)lookup("h7.test");
  run();
  resolv_conf("nameserver 127.0.53.2\n");
  (void)lookup("h8.test");
  run();
  EXPECT_EQ(first->names(), std::vector<std::string>{"h7.test"});
  EXPECT_EQ(second->names(), std::vector<std::string>{"h8.test"});
  resolver_.reset();
  EXPECT_TRUE(loop_->drain());
}

TEST_P(Resolve, DestroyedAfterChangesAllItsNamesAreCancelled) {
  const std::array servers = {server_->address()};
  open_with({.servers = servers, .resolv_conf = resolv_conf("search one.test\n"), .at_once = 1});
  std::vector<Lookup*> silent;
  for (int i = 0; i < 6; ++i) {
    silent.push_back(&lookup("silent"));
    silent.push_back(&lookup("silent"));
    ASSERT_TRUE(loop_->tick(RunMode::no_wait));
    resolv_conf("search two.test\n# " + std::to_string(i) + "\n");
  }
  resolver_.reset();
  run();
  for (const Lookup* each : silent) EXPECT_TRUE(each->failed(Errc::operation_canceled));
  EXPECT_TRUE(loop_->drain());
}

namespace {

// Of the hosts file, one that is nothing special.
std::string a_name_of_this_host() {
  std::ifstream hosts("/etc/hosts");
  for (std::string line; std::getline(hosts, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string address;
    std::string name;
    for (words >> address; words >> name;) {
      if (!name.contains("localhost")) return name;
    }
  }
  return {};
}

}  // namespace

TEST_P(Resolve, TheHostsFileCanBeLeftOut) {
  const std::string name = a_name_of_this_host();
  if (name.empty()) GTEST_SKIP() << "the hosts file has no name but localhost";
  open();
  const Lookup& known = lookup(name);
  run();
  EXPECT_FALSE(known.addresses.empty());
  EXPECT_EQ(server_->questions(), 0u);
  Resolver without(*loop_);
  const std::array servers = {server_->address()};
  ASSERT_TRUE(without.open(
      {.servers = servers, .timeout = long_time, .hosts_file = false, .search = false}));
  ResolveRequest request;
  int calls = 0;
  without.resolve(request, name, 80, [&](Expected<Addresses>) { ++calls; });
  run();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(server_->questions(), 2u);
}

TEST_P(Resolve, TwoResolversOfOneLoopHaveNothingToDoWithEachOther) {
  open();
  const Lookup& silent = lookup("silent.test");
  auto first = std::move(resolver_);
  resolver_ = std::make_unique<Resolver>(*loop_);
  open();
  const Lookup& good = lookup("h1.test");
  while (good.calls == 0) ASSERT_TRUE(loop_->tick());
  EXPECT_EQ(silent.calls, 0);
  first.reset();
  run();
  EXPECT_TRUE(silent.failed(Errc::operation_canceled));
  EXPECT_TRUE(good.found({ipv4_of(1, 80), ipv6_of(1, 80)}));
}

INSTANTIATE_TEST_SUITE_P(Native, Resolve,
                         testing::Values(BackendKind::epoll, BackendKind::io_uring),
                         [](const auto& info) {
                           return info.param == BackendKind::epoll ? "epoll" : "io_uring";
                         });

}  // namespace
}  // namespace wev::test
