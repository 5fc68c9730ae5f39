// Where there are no processes: on Sim.
#include "wev/io/process.hpp"

#include <optional>

#include <gtest/gtest.h>

#include "wev/sim/sim.hpp"

namespace wev::test {

namespace {

const Result not_supported = std::unexpected(std::errc::operation_not_supported);

struct Ended {
  Completion completion;
  std::optional<Result> result;

  static Action end(void* self, Loop&, Completion&, Result result) {
    static_cast<Ended*>(self)->result = result;
    return Action::disarm;
  }
};

}  // namespace

TEST(Process, OnSimThereAreNone) {
  Sim sim;
  Loop loop(sim);
  auto process = Process::spawn(loop, {.program = "cat"});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error(), std::errc::operation_not_supported);
}

TEST(Process, OnSimEachOperationSaysThatThereAreNone) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim({.seed = seed, .moody = seed != 0});
    Loop loop(sim);
    const int fd = sim.pipe().first;  // with nothing to read
    Spawn spawn{};
    const Operation operations[] = {op::spawn(spawn), op::wait_process(fd, 1),
                                    op::kill_process(fd, 1, 9), op::release_process(fd, 1)};
    Ended ended[std::size(operations)];
    for (std::size_t i = 0; i < std::size(operations); ++i) {
      loop.add(ended[i].completion, operations[i], &ended[i], Ended::end);
    }
    EXPECT_TRUE(loop.run());
    for (const Ended& each : ended) EXPECT_EQ(each.result, not_supported);
  }
}

}  // namespace wev::test
