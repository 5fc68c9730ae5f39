// Whether io_uring is among the backends that the contract runs on here.
#include <gtest/gtest.h>

#include "wev/backend/backends.hpp"

namespace wev::test {

TEST(IoUring, WorksHere) {
  const auto backend = make_backend({.kind = BackendKind::io_uring});
  if (!backend) {
    GTEST_SKIP() << "this system refuses io_uring (error " << backend.error().code() << ")";
  }
}

}  // namespace wev::test
