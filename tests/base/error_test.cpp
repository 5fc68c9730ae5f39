// Errors and results.
#include "wev/base/error.hpp"

#include <array>
#include <cerrno>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "wev/base/error_code.hpp"

namespace wev::test {

namespace {

constexpr std::array all_errcs = {Errc::operation_canceled, Errc::timed_out, Errc::too_late,
                                  Errc::nested_run,         Errc::deadlock,  Errc::closed,
                                  Errc::no_such_backend};
constexpr std::array all_resolve_errcs = {
    ResolveErrc::no_such_name,   ResolveErrc::no_address,       ResolveErrc::server_failure,
    ResolveErrc::refused,        ResolveErrc::timed_out,        ResolveErrc::unreachable,
    ResolveErrc::malformed_name, ResolveErrc::malformed_answer, ResolveErrc::other};

}  // namespace

static_assert(sizeof(Error) == 4);
static_assert(Error(Errc::timed_out) == Errc::timed_out);

TEST(Error, KeepsItsDomainAndCode) {
  const Error system = std::errc::connection_reset;
  EXPECT_EQ(system.domain(), Domain::system);
  EXPECT_EQ(system.code(), ECONNRESET);
  const Error native = Error::native(4711);
  EXPECT_EQ(native.domain(), Domain::native);
  EXPECT_EQ(native.code(), 4711);
  for (const Errc code : all_errcs) {
    const Error wev = code;
    EXPECT_EQ(wev.domain(), Domain::wev);
    EXPECT_EQ(wev.code(), static_cast<std::uint16_t>(code));
  }
}

TEST(Error, IsEqualInDomainAndCode) {
  EXPECT_EQ(Error(std::errc::io_error), Error(std::errc::io_error));
  EXPECT_NE(Error(std::errc::io_error), Error(std::errc::broken_pipe));
  EXPECT_EQ(Error::native(5), Error::native(5));
  EXPECT_NE(Error::native(5), Error::native(6));
  // The same number in three domains.
  const Error system = static_cast<std::errc>(2);
  const Error native = Error::native(2);
  const Error wev = Errc::timed_out;
  ASSERT_EQ(wev.code(), 2);
  EXPECT_NE(system, native);
  EXPECT_NE(native, wev);
  EXPECT_NE(wev, system);
}

TEST(Error, TellsADeadlineOfOursFromTheKernelsOwn) {
  const Error ours = Errc::timed_out;
  const Error kernels = std::errc::timed_out;
  EXPECT_NE(ours, kernels);
  EXPECT_TRUE(ours == Errc::timed_out);
  EXPECT_FALSE(kernels == Errc::timed_out);
  EXPECT_TRUE(kernels != Errc::timed_out);
  // In meaning they are the same.
  EXPECT_TRUE(ours == std::errc::timed_out);
  EXPECT_TRUE(kernels == std::errc::timed_out);
  EXPECT_TRUE(std::errc::timed_out == ours);
  EXPECT_FALSE(ours != std::errc::timed_out);
}

TEST(Error, EveryErrcHasAMeaning) {
  EXPECT_EQ(Error(Errc::operation_canceled).meaning(), std::errc::operation_canceled);
  EXPECT_EQ(Error(Errc::timed_out).meaning(), std::errc::timed_out);
  EXPECT_EQ(Error(Errc::too_late).meaning(), std::errc::operation_not_permitted);
  EXPECT_EQ(Error(Errc::nested_run).meaning(), std::errc::operation_in_progress);
  EXPECT_EQ(Error(Errc::deadlock).meaning(), std::errc::resource_deadlock_would_occur);
  EXPECT_EQ(Error(Errc::closed).meaning(), std::errc::broken_pipe);
  EXPECT_EQ(Error(Errc::no_such_backend).meaning(), std::errc::invalid_argument);
  for (const Errc code : all_errcs) {
    EXPECT_TRUE(Error(code) == Error(code).meaning());
    for (const Errc other : all_errcs) EXPECT_EQ(Error(code) == other, code == other);
  }
}

TEST(Error, ASystemsCodeMeansItselfAndANativeOneNothing) {
  for (int number = 1; number <= 133; ++number) {
    const auto code = static_cast<std::errc>(number);
    EXPECT_EQ(Error(code).meaning(), code);
    EXPECT_TRUE(Error(code) == code);
    const Error native = Error::native(static_cast<std::uint16_t>(number));
    EXPECT_EQ(native.meaning(), std::errc{});
    EXPECT_FALSE(native == code);
  }
  EXPECT_EQ(Error(static_cast<Errc>(999)).meaning(), std::errc{});
}

TEST(Error, TravelsInAResult) {
  const Result fine = 5;
  EXPECT_TRUE(fine);
  EXPECT_EQ(fine, Result(5));
  EXPECT_NE(fine, Result(6));
  const Result failed = std::unexpected(Errc::too_late);
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.error(), Errc::too_late);
  EXPECT_NE(failed, fine);
  EXPECT_EQ(failed, Result(std::unexpected(Error(Errc::too_late))));
  EXPECT_NE(failed, Result(std::unexpected(Error(std::errc::operation_not_permitted))));
}

