// The contract on the WASI backend, over a host that the test simulates: with
// the quirks of each real one, and with random mixtures.
#include <algorithm>

#include "backend/wasi_poll.hpp"
#include "fake/fake_host.hpp"
#include "io/network.hpp"
#include "rig/driver.hpp"

namespace wev::test {
namespace {

class FakeRig : public Rig {
 public:
  FakeRig(const Quirks& quirks, const FakeHost::Options& options) : host_(quirks, options) {
    const bool blocks = quirks.refuses_nonblocking != 0;
    if (blocks && quirks.pipe_write_poll == Quirks::Poll::always_ready) {
      traits_.no_full_pipes = "the host says that a full pipe is writable, and blocks";
    }
    if (quirks.broken_pipe == Quirks::BrokenPipe::kills) {
      traits_.no_broken_pipes = "the host is killed by SIGPIPE";
      traits_.no_socket_errors = traits_.no_broken_pipes;
    }
    if (quirks.broken_pipe == Quirks::BrokenPipe::swallowed) {
      traits_.no_broken_pipes = "the host takes what nobody will read";
      traits_.no_socket_errors = traits_.no_broken_pipes;
    }
    const auto honest = [](Quirks::Poll poll) { return poll == Quirks::Poll::honest; };
    constexpr const char* unknown = "the host does not tell readiness";
    if (!honest(quirks.pipe_read_poll)) traits_.no_poll_readable = unknown;
    if (!honest(quirks.pipe_write_poll)) traits_.no_poll_writable = unknown;
    if (!quirks.writes_event_count) traits_.no_poll_readable = traits_.no_poll_writable = unknown;
    if (quirks.pipe_write_poll == Quirks::Poll::ignored || !quirks.writes_event_count) {
      traits_.no_polls = "the host tells nothing of descriptors";
    }
    if (quirks.makes_up_events != 0) {
      traits_.no_poll_readable = traits_.no_poll_writable = "the host makes readiness up";
    }
    // Nothing can be tried there, and one call need not tell.
    if (blocks && (quirks.interrupts | quirks.drops_events | quirks.reports_late) != 0) {
      traits_.no_prompt_ends = "the host overlooks what is ready";
    }
    if (!quirks.sockets) traits_.no_sockets = "the host has no sockets";
    traits_.many_descriptors = 1'100;
    traits_.seed = options.seed;
  }

  std::unique_ptr<Loop> loop() override {
    backends_.emplace_back(new (std::nothrow) WasiPoll);
    return std::make_unique<Loop>(*backends_.back());
  }
  std::pair<int, int> pipe() override { return host_.world().pipe(host_.capacity()); }
  std::pair<int, int> socket_pair() override { return host_.world().socket_pair(host_.capacity()); }
  int listen() override { return host_.world().listen(); }
  int connect(int listener) override { return host_.world().connect(listener, host_.capacity()); }
  int file(std::string_view contents) override { return host_.world().file(contents); }
  Result perform(const Operation& operation) override { return host_.world().perform(operation); }
  void busy(Loop&, Duration duration) override { host_.advance(duration); }
  void check() override {
    for (const std::string& violation : host_.violations()) ADD_FAILURE() << violation;
    EXPECT_EQ(host_.world().open_descriptors(), 0u) << "descriptors leaked";
  }

 protected:
  std::unique_ptr<Driver> make_driver(Loop& loop) {
    return std::make_unique<DriverInVirtualTime>(
        loop, [this](Duration duration) { host_.advance(duration); }, false);
  }
  [[nodiscard]] static bool tells_driver() { return true; }

 private:
  FakeHost host_;
  std::vector<std::unique_ptr<WasiPoll>> backends_;
};

RigMaker maker(std::string name, Quirks quirks, FakeHost::Options options) {
  options.capacity = 16384;
  return {std::move(name), [quirks = std::move(quirks), options] {
            return std::make_unique<FakeRig>(quirks, options);
          }};
}

RigMaker driven(std::string name, Quirks quirks, FakeHost::Options options) {
  options.capacity = 16384;
  return {std::move(name), [quirks = std::move(quirks), options] {
            return std::make_unique<Driven<FakeRig>>(quirks, options);
          }};
}

std::vector<RigMaker> rigs() {
  std::vector<RigMaker> all;
  for (const Quirks& quirks : all_quirks()) {
    if (quirks.clock_step > 1ms) continue;  // tests look at shorter times
    all.push_back(maker(quirks.name, quirks, {}));
  }
  all.push_back(driven("driven", plain_host(), {}));
  all.push_back(driven("driven_hostile", hostile_host(2), {.seed = 2, .short_transfers = true}));
  for (std::uint64_t seed = 1; seed <= seeds(10); ++seed) {
    // Half of them on a machine that is busy with something else.
    const bool stalls = seed % 2 == 1;
    all.push_back(maker("hostile" + std::to_string(seed), hostile_host(seed),
                        {.seed = seed,
                         .short_transfers = !stalls,
                         .longest_stall = std::chrono::milliseconds(stalls ? 10 : 0)}));
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Fake, Contract, testing::ValuesIn(rigs()),
                         [](const auto& info) { return info.param.name; });

// WASI 0.1 makes no sockets.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Network);

INSTANTIATE_TEST_SUITE_P(Fake, ContractWithThreads,
                         testing::Values(maker("plain", plain_host(), {.threads = true})),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace wev::test
