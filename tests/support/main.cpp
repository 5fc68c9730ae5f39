// The tests' main: GoogleTest's, and a last line that a script can add up.
#include <cstdio>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace {

// Prints each reason for skipping once, with how many tests it skipped, and the
// command that repeats a failure.
class Summary final : public testing::EmptyTestEventListener {
 public:
  void OnTestEnd(const testing::TestInfo& test) override {
    const testing::TestResult& result = *test.result();
    if (result.Failed()) {
      std::printf("to repeat: ./dev test '%s.%s'\n", test.test_suite_name(), test.name());
    }
    if (!result.Skipped()) return;
    for (int i = 0; i < result.total_part_count(); ++i) {
      const testing::TestPartResult& part = result.GetTestPartResult(i);
      if (part.skipped()) ++reasons_[part.message()];
    }
  }

  void OnTestProgramEnd(const testing::UnitTest& unit) override {
    for (const auto& [reason, count] : reasons_) {
      std::printf("skipped %d: %s\n", count, reason.c_str());
    }
    std::printf("RESULT passed=%d failed=%d skipped=%d\n", unit.successful_test_count(),
                unit.failed_test_count(), unit.skipped_test_count());
    std::fflush(stdout);
  }

 private:
  std::map<std::string, int> reasons_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new Summary);
  return RUN_ALL_TESTS();
}
