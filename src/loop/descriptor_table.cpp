#include "wev/loop/descriptor_table.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace wev {

DescriptorTable::~DescriptorTable() {
  for_each([](Descriptor& descriptor) { delete &descriptor; });
  for (std::size_t i = 0; i < spare_.size(); ++i) delete spare_[i];
  std::free(static_cast<void*>(slots_));
}

// Fibonacci hashing: neighbours, the usual case, land far apart, and so do those with a stride.
// Only the highest bits depend on all of the number's.
std::size_t DescriptorTable::home(int number) const noexcept {
  return static_cast<std::uint32_t>(number) * 2654435769u >> shift_;
}

// Where `number` is, or the free slot where it would be.
std::size_t DescriptorTable::slot_of(int number) const noexcept {
  std::size_t i = home(number);
  while (slots_[i] != nullptr && slots_[i]->number != number) i = (i + 1) & mask_;
  return i;
}

Descriptor* DescriptorTable::find(int number) const noexcept {
  return slots_ == nullptr ? nullptr : slots_[slot_of(number)];
}

Descriptor* DescriptorTable::obtain(int number) noexcept {
  if (Descriptor* found = find(number)) return found;
  // At most three quarters full, so that a probe always ends.
  if ((size_ + 1) * 4 > capacity() * 3 && !grow()) return nullptr;
  Descriptor* descriptor = nullptr;
  if (!spare_.empty()) {
    descriptor = spare_.back();
    spare_.pop_back();
  } else {
    // Room to recycle it is made now: erase() cannot fail.
    if (!spare_.reserve(size_ + 1)) return nullptr;
    descriptor = new (std::nothrow) Descriptor;
    if (descriptor == nullptr) return nullptr;
  }
  descriptor->number = number;
  descriptor->native = static_cast<std::uintptr_t>(number);
  slots_[slot_of(number)] = descriptor;
  ++size_;
  return descriptor;
}

void DescriptorTable::erase(Descriptor& descriptor) noexcept {
  descriptor.unlink();
  descriptor.native = static_cast<std::uintptr_t>(descriptor.number);
  descriptor.backend_flags = 0;
  descriptor.backend_index = 0;
  descriptor.known = Descriptor::Known::no;
  descriptor.bad = false;
  descriptor.leaving = false;
  descriptor.closed_at = ++descriptor.cancels;
  std::ranges::fill(descriptor.held, false);
  descriptor.close = nullptr;
  if (descriptor.coming > 0) return;
  std::size_t hole = slot_of(descriptor.number);
  // Moves up what had been pushed behind the hole, so that no probe stops at it.
  for (std::size_t i = (hole + 1) & mask_; slots_[i] != nullptr; i = (i + 1) & mask_) {
    if (((i - home(slots_[i]->number)) & mask_) < ((i - hole) & mask_)) continue;
    slots_[hole] = slots_[i];
    hole = i;
  }
  slots_[hole] = nullptr;
  --size_;
  descriptor.number = -1;
  WEV_ASSERT(spare_.push_back(&descriptor), "DescriptorTable: no room to recycle");
}

bool DescriptorTable::grow() noexcept {
  const std::size_t old_capacity = capacity();
  const std::size_t new_capacity = old_capacity == 0 ? 16 : old_capacity * 2;
  WEV_ASSERT(new_capacity <= UINT32_MAX, "DescriptorTable: more than there are numbers");
  auto** grown = static_cast<Descriptor**>(std::calloc(new_capacity, sizeof(Descriptor*)));
  if (grown == nullptr) return false;
  Descriptor** old = std::exchange(slots_, grown);
  mask_ = new_capacity - 1;
  shift_ = 32u - static_cast<unsigned>(std::countr_zero(new_capacity));
  for (std::size_t i = 0; i < old_capacity; ++i) {
    if (old[i] != nullptr) slots_[slot_of(old[i]->number)] = old[i];
  }
  std::free(static_cast<void*>(old));
  return true;
}

}  // namespace wev
