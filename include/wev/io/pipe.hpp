// pipe.hpp: a pipe inside the program, or to a child of it.
#pragma once

#include <array>

#include "wev/io/stream.hpp"

namespace wev {

/// What is written to `writer` is read from `reader`.
struct Pipe {
  Stream reader;
  Stream writer;

  /// At once. operation_not_supported where has_pipes (features.hpp) is false.
  static Expected<Pipe> make(Loop& loop) {
    std::array<int, 2> ends{};
    if (const Result made = loop.perform(op::pipe(ends)); !made) {
      return std::unexpected(made.error());
    }
    return Pipe{Stream(loop, ends[0]), Stream(loop, ends[1])};
  }
};

}  // namespace wev
