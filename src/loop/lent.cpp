#include "wev/loop/lent.hpp"

namespace wev {

// Finding them ---------------------------------------------------------------------------

// Each stands in one of these; timers that are active in the heap alone.
void Loop::each_lent(Tell tell, void* context) const {
  const auto found = [tell, context](const Completion& completion) {
    tell_with_cancels(completion, tell, context);
  };
  timers_.for_each([&found](const Completion& completion) {
    if (completion.operation_.kind() == OperationKind::timer) found(completion);
  });
  for (const auto* list : {&submissions_, &loose_, &ended_, &being_delivered_}) {
    list->for_each(found);
  }
  asyncs_.for_each([&found](const Async& async) { async.waiters_.for_each(found); });
  descriptors_.for_each([&found](const Descriptor& descriptor) {
    for (const List<Completion>& queue : descriptor.queues) queue.for_each(found);
    const Completion* close = descriptor.close;
    if (close != nullptr && !close->has(Completion::ended)) found(*close);
  });
}

// Those that cancel a completion stand in a ring of its own, and may be cancelled as well.
void Loop::tell_with_cancels(const Completion& root, Tell tell, void* context) {
  const Completion* at = &root;
  for (;;) {
    tell(context, *at);
    if (at->cancels_ != nullptr) {
      at = at->cancels_;
      continue;
    }
    while (at != &root && at->operation_.cancel.next == at->operation_.cancel.target->cancels_) {
      at = at->operation_.cancel.target;
    }
    if (at == &root) return;
    at = at->operation_.cancel.next;
  }
}

// Saying it ------------------------------------------------------------------------------

std::string_view name_of(OperationKind kind) noexcept {
  switch (kind) {
    using enum OperationKind;
    case noop: return "noop";
    case cancel: return "cancel";
    case timer: return "timer";
    case async_wait: return "async_wait";
    case foreign: return "foreign";
    case run_blocking: return "run_blocking";
    case open: return "open";
    case socket: return "socket";
    case pipe: return "pipe";
    case spawn: return "spawn";
    case watch_signal: return "watch_signal";
    case poll: return "poll";
    case read: return "read";
    case readv: return "readv";
    case pread: return "pread";
    case write: return "write";
    case writev: return "writev";
    case pwrite: return "pwrite";
    case duplicate: return "duplicate";
    case recv: return "recv";
    case recv_from: return "recv_from";
    case send: return "send";
    case send_to: return "send_to";
    case accept: return "accept";
    case accept_many: return "accept_many";
    case connect: return "connect";
    case shutdown: return "shutdown";
    case bind: return "bind";
    case listen: return "listen";
    case local_address: return "local_address";
    case remote_address: return "remote_address";
    case set_option: return "set_option";
    case size: return "size";
    case fsync: return "fsync";
    case wait_process: return "wait_process";
    case kill_process: return "kill_process";
    case release_process: return "release_process";
    case wait_signal: return "wait_signal";
    case unwatch_signal: return "unwatch_signal";
    case close: return "close";
  }
  return "?";
}

namespace {

const char* progress_of(const Completion& completion) noexcept {
  if (completion.has_ended()) return "ended, its callback is to come";
  switch (completion.state()) {
    case Completion::State::adding: return "added";
    case Completion::State::deleting: return "cancelled";
    default: return "active";
  }
}

void print(const Completion& completion, Instant now, std::FILE* to) {
  const Operation& operation = completion.operation();
  const std::string_view name = name_of(operation.kind());
  std::fprintf(to, "  %-16.*s", static_cast<int>(name.size()), name.data());
  if (operation.on_descriptor()) {
    std::fprintf(to, " %4d", operation.io.fd);
  } else {
    std::fprintf(to, "     ");
  }
  std::fprintf(to, "  %p  %s", static_cast<const void*>(&completion), progress_of(completion));
  if (completion.deadline() != never && !completion.has_ended()) {
    const bool is_timer = operation.kind() == OperationKind::timer;
    // As such from the beginning: it may be more than a Duration can be.
    using Seconds = std::chrono::duration<double>;
    const Seconds left =
        Seconds(completion.deadline().time_since_epoch()) - Seconds(now.time_since_epoch());
    std::fprintf(to, ", %s %.3f s", is_timer ? "due in" : "times out in", left.count());
  }
  if (!completion.referenced()) std::fprintf(to, ", unreferenced");
  std::fprintf(to, "\n");
}

}  // namespace

void print_lent(const Loop& loop, std::FILE* to) {
  const Instant now = loop.backend().now();
  loop.for_each_lent([now, to](const Completion& completion) { print(completion, now, to); });
  std::fprintf(to, "%zu lent, %zu of them hold the loop open\n", loop.lent(), loop.active());
}

}  // namespace wev
