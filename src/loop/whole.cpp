#include "loop/whole.hpp"

#include "loop/begin.hpp"

namespace wev {

namespace {

// In an operation's flags, of several buffers: how many have been moved, and how many are left
// from the present one on.
constexpr unsigned count_bits = 15;
constexpr std::uint32_t count_mask = (1u << count_bits) - 1;
static_assert(op::most_whole_buffers == count_mask);

struct Place {
  const IoVec* buffer;
  std::size_t left;    // buffers, with this one
  std::size_t behind;  // buffers
  std::size_t moved;   // bytes of this one
};

bool has_several(const Operation& operation) noexcept { return operation.type->other != nullptr; }

Place place_of(const Operation& operation) noexcept {
  const auto& io = operation.io;
  const std::size_t behind = io.flags & count_mask;
  if (operation.has(vectored)) return {reinterpret_cast<const IoVec*>(io.data), io.size, behind, 0};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): set_place() put it there
  const auto* buffer = reinterpret_cast<const IoVec*>(static_cast<std::uintptr_t>(io.offset));
  return {buffer, io.flags >> count_bits & count_mask, behind, buffer->size - io.size};
}

void set_place(Operation& operation, const Place& place) noexcept {
  auto& io = operation.io;
  if (operation.has(vectored) != (place.moved == 0)) operation.type = operation.type->other;
  io.flags = transfer_whole | static_cast<std::uint32_t>(place.behind);
  if (place.moved == 0) {
    io.data = reinterpret_cast<std::byte*>(const_cast<IoVec*>(place.buffer));
    io.size = place.left;
    io.offset = 0;
    return;
  }
  io.flags |= static_cast<std::uint32_t>(place.left << count_bits);
  io.data = place.buffer->data + place.moved;
  io.size = place.buffer->size - place.moved;
  io.offset = reinterpret_cast<std::uintptr_t>(place.buffer);
}

bool advance(Operation& operation, std::size_t count) noexcept {
  auto& io = operation.io;
  if (!has_several(operation)) {
    if (operation.has(at_offset)) io.offset += count;
    io.data += count;
    io.size -= count;
    return io.size > 0;
  }
  Place place = place_of(operation);
  count += place.moved;
  place.moved = 0;
  for (; place.left > 0 && count >= place.buffer->size; --place.left, ++place.behind) {
    count -= place.buffer->size;
    ++place.buffer;
  }
  place.moved = count;
  set_place(operation, place);
  return place.left > 0;
}

void restore(Operation& operation, std::size_t moved) noexcept {
  auto& io = operation.io;
  if (!has_several(operation)) {
    if (operation.has(at_offset)) io.offset -= moved;
    io.data -= moved;
    io.size += moved;
    return;
  }
  const Place place = place_of(operation);
  set_place(operation, {place.buffer - place.behind, place.left + place.behind, 0, 0});
}

std::size_t size_of(const Operation& operation) noexcept {
  if (!has_several(operation)) return operation.io.size;
  std::size_t size = 0;
  const auto* buffers = reinterpret_cast<const IoVec*>(operation.io.data);
  for (std::size_t i = 0; i < operation.io.size; ++i) size += buffers[i].size;
  return size;
}

}  // namespace

const WholeTransfer whole_transfer{advance, restore, size_of, Begin::pause};

}  // namespace wev
