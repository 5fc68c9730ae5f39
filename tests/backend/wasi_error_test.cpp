// WASI's errnos as errors.
#include "sys/wasi_error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <set>
#include <utility>

#include <gtest/gtest.h>

namespace wev::test {

using namespace sys::wasi;

namespace {

constexpr int none = 0;

// By errno, in the order of the witx and under its names. A std::errc is the
// system's number of the same name, or of what a program would treat alike; none: there is
// no such std::errc.
constexpr int names[] = {
    none,
    E2BIG,
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EAGAIN,
    EALREADY,
    EBADF,
    EBADMSG,
    EBUSY,
    ECANCELED,
    ECHILD,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EDEADLK,
    EDESTADDRREQ,
    EDOM,
    /*dquot*/ ENOSPC,
    EEXIST,
    EFAULT,
    EFBIG,
    EHOSTUNREACH,
    EIDRM,
    EILSEQ,
    EINPROGRESS,
    EINTR,
    EINVAL,
    EIO,
    EISCONN,
    EISDIR,
    ELOOP,
    EMFILE,
    EMLINK,
    EMSGSIZE,
    /*multihop*/ none,
    ENAMETOOLONG,
    ENETDOWN,
    ENETRESET,
    ENETUNREACH,
    ENFILE,
    ENOBUFS,
    ENODEV,
    ENOENT,
    ENOEXEC,
    ENOLCK,
    ENOLINK,
    ENOMEM,
    ENOMSG,
    ENOPROTOOPT,
    ENOSPC,
    ENOSYS,
    ENOTCONN,
    ENOTDIR,
    ENOTEMPTY,
    ENOTRECOVERABLE,
    ENOTSOCK,
    ENOTSUP,
    ENOTTY,
    ENXIO,
    EOVERFLOW,
    EOWNERDEAD,
    EPERM,
    EPIPE,
    EPROTO,
    EPROTONOSUPPORT,
    EPROTOTYPE,
    ERANGE,
    EROFS,
    ESPIPE,
    ESRCH,
    /*stale*/ EIO,
    ETIMEDOUT,
    ETXTBSY,
    EXDEV,
    /*notcapable*/ EPERM,
};
static_assert(std::size(names) == 77);

}  // namespace

TEST(WasiError, EachErrnoBecomesTheErrcOfItsNameOrStaysNative) {
  for (Errno code = 1; code <= errno_notcapable; ++code) {
    SCOPED_TRACE(code);
    const Error error = to_error(code);
    if (names[code] == none) {
      EXPECT_EQ(error, Error::native(code));
      EXPECT_EQ(error.meaning(), std::errc{});
    } else {
      EXPECT_EQ(error.domain(), Domain::system);
      EXPECT_EQ(error.meaning(), static_cast<std::errc>(names[code]));
    }
  }
}

TEST(WasiError, NoTwoBecomeTheSameButThoseThatStdErrcLacks) {
  constexpr std::array<Errno, 3> lacking = {19, 72, errno_notcapable};
  std::set<std::pair<Domain, std::uint16_t>> seen;
  for (Errno code = 1; code <= errno_notcapable; ++code) {
    if (std::ranges::find(lacking, code) != lacking.end()) continue;
    const Error error = to_error(code);
    EXPECT_TRUE(seen.emplace(error.domain(), error.code()).second) << code;
  }
}

TEST(WasiError, ThoseTheLibraryTellsApartAreWhatTheirNamesSay) {
  EXPECT_EQ(to_error(errno_again), std::errc::resource_unavailable_try_again);
  EXPECT_EQ(to_error(errno_badf), std::errc::bad_file_descriptor);
  EXPECT_EQ(to_error(errno_inval), std::errc::invalid_argument);
  EXPECT_EQ(to_error(errno_intr), std::errc::interrupted);
  EXPECT_EQ(to_error(errno_io), std::errc::io_error);
  EXPECT_EQ(to_error(errno_nosys), std::errc::function_not_supported);
  EXPECT_EQ(to_error(errno_notsock), std::errc::not_a_socket);
  EXPECT_EQ(to_error(errno_notsup), std::errc::not_supported);
  EXPECT_EQ(to_error(errno_perm), std::errc::operation_not_permitted);
  EXPECT_EQ(to_error(errno_notcapable), std::errc::operation_not_permitted);
}

TEST(WasiError, OneThatIsUnknownKeepsItsNumber) {
  for (const Errno code : {Errno{77}, Errno{78}, Errno{1'000}, Errno{0xffff}}) {
    EXPECT_EQ(to_error(code), Error::native(code));
  }
}

// A call returns 16 bits in 32, and hosts leave anything in the others.
TEST(WasiError, OnlyTheLowHalfOfACallsReturnValueCounts) {
  EXPECT_EQ(to_errno(8), errno_badf);
  EXPECT_EQ(to_errno(static_cast<std::int32_t>(0xabcd'0008)), errno_badf);
  EXPECT_EQ(to_errno(0x7fff'0000), errno_success);
}

TEST(WasiError, AResultIsTheSizeOrTheError) {
  EXPECT_EQ(to_result(0, 42), Result(42));
  EXPECT_EQ(to_result(0), Result(0));
  EXPECT_EQ(to_result(0x1'0000, 42), Result(42));
  EXPECT_EQ(to_result(8, 42), Result(std::unexpected(Error(std::errc::bad_file_descriptor))));
  EXPECT_EQ(to_result(77), Result(std::unexpected(Error::native(77))));
}

}  // namespace wev::test
