// What errors say in words, on every platform.
#include "wev/base/error_text.hpp"

#include <cerrno>
#include <cstring>
#include <set>
#include <sstream>
#include <string>
#include <version>

#include <gtest/gtest.h>

namespace wev::test {

TEST(ErrorText, OfTheSystemIsWhatTheCLibrarySays) {
  for (const int code : {ENOENT, ECONNREFUSED, EPIPE, ENOSPC}) {
    const Error error = static_cast<std::errc>(code);
    EXPECT_EQ(error.message().view(), std::strerror(code));
    EXPECT_STREQ(error.message().c_str(), std::strerror(code));
  }
}

TEST(ErrorText, EachOfOurOwnSaysSomethingElse) {
  std::set<std::string> texts;
  for (std::uint16_t code = 1; code <= 10; ++code) {
    texts.emplace(Error(static_cast<Errc>(code)).message());
  }
  for (std::uint16_t code = 1; code <= 9; ++code) {
    texts.emplace(Error(static_cast<ResolveErrc>(code)).message());
  }
  EXPECT_EQ(texts.size(), 19u);
  EXPECT_FALSE(texts.contains(""));
  EXPECT_EQ(Error(Errc::timed_out).message().view(), "deadline passed");
}

TEST(ErrorText, GoesIntoAStream) {
  std::ostringstream out;
  out << "reading: " << Error(Errc::operation_canceled) << '.';
  EXPECT_EQ(out.str(), "reading: operation canceled.");
}

#if defined(__wasi__)
TEST(ErrorText, GoesIntoAFormat) {
  GTEST_SKIP() << "std::format does not link: the compiler's own library for WASI wants a stack "
                  "protector";
}
#elif __has_include(<format>)
TEST(ErrorText, GoesIntoAFormat) {
  EXPECT_EQ(std::format("reading: {}.", Error(Errc::closed)), "reading: the channel is closed.");
  EXPECT_EQ(std::format("{:>18}", Error(Errc::timed_out)), "   deadline passed");
}
#endif

}  // namespace wev::test
