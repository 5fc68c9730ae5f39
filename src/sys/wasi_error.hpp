// wasi_error.hpp: the one table that turns WASI errnos into errors.
#pragma once

#include "sys/wasi.hpp"
#include "wev/base/error.hpp"

namespace wev::sys::wasi {

/// REQUIRES: code is not errno_success.
Error to_error(Errno code) noexcept;

/// A call's return value: its errno is the low half; hosts leave the rest alone.
inline Errno to_errno(std::int32_t returned) noexcept { return static_cast<Errno>(returned); }

inline Result to_result(std::int32_t returned, Size size = 0) noexcept {
  const Errno code = to_errno(returned);
  if (code != errno_success) return std::unexpected(to_error(code));
  return size;
}

}  // namespace wev::sys::wasi
