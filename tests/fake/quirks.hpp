// quirks.hpp: how WASI hosts differ, one table for each.
//
// Seen on the hosts named; where a host has one answer for stdio and another
// for other descriptors, its table takes the worse for all.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "sim/random.hpp"
#include "sys/wasi.hpp"
#include "wev/base/clock.hpp"

namespace wev::test {

struct Quirks {
  std::string name;

  // Clocks.
  Duration epoch = std::chrono::seconds(1);     ///< what the monotonic clock starts at
  Duration step_alone = Duration(1);            ///< a clock alone is truncated to this
  Duration step_beside = Duration(1);           ///< a clock beside descriptors is
  Duration early = Duration::zero();            ///< and then may be early by this
  bool clock_event_always = false;              ///< also when another event ended the call
  sys::wasi::Errno clock_error = 0;             ///< of a call with a clock alone
  bool sleeps_half = false;                     ///< of what it was asked for
  Duration longest_sleep = Duration::max();     ///< then it returns with nothing
  Duration clock_step = Duration(1);            ///< what is read is truncated to this
  Duration clock_goes_back = Duration::zero();  ///< by so much, once in ten readings

  // Polling.
  Duration blind_below = Duration::zero();  ///< shorter timeouts report no descriptor
  bool waits_for_all = false;               ///< returns when all descriptors are ready
  bool sleeps_whole = false;                ///< returns at the clock, whatever is ready
  enum class BothDirections : std::uint8_t { taken, second_ignored, call_refused };
  BothDirections both_directions = BothDirections::taken;
  enum class BadDescriptor : std::uint8_t { event, event_late, call_refused, crash };
  BadDescriptor bad_descriptor = BadDescriptor::event;
  enum class Poll : std::uint8_t {
    honest,
    always_ready,
    always_ready_late,  ///< says ready, after the whole timeout
    ignored,            ///< never says anything
    event_refused,
    event_refused_late,  ///< after the whole timeout
    call_refused,
  };
  Poll file_poll = Poll::always_ready;  ///< also where fdstat does not tell that it is one
  Poll pipe_read_poll = Poll::honest;
  Poll pipe_write_poll = Poll::honest;
  Poll socket_poll = Poll::honest;
  sys::wasi::Errno refusal = sys::wasi::errno_perm;
  bool writes_event_count = true;
  bool garbage_sizes = false;
  // Once in so many calls; 0: never.
  unsigned interrupts = 0;
  unsigned drops_events = 0;
  unsigned makes_up_events = 0;
  unsigned reports_late = 0;  ///< a ready descriptor is overlooked

  // Descriptors.
  sys::wasi::Errno refuses_nonblocking = 0;              ///< on pipes
  std::array<std::uint8_t, 4> filetypes = {0, 4, 6, 6};  ///< by World::Kind
  bool raw_flags = false;                                ///< the system's bits, not WASI's
  bool poll_sets_nonblocking = false;
  sys::wasi::Errno wrong_mode = sys::wasi::errno_badf;  ///< of writing what is only read
  std::size_t largest_transfer = SIZE_MAX;              ///< of one buffer; else it has no memory
  bool accepts_blocking = false;                        ///< sock_accept ignores the flag
  bool sockets = true;                                  ///< else a socket call on one traps
  bool traps_on_no_socket = false;
  bool refuses_empty_reads = false;
  sys::wasi::Errno hangup_event = 0;  ///< what a poll says to a writer without a reader
  enum class BrokenPipe : std::uint8_t { error, swallowed, kills };
  BrokenPipe broken_pipe = BrokenPipe::error;
};

/// One for each host that was measured, and a plain one.
std::span<const Quirks> all_quirks();
const Quirks& plain_host();

/// Any mixture, as the seed decides.
Quirks hostile_host(std::uint64_t seed);

}  // namespace wev::test
