// The contract on the simulated backend: one that ends everything as soon as it
// can, and many moody ones.
#include "io/network.hpp"
#include "rig/driver.hpp"
#include "support/threads.hpp"
#include "wev/sim/sim.hpp"

namespace wev::test {
namespace {

class SimRig : public Rig {
 public:
  explicit SimRig(const Sim::Options& options) : sim_(options), threads_(options.threads) {
    traits_.seed = options.seed;
    traits_.no_threads = why_no_threads();
    traits_.no_unreachable = "the simulated network reaches everything";
    if (options.moody) traits_.no_prompt_ends = "its operations take a while";
    if (!options.moody) {
      traits_.many_timers = 1'000'000;
      traits_.many_descriptors = 6'000;
      traits_.many_connections = 2'000;
    }
  }

  std::unique_ptr<Loop> loop() override { return std::make_unique<Loop>(sim_); }
  std::pair<int, int> pipe() override { return sim_.pipe(); }
  std::pair<int, int> socket_pair() override { return sim_.socket_pair(); }
  int listen() override { return sim_.listen(); }
  int connect(int listener) override { return sim_.connect(listener); }
  int file(std::string_view contents) override { return sim_.file(contents); }
  Result perform(const Operation& operation) override { return sim_.perform(operation); }
  void busy(Loop&, Duration duration) override { sim_.advance(duration); }
  void check() override { EXPECT_EQ(sim_.open_descriptors(), 0u) << "descriptors leaked"; }

 protected:
  std::unique_ptr<Driver> make_driver(Loop& loop) {
    return std::make_unique<DriverInVirtualTime>(
        loop, [this](Duration duration) { sim_.advance(duration); }, threads_);
  }
  [[nodiscard]] static bool tells_driver() { return true; }

  Sim sim_;

 private:
  const bool threads_;
};

// Fewer of what is many: it is about other things.
class SmallSimRig : public SimRig {
 public:
  explicit SmallSimRig(const Sim::Options& options) : SimRig(options) {
    traits_.many_timers = 10'000;
    traits_.many_descriptors = 200;
    traits_.many_connections = 100;
  }
};

RigMaker maker(std::string name, const Sim::Options& options) {
  return {std::move(name), [options] { return std::make_unique<SimRig>(options); }};
}

RigMaker driven(std::string name, const Sim::Options& options) {
  return {std::move(name), [options] { return std::make_unique<Driven<SmallSimRig>>(options); }};
}

std::vector<RigMaker> rigs() {
  std::vector<RigMaker> all;
  for (std::uint64_t seed = 0; seed <= seeds(20); ++seed) {
    // Small pipes, so that filling 6,000 of them is no matter. Half of the seeds are
    // of machines that are busy with something else.
    const Duration stall = seed % 2 == 1 ? 10ms : 0ms;
    const Sim::Options options{
        .seed = seed, .moody = seed != 0, .capacity = 16384, .longest_stall = stall};
    all.push_back(maker(seed == 0 ? "calm" : "seed" + std::to_string(seed), options));
  }
  all.push_back(driven("driven", {.moody = false, .capacity = 16384}));
  all.push_back(driven("driven_seed1", {.seed = 1, .capacity = 16384, .longest_stall = 10ms}));
  all.push_back(driven("driven_seed2", {.seed = 2, .capacity = 16384}));
  return all;
}

std::vector<RigMaker> rigs_with_threads() {
  return {maker("calm", {.moody = false, .threads = true, .capacity = 16384}),
          maker("moody", {.seed = 1, .threads = true, .capacity = 16384}),
          driven("driven", {.moody = false, .threads = true, .capacity = 16384}),
          driven("driven_moody", {.seed = 1, .threads = true, .capacity = 16384})};
}

INSTANTIATE_TEST_SUITE_P(Sim, Contract, testing::ValuesIn(rigs()),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Sim, Network, testing::ValuesIn(rigs()),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Sim, ContractWithThreads, testing::ValuesIn(rigs_with_threads()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace wev::test
