// immortal.hpp: what is never destroyed, because it is in use until the program's very end.
#pragma once

namespace wev::sys {

template <class T>
union Immortal {
  constexpr Immortal() noexcept : value() {}
  ~Immortal() {}  // NOLINT(modernize-use-equals-default): a union's would be deleted
  T value;
};

}  // namespace wev::sys
