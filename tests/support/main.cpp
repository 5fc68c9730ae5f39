// The tests' main: GoogleTest's, and a last line that a script can add up.
#include <cstdio>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "support/allocations.hpp"
#include "support/seeds.hpp"

namespace {

// Says what failed and the command that repeats it; in the end each reason for
// skipping once, with how many tests it skipped.
class Summary final : public testing::EmptyTestEventListener {
 public:
  void OnTestStart(const testing::TestInfo& test) override { test_ = &test; }

  void OnTestPartResult(const testing::TestPartResult& part) override {
    if (!part.failed()) return;
    std::printf("%s.%s\n%s:%d:\n%s\n", test_->test_suite_name(), test_->name(),
                part.file_name() == nullptr ? "?" : part.file_name(), part.line_number(),
                part.message());
  }

  void OnTestEnd(const testing::TestInfo& test) override {
    const testing::TestResult& result = *test.result();
    if (result.Failed()) {
      std::printf("to repeat: %s./dev test '%s.%s'\n\n", wev::test::seeds_asked_for().c_str(),
                  test.test_suite_name(), test.name());
      std::fflush(stdout);
    }
    if (!result.Skipped()) return;
    for (int i = 0; i < result.total_part_count(); ++i) {
      const testing::TestPartResult& part = result.GetTestPartResult(i);
      if (part.skipped()) ++reasons_[part.message()];
    }
  }

  void OnTestProgramEnd(const testing::UnitTest& unit) override {
    for (const auto& [reason, count] : reasons_) {
      std::printf("%d skipped: %s\n", count, reason.c_str());
    }
    std::printf("RESULT passed=%d failed=%d skipped=%d\n", unit.successful_test_count(),
                unit.failed_test_count(), unit.skipped_test_count());
    std::fflush(stdout);
  }

 private:
  const testing::TestInfo* test_ = nullptr;
  std::map<std::string, int> reasons_;
};

}  // namespace

int main(int argc, char** argv) {
  (void)wev::test::allocations();  // so that the allocator is linked before who needs it
  testing::InitGoogleTest(&argc, argv);
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new Summary);
  return RUN_ALL_TESTS();
}
