// wasi.hpp: the host calls of WASI 0.1 that libwev makes, and their ABI.
//
// Source: wasi_snapshot_preview1.witx of the WASI specification's 0.1 branch.
// On WebAssembly the functions are imports. Natively, the tests define them:
// a host in the same process, under the sanitizers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wev::sys::wasi {

using Fd = std::int32_t;
using Size = std::size_t;
using Timestamp = std::uint64_t;  // ns

/// Of the errnos, those that the library tells apart; wasi_system.cpp knows all.
using Errno = std::uint16_t;
inline constexpr Errno errno_success = 0;
inline constexpr Errno errno_again = 6;
inline constexpr Errno errno_badf = 8;
inline constexpr Errno errno_inval = 28;
inline constexpr Errno errno_intr = 27;
inline constexpr Errno errno_io = 29;
inline constexpr Errno errno_noent = 44;
inline constexpr Errno errno_nomem = 48;
inline constexpr Errno errno_nosys = 52;
inline constexpr Errno errno_notsock = 57;
inline constexpr Errno errno_notsup = 58;
inline constexpr Errno errno_perm = 63;
inline constexpr Errno errno_notcapable = 76;

inline constexpr std::uint32_t clock_monotonic = 1;

inline constexpr std::uint8_t filetype_unknown = 0;
inline constexpr std::uint8_t filetype_character_device = 2;
inline constexpr std::uint8_t filetype_directory = 3;
inline constexpr std::uint8_t filetype_regular_file = 4;
inline constexpr std::uint8_t filetype_socket_dgram = 5;
inline constexpr std::uint8_t filetype_socket_stream = 6;

inline constexpr std::uint16_t fdflags_append = 1;
inline constexpr std::uint16_t fdflags_nonblock = 4;
inline constexpr std::uint16_t fdflags_all = 0x1f;

struct Fdstat {
  std::uint8_t filetype;
  std::uint16_t flags;
  std::uint64_t rights_base;
  std::uint64_t rights_inheriting;
};
static_assert(sizeof(Fdstat) == 24 && offsetof(Fdstat, flags) == 2);

struct Filestat {
  std::uint64_t device;
  std::uint64_t inode;
  std::uint8_t filetype;
  std::uint64_t links;
  std::uint64_t size;
  Timestamp accessed;
  Timestamp modified;
  Timestamp changed;
};
static_assert(sizeof(Filestat) == 64 && offsetof(Filestat, size) == 32);

inline constexpr std::int32_t lookup_symlink_follow = 1;
inline constexpr std::int32_t oflags_create = 1;
inline constexpr std::int32_t oflags_directory = 2;
inline constexpr std::int32_t oflags_exclusive = 4;
inline constexpr std::int32_t oflags_truncate = 8;
// Of rights, those that opening a file for reading or writing is asked with. Some hosts open
// what is given any of the second for writing (Node, WAMR, WasmEdge).
inline constexpr std::uint64_t rights_read = 1 << 1;
inline constexpr std::uint64_t right_to_write = 1 << 6;
inline constexpr std::uint64_t rights_write = 1 << 0 | right_to_write | 1 << 8 | 1 << 22;
inline constexpr std::uint64_t rights_of_any =
    1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 21 | 1 << 27;
// What a directory is opened with, so that something can be opened below it.
inline constexpr std::uint64_t rights_of_directory =
    1 << 10 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 19;

inline constexpr std::uint8_t eventtype_clock = 0;
inline constexpr std::uint8_t eventtype_fd_read = 1;
inline constexpr std::uint8_t eventtype_fd_write = 2;

struct SubscriptionClock {
  std::uint32_t id;
  Timestamp timeout;
  Timestamp precision;
  std::uint16_t flags;
};

struct Subscription {
  std::uint64_t userdata;
  std::uint8_t tag;
  union {
    SubscriptionClock clock;
    Fd fd;  // both of fd_read and fd_write
  };
};
static_assert(sizeof(Subscription) == 48 && offsetof(Subscription, clock) == 16);

