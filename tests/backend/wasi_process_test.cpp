// WASI has neither processes nor signals.
#include <gtest/gtest.h>

#include "wev/loop/operation.hpp"
#include "wev/sys/spawn.hpp"

namespace wev::test {

TEST(WasiProcess, EachOperationSaysThatThereAreNone) {
  Spawn spawn{};
  for (const Operation& operation :
       {op::spawn(spawn), op::wait_process(1, 1), op::kill_process(1, 1, 9),
        op::release_process(1, 1), op::watch_signal(2), op::wait_signal(1),
        op::unwatch_signal(1)}) {
    EXPECT_EQ(operation.perform(), Result(std::unexpected(std::errc::operation_not_supported)));
  }
}

}  // namespace wev::test