TEST(ErrorCode, OfTheSystemIsGeneric) {
  const std::error_code code = make_error_code(std::errc::broken_pipe);
  EXPECT_EQ(code.category(), std::generic_category());
  EXPECT_EQ(code.value(), EPIPE);
  const std::error_code through_error = make_error_code(Error(std::errc::broken_pipe));
  EXPECT_EQ(through_error, code);
  EXPECT_TRUE(through_error == std::errc::broken_pipe);
}

TEST(ErrorCode, OfANativeCodeKeepsItsNumber) {
  const std::error_code code = make_error_code(Error::native(4711));
  EXPECT_EQ(code.category(), std::system_category());
  EXPECT_EQ(code.value(), 4711);
}

TEST(ErrorCode, OfTheLoopHasItsOwnCategoryAndComparesByMeaning) {
  EXPECT_STREQ(wev_category().name(), "wev");
  EXPECT_EQ(&wev_category(), &wev_category());
  for (const Errc errc : all_errcs) {
    const std::error_code code = make_error_code(Error(errc));
    EXPECT_EQ(code.category(), wev_category());
    EXPECT_EQ(code.value(), static_cast<int>(errc));
    EXPECT_TRUE(code);
    EXPECT_TRUE(code == Error(errc).meaning());
    EXPECT_FALSE(code == std::errc::io_error);
  }
}

TEST(ErrorCode, EveryErrcSaysSomethingOfItsOwn) {
  std::set<std::string> messages;
  for (const Errc errc : all_errcs) messages.insert(make_error_code(Error(errc)).message());
  EXPECT_EQ(messages.size(), all_errcs.size());
  EXPECT_FALSE(messages.contains(""));
  const std::string unknown = wev_category().message(999);
  EXPECT_FALSE(unknown.empty());
  EXPECT_FALSE(messages.contains(unknown));
}

TEST(ErrorCode, OfAResolverHasItsOwnCategoryMessagesAndMeanings) {
  EXPECT_STREQ(resolver_category().name(), "wev.resolver");
  std::set<std::string> messages{"", resolver_category().message(999)};
  for (const ResolveErrc errc : all_resolve_errcs) {
    const Error error = errc;
    EXPECT_EQ(error.domain(), Domain::resolver);
    EXPECT_TRUE(error == errc);
    EXPECT_NE(error.meaning(), std::errc{});
    const std::error_code code = make_error_code(error);
    EXPECT_EQ(code.category(), resolver_category());
    EXPECT_TRUE(code == error.meaning());
    EXPECT_TRUE(messages.insert(code.message()).second) << code.message();
  }
  EXPECT_EQ(Error(static_cast<ResolveErrc>(999)).meaning(), std::errc{});
}

TEST(Error, ThreeKindsOfTimeoutAreToldApartAndMeanTheSame) {
  const Error loops = Errc::timed_out;
  const Error resolvers = ResolveErrc::timed_out;
  EXPECT_NE(loops, resolvers);
  EXPECT_FALSE(loops == ResolveErrc::timed_out);
  EXPECT_FALSE(resolvers == Errc::timed_out);
  EXPECT_TRUE(loops == std::errc::timed_out);
  EXPECT_TRUE(resolvers == std::errc::timed_out);
}

// Every number a system may have fits, and ends with a zero.
TEST(ErrorMessage, OfANativeCodeHasItsNumber) {
  for (unsigned code = 0; code <= 0xffff; ++code) {
    const ErrorMessage message = Error::native(static_cast<std::uint16_t>(code)).message();
    ASSERT_TRUE(message.view().ends_with(" (system error " + std::to_string(code) + ")"))
        << message.view();
    ASSERT_EQ(message.view(), message.c_str());
  }
}

}  // namespace wev::test
