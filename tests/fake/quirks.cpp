#include "fake/quirks.hpp"

#include <vector>

namespace wev::test {

using namespace std::chrono_literals;
using namespace sys::wasi;
using Poll = Quirks::Poll;

namespace {

Quirks plain() {
  Quirks q;
  q.name = "plain";
  return q;
}

Quirks node() {
  Quirks q;
  q.name = "node";
  q.step_alone = q.step_beside = 1ms;
  q.early = 990us;
  q.blind_below = 1ms;
  q.reports_late = 20;  // 1 ms: 80 of 2,000
  q.waits_for_all = true;
  q.both_directions = Quirks::BothDirections::second_ignored;
  q.bad_descriptor = Quirks::BadDescriptor::crash;
  q.file_poll = Poll::call_refused;
  q.filetypes = {6, 4, 6, 6};
  q.raw_flags = true;
  q.poll_sets_nonblocking = true;
  q.wrong_mode = errno_notcapable;
  q.hangup_event = errno_io;
  q.sockets = false;
  q.traps_on_no_socket = true;
  return q;
}

Quirks wamr() {
  Quirks q;
  q.name = "wamr";
  q.step_beside = 1ms;
  q.early = 900us;
  q.filetypes = {0, 0, 0, 0};
  q.garbage_sizes = true;
  q.refuses_nonblocking = errno_notcapable;
  q.accepts_blocking = true;
  q.wrong_mode = errno_notcapable;
  q.hangup_event = errno_io;
  q.broken_pipe = Quirks::BrokenPipe::kills;
  return q;
}

Quirks wazero() {
  Quirks q;
  q.name = "wazero";
  q.step_beside = 1ms;
  q.early = 900us;
  q.clock_event_always = true;
  q.bad_descriptor = Quirks::BadDescriptor::event_late;
  q.pipe_write_poll = Poll::event_refused_late;
  q.socket_poll = Poll::always_ready_late;
  q.refusal = errno_notsup;
  q.filetypes = {0, 4, 6, 6};
  q.interrupts = 500;
  q.broken_pipe = Quirks::BrokenPipe::kills;
  return q;
}

Quirks wasmedge() {
  Quirks q;
  q.name = "wasmedge";
  q.bad_descriptor = Quirks::BadDescriptor::event_late;
  q.file_poll = Poll::event_refused_late;
  q.refuses_nonblocking = errno_notcapable;
  q.wrong_mode = errno_notcapable;
  q.broken_pipe = Quirks::BrokenPipe::kills;
  return q;
}

Quirks wasmtime() {
  Quirks q;
  q.name = "wasmtime";
  q.epoch = 1us;
  q.blind_below = 1ms;
  q.both_directions = Quirks::BothDirections::call_refused;
  q.bad_descriptor = Quirks::BadDescriptor::call_refused;
  q.pipe_write_poll = Poll::always_ready;
  q.refuses_nonblocking = errno_badf;
  q.filetypes = {0, 0, 0, 0};
  q.largest_transfer = (std::size_t{128} << 20) - 1;
  q.sockets = false;
  q.refuses_empty_reads = true;
  return q;
}

Quirks jco() {
  Quirks q = wasmtime();
  q.name = "jco";
  q.filetypes = {2, 2, 2, 2};
  q.reports_late = 4;
  q.traps_on_no_socket = true;
  q.broken_pipe = Quirks::BrokenPipe::swallowed;
  return q;
}

// A page's shim: polls the clock and nothing else, and never blocks.
Quirks shim() {
  Quirks q;
  q.name = "shim";
  q.epoch = 1us;
  q.pipe_read_poll = q.pipe_write_poll = q.file_poll = Poll::call_refused;
  q.socket_poll = Poll::call_refused;
  q.refusal = errno_notsup;
  q.writes_event_count = false;
  q.filetypes = {2, 4, 2, 2};
  q.sockets = false;
  q.traps_on_no_socket = true;
  return q;
}

// One whose polling works for clocks only and even that badly.
Quirks clockless() {
  Quirks q = shim();
  q.name = "clockless";
  q.clock_error = errno_nosys;
  return q;
}

// Of public reports, of hosts that were not measured ---------------------------------

// Calls every descriptor ready.
Quirks eager() {
  Quirks q;
  q.name = "eager";
  q.pipe_read_poll = q.pipe_write_poll = q.socket_poll = Poll::always_ready;
  return q;
}

// Ignores descriptors and sleeps for the clock.
Quirks deaf() {
  Quirks q;
  q.name = "deaf";
  q.pipe_read_poll = q.pipe_write_poll = q.socket_poll = q.file_poll = Poll::ignored;
  return q;
}

// Never writes the number of events.
Quirks uncounted() {
  Quirks q;
  q.name = "uncounted";
  q.writes_event_count = false;
  return q;
}

// Every other call is interrupted.
Quirks interrupted() {
  Quirks q;
  q.name = "interrupted";
  q.interrupts = 2;
  return q;
}

// Returns after a millisecond at most, with nothing.
Quirks restless() {
  Quirks q;
  q.name = "restless";
  q.longest_sleep = 1ms;
  return q;
}

Quirks half_asleep() {
  Quirks q;
  q.name = "half_asleep";
  q.sleeps_half = true;
  return q;
}

Quirks sleeping() {
  Quirks q;
  q.name = "sleeping";
  q.sleeps_whole = true;
  return q;
}

Quirks coarse() {
  Quirks q;
  q.name = "coarse";
  q.clock_step = 100ms;
  return q;
}

Quirks back() {
  Quirks q;
  q.name = "back";
  q.clock_goes_back = 50ms;
  return q;
}

}  // namespace

const Quirks& plain_host() {
  static const Quirks quirks = plain();
  return quirks;
}

std::span<const Quirks> all_quirks() {
  static const std::vector<Quirks> all = {
      plain(),       node(),     wamr(),        wazero(),   wasmedge(), wasmtime(),
      jco(),         shim(),     clockless(),   eager(),    deaf(),     uncounted(),
      interrupted(), restless(), half_asleep(), sleeping(), coarse(),   back()};
  return all;
}

Quirks hostile_host(std::uint64_t seed) {
  Random random(seed ^ 0x686f7374);
  const auto maybe = [&](auto value, auto otherwise) {
    return random.one_in(3) ? value : otherwise;
  };
  Quirks q;
  q.name = "hostile" + std::to_string(seed);
  q.epoch = maybe(1us, 1s);
  q.step_alone = maybe(Duration(1ms), Duration(1ns));
  q.step_beside = maybe(Duration(1ms), Duration(1ns));
  q.early = maybe(Duration(900us), Duration::zero());
  q.clock_event_always = random.one_in(3);
  q.blind_below = maybe(Duration(1ms), Duration::zero());
  q.waits_for_all = random.one_in(3);
  q.both_directions = static_cast<Quirks::BothDirections>(random.below(3));
  q.bad_descriptor = static_cast<Quirks::BadDescriptor>(random.below(3));
  q.file_poll = static_cast<Poll>(1 + random.below(6));
  q.pipe_read_poll = maybe(Poll::event_refused, Poll::honest);
  // Where a descriptor that is not ready is called ready, it must not block.
  const bool blocks = random.one_in(3);
  q.refuses_nonblocking = blocks ? errno_notcapable : Errno{0};
  if (blocks) q.pipe_read_poll = Poll::honest;
  q.pipe_write_poll = blocks ? Poll::honest : static_cast<Poll>(random.below(7));
  q.socket_poll = static_cast<Poll>(random.below(7));
  q.refusal = maybe(errno_notsup, maybe(errno_inval, errno_perm));
  q.writes_event_count = true;
  q.garbage_sizes = random.one_in(2);
  q.interrupts = maybe(10u, 0u);
  q.drops_events = maybe(3u, 0u);
  q.makes_up_events = blocks ? 0u : maybe(5u, 0u);
  q.reports_late = maybe(4u, 0u);
  q.filetypes = {maybe(std::uint8_t{6}, std::uint8_t{0}), maybe(std::uint8_t{0}, std::uint8_t{4}),
                 maybe(std::uint8_t{0}, std::uint8_t{6}), maybe(std::uint8_t{0}, std::uint8_t{6})};
  q.poll_sets_nonblocking = !blocks && random.one_in(3);
  q.wrong_mode = maybe(errno_notcapable, maybe(errno_perm, errno_badf));
  q.accepts_blocking = random.one_in(2);
  q.refuses_empty_reads = random.one_in(2);
  q.hangup_event = !blocks && random.one_in(2) ? errno_io : Errno{0};
  return q;
}

}  // namespace wev::test
