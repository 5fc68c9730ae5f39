#include "wev/loop/foreign.hpp"

#include <array>
#include <new>

#include "sys/thread.hpp"
#include "wev/loop/loop.hpp"

namespace wev {

namespace {

// Slots that no operation has, of all loops.
class Spare {
 public:
  /// nullptr: no memory.
  ForeignSlot* take() noexcept {
    const Lock lock(*this);
    if (first_ == nullptr) grow();
    ForeignSlot* slot = first_;
    if (slot != nullptr) first_ = slot->next;
    return slot;
  }
  void give(ForeignSlot& slot) noexcept {
    const Lock lock(*this);
    slot.next = first_;
    first_ = &slot;
  }

 private:
  struct Block : Allocated {
    Block* before = nullptr;
    std::array<ForeignSlot, 64> slots;
  };
  static_assert(sizeof(Block) <= 4096);

  // For a few instructions, and a malloc now and then.
  class Lock {
   public:
    explicit Lock(Spare& spare) noexcept : spare_(spare) {
      while (spare_.locked_.exchange(true, std::memory_order_acquire)) sys::yield();
    }
    ~Lock() { spare_.locked_.store(false, std::memory_order_release); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    Spare& spare_;
  };

  void grow() noexcept {
    auto* block = new (std::nothrow) Block;
    if (block == nullptr) return;
    block->before = blocks_;
    blocks_ = block;
    for (ForeignSlot& slot : block->slots) {
      slot.next = first_;
      first_ = &slot;
    }
  }

  std::atomic<bool> locked_{false};
  ForeignSlot* first_ = nullptr;
  Block* blocks_ = nullptr;  // kept, so that leak checkers see them in use
};

constinit Spare spare;

}  // namespace

void Foreign::begin(Loop& loop, Completion& completion) noexcept {
  loop.loose_.push_back(completion);
  auto& operation = completion.operation_.foreign;
  ForeignSlot* slot = spare.take();
  if (slot == nullptr) return loop.end(completion, std::unexpected(std::errc::not_enough_memory));
  loop.collect_completed_ = collect;
  slot->loop = &loop;
  slot->completion = &completion;
  operation.slot = slot;
  completion.set(Completion::begun);
  const std::uint64_t generation = slot->generation.load(std::memory_order_relaxed) + 1;
  slot->generation.store(generation, std::memory_order_release);
  operation.start(operation.context, Ticket(*slot, generation));
}

bool Foreign::leave(Completion& completion) noexcept {
  if (!completion.has(Completion::begun)) return true;
  auto& operation = completion.operation_.foreign;
  ForeignSlot& slot = *operation.slot;
  std::uint64_t generation = slot.generation.load(std::memory_order_acquire);
  const bool completed = generation % 2 == 0;
  if (completed || operation.cancel == nullptr) return false;
  if (!operation.cancel(operation.context, Ticket(slot, generation))) return false;
  // Where it was completed meanwhile, by another thread or by the function, that wins.
  if (!slot.generation.compare_exchange_strong(generation, generation + 1,
                                               std::memory_order_acq_rel)) {
    return false;
  }
  spare.give(slot);
  return true;
}

void Ticket::complete(Result result) const noexcept {
  WEV_ASSERT(slot_ != nullptr, "Ticket::complete: the ticket is of no operation");
  std::uint64_t generation = generation_;
  const bool first = slot_->generation.compare_exchange_strong(generation, generation + 1,
                                                               std::memory_order_acq_rel);
  WEV_ASSERT(first, "Ticket::complete: the operation has ended already");
  Foreign::complete(*slot_, result);
}

// The loop may deliver it, and be over, as soon as it is pushed.
void Foreign::complete(ForeignSlot& slot, Result result) noexcept {
  Loop& loop = *slot.loop;
  const Loop::Waking waking(loop);
  slot.result = result;
  if (loop.completed_.push(slot)) loop.wake();
}

void Foreign::collect(Loop& loop) noexcept {
  loop.completed_.take([&loop](ForeignSlot& slot) {
    Completion& completion = *slot.completion;
    const Result result = slot.result;
    spare.give(slot);
    loop.end(completion, result);
  });
}

}  // namespace wev
