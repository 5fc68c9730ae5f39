// Stands for the tests of what could not be built, so that they are counted.
#include <gtest/gtest.h>

TEST(Missing, Packages) { GTEST_SKIP() << WEV_MISSING; }
