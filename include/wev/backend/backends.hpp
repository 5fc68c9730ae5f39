// backends.hpp: the backends of this platform, and their options.
//
// Loop() runs on the best one with nothing said. A program that wants to say
// something makes its backend first:
//
//   wev::BackendOptions options;
//   options.wasi.set_nonblocking = wev::Trait::no;
//   auto backend = wev::make_backend(options);
//   if (!backend) ...
//   wev::Loop loop(std::move(*backend));
//
// Options of other platforms are ignored, so that the same lines run everywhere.
// Fork       A child of fork() has copies of its parent's loops, which are of no use to it: what
//            would wait ends with Errc::forked there, and so do run() and tick() where they
//            would sleep. Operations in flight stay the parent's. The child can let go of all it
//            has: destroying handles closes its own descriptors, drain() ends what was lent, and
//            nothing that it does to them reaches the parent. It makes a loop of its own, on
//            which descriptors that it inherited, a listener for example, work as any. A Signal
//            of the parent's counts nothing in the child; a ThreadPool begins anew there, with
//            no thread, and what it had to do is the parent's. Other threads of the parent do
//            not exist in the child: it is best forked while none turns a loop. What makes a
//            process without the handlers of pthread_atfork (clone, _Fork) is not noticed.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>

#include "wev/base/error.hpp"
#include "wev/loop/backend.hpp"

namespace wev {

class ThreadPool;

enum class BackendKind : std::uint8_t {
  best,       ///< the best that works here
  wasi_poll,  ///< WASI 0.1: poll_oneoff
  io_uring,   ///< Linux 5.11: io_uring, where the system allows it
  epoll,      ///< Linux: epoll
  kqueue,     ///< macOS and FreeBSD: kqueue
  poll,       ///< POSIX: poll, whose calls cost what waits; where there is no better one
};

/// What differs between hosts is found out when it is first used; saying it here
/// settles it.
enum class Trait : std::uint8_t { find_out, no, yes };

struct WasiTraits {
  /// Whether descriptors are made non-blocking. `no`: the host is never asked
  /// to; each readiness is worth one operation. Hosts leave the flag on a
  /// terminal that the program shared, which this avoids. `yes`: it is assumed
  /// to work, also where the host says that it does not.
  Trait set_nonblocking = Trait::find_out;
  /// Whether there are sockets. `no`: socket operations end with not_a_socket,
  /// the host is never asked. `yes`: they are tried on whatever is no file.
  Trait sockets = Trait::find_out;
  /// Whether poll_oneoff returns as soon as one of several descriptors is ready.
  /// While that is not known, one call sleeps for 16 ms at most.
  Trait returns_for_any = Trait::find_out;
  /// Whether poll_oneoff takes several descriptors. `no`: one in each call.
  Trait takes_several = Trait::find_out;
};

/// What newer kernels have; bits. Each is done without where it is missing.
enum LinuxFeature : std::uint32_t {
  linux_fine_timeouts = 1,     ///< epoll: timeouts in nanoseconds (5.11), else milliseconds
  linux_io_uring = 2,          ///< io_uring itself; often forbidden in containers
  linux_deferred_work = 4,     ///< io_uring: no interrupts (6.1). A loop then belongs to
                               ///< the thread that first ran it.
  linux_cooperative_work = 8,  ///< io_uring: fewer interrupts (5.19), where those are missing
  linux_poll_first = 16,       ///< io_uring: no vain attempt to receive (5.19)
  linux_no_iowait = 32,        ///< io_uring: waiting does not count as waiting for a disk (6.15)
  linux_transfer_now = 64,     ///< epoll, poll: pipes are asked not to wait by each call (6.4),
                               ///< else by an open file of the loop's own
};

struct NativeOptions {
  /// For functions of the program that keep a thread waiting (op::run_blocking); it outlives
  /// the loop and may be shared by several. nullptr: a pool of the backend's own, if it needs
  /// one.
  ThreadPool* pool = nullptr;
  /// The same for files. Should be another one: what the program runs may wait for anything.
  ThreadPool* file_pool = nullptr;
  /// io_uring: how many operations go to the kernel in one call, rounded up to a
  /// power of two. More than that take several calls. From 64 on the ring takes 128 KiB more:
  /// the kernel finds what is cancelled in a table whose size goes by it.
  unsigned ring_entries = 256;
  /// LinuxFeatures that are not used though they are there; for tests.
  std::uint32_t without = 0;
};

struct BackendOptions {
  BackendKind kind = BackendKind::best;
  WasiTraits wasi{};
  NativeOptions native{};
};

/// Loop::make() takes the same options, and Backend::name() says which one it became.
/// `best` natively is what the environment's WEV_BACKEND names (io_uring, epoll, kqueue,
/// poll), if it names one; else the first of these that works here.
/// Errors: operation_not_supported, the platform has no such backend; in
/// WEV_BACKEND no_such_backend, it is none (which means invalid_argument);
/// not_enough_memory; what the system said, for example too_many_files_open.
std::expected<std::unique_ptr<Backend>, Error> make_backend(const BackendOptions& options = {});

}  // namespace wev
