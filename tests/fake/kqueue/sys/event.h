// What <sys/event.h> is on BSD, so that the kqueue poller can be tested on Linux:
// the part of it that kqueue.cpp beside it models. The numbers are macOS's.
#pragma once

#include <cstdint>
#include <ctime>

struct kevent {
  std::uintptr_t ident;
  std::int16_t filter;
  std::uint16_t flags;
  std::uint32_t fflags;
  std::intptr_t data;
  void* udata;
};

// clang-format off
#define EV_SET(kev, ident, filter, flags, fflags, data, udata)                           \
  (void)(*(kev) = {(std::uintptr_t)(ident), (std::int16_t)(filter), (std::uint16_t)(flags), \
                   (std::uint32_t)(fflags), (std::intptr_t)(data), (void*)(udata)})

#define EVFILT_READ   (-1)
#define EVFILT_WRITE  (-2)
#define EVFILT_PROC   (-5)
#define EVFILT_SIGNAL (-6)   // EINVAL
#define EVFILT_TIMER  (-7)   // EINVAL
#define EVFILT_USER   (-10)

#define EV_ADD      0x0001
#define EV_DELETE   0x0002
#define EV_ENABLE   0x0004
#define EV_DISABLE  0x0008
#define EV_ONESHOT  0x0010
#define EV_CLEAR    0x0020
#define EV_RECEIPT  0x0040
#define EV_DISPATCH 0x0080
#define EV_ERROR    0x4000
#define EV_EOF      0x8000

#define NOTE_TRIGGER    0x01000000u
#define NOTE_EXITSTATUS 0x04000000u  // macOS only
#define NOTE_EXIT       0x80000000u
// clang-format on

extern "C" {
int kqueue();
int kevent(int kq, const struct kevent* changes, int nchanges, struct kevent* events, int nevents,
           const struct timespec* timeout);
}