struct Event {
  std::uint64_t userdata;
  Errno error;
  std::uint8_t type;
  std::uint64_t nbytes;
  std::uint16_t flags;
};
static_assert(sizeof(Event) == 32 && offsetof(Event, nbytes) == 16);

struct Iovec {
  void* data;
  Size size;
};

#if defined(__wasm__)
/// Whether another thread can call Backend::wake() while the host sleeps.
inline constexpr bool has_threads() noexcept {
#if defined(__wasm_atomics__)
  return true;
#else
  return false;
#endif
}
#define WEV_WASI_IMPORT(name) \
  __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))
#else
bool has_threads() noexcept;
#define WEV_WASI_IMPORT(name)
#endif

/// The preopened directory that `path` is below, and the rest of it, which may
/// lie in `buffer`. -1: there is none.
Fd find_directory(const char* path, char* buffer, Size size, const char** relative) noexcept;

extern "C" {
// The prefix keeps them apart from wasi-libc's own declarations.
WEV_WASI_IMPORT("clock_time_get")
std::int32_t wev_wasi_clock_time_get(std::uint32_t id, Timestamp precision, Timestamp* time);
WEV_WASI_IMPORT("poll_oneoff")
std::int32_t wev_wasi_poll_oneoff(const Subscription* in, Event* out, Size count, Size* events);
WEV_WASI_IMPORT("fd_fdstat_get")
std::int32_t wev_wasi_fd_fdstat_get(Fd fd, Fdstat* stat);
WEV_WASI_IMPORT("fd_fdstat_set_flags")
std::int32_t wev_wasi_fd_fdstat_set_flags(Fd fd, std::int32_t flags);
WEV_WASI_IMPORT("fd_read")
std::int32_t wev_wasi_fd_read(Fd fd, const Iovec* iovs, Size count, Size* size);
WEV_WASI_IMPORT("fd_pread")
std::int32_t wev_wasi_fd_pread(Fd fd, const Iovec* iovs, Size count, std::uint64_t offset,
                               Size* size);
WEV_WASI_IMPORT("fd_write")
std::int32_t wev_wasi_fd_write(Fd fd, const Iovec* iovs, Size count, Size* size);
WEV_WASI_IMPORT("fd_pwrite")
std::int32_t wev_wasi_fd_pwrite(Fd fd, const Iovec* iovs, Size count, std::uint64_t offset,
                                Size* size);
WEV_WASI_IMPORT("fd_filestat_get")
std::int32_t wev_wasi_fd_filestat_get(Fd fd, Filestat* stat);
WEV_WASI_IMPORT("path_filestat_get")
std::int32_t wev_wasi_path_filestat_get(Fd directory, std::int32_t lookup, const char* path,
                                        Size size, Filestat* stat);
WEV_WASI_IMPORT("path_open")
std::int32_t wev_wasi_path_open(Fd directory, std::int32_t lookup, const char* path, Size size,
                                std::int32_t oflags, std::uint64_t rights,
                                std::uint64_t inherited_rights, std::int32_t fdflags, Fd* fd);
WEV_WASI_IMPORT("fd_sync")
std::int32_t wev_wasi_fd_sync(Fd fd);
WEV_WASI_IMPORT("fd_close")
std::int32_t wev_wasi_fd_close(Fd fd);
WEV_WASI_IMPORT("sock_accept")
std::int32_t wev_wasi_sock_accept(Fd fd, std::int32_t flags, Fd* connection);
WEV_WASI_IMPORT("sock_recv")
std::int32_t wev_wasi_sock_recv(Fd fd, const Iovec* iovs, Size count, std::int32_t flags,
                                Size* size, std::uint16_t* out_flags);
WEV_WASI_IMPORT("sock_send")
std::int32_t wev_wasi_sock_send(Fd fd, const Iovec* iovs, Size count, std::int32_t flags,
                                Size* size);
WEV_WASI_IMPORT("sock_shutdown")
std::int32_t wev_wasi_sock_shutdown(Fd fd, std::int32_t how);
}

#undef WEV_WASI_IMPORT

}  // namespace wev::sys::wasi
