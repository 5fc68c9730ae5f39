// Without exceptions, RTTI and optimization: the tests of tasks only.
#include "io/network.hpp"

namespace wev::test {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ContractWithThreads);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Network);

}  // namespace wev::test
