// What kqueue(2) promises, of the stand-in for it; and what nobody promises.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake/kqueue/moods.hpp"
#include "support/fd.hpp"
#include "support/system.hpp"

namespace wev::test {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::pair<Fd, Fd> pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::pair<Fd, Fd> socket_pair() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

Fd file(std::string_view contents) {
  std::string name = testing::TempDir() + "wev-XXXXXX";
  Fd fd(::mkstemp(name.data()));
  EXPECT_EQ(::unlink(name.c_str()), 0);
  EXPECT_EQ(::pwrite(fd, contents.data(), contents.size(), 0), std::ssize(contents));
  return fd;
}

Fd tcp() { return Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

sockaddr_in bound(int fd) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  return address;
}

int connect(int fd, const sockaddr_in& address) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

void put(int fd, std::string_view text) {
  EXPECT_EQ(::write(fd, text.data(), text.size()), std::ssize(text));
}

std::size_t take(int fd, std::size_t most = 64) {
  std::array<char, 64> buffer;
  const ssize_t count = ::read(fd, buffer.data(), most);
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

bool is_readable(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

pid_t child(int status, int waits_for = -1) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  pollfd told{waits_for, POLLIN, 0};
  if (waits_for >= 0) (void)::poll(&told, 1, 10'000);
  ::_exit(status);
}

void wait_for_zombie(pid_t pid) {
  siginfo_t info{};
  EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
}

int udata_of(const struct kevent& event) { return *static_cast<int*>(event.udata); }

using Events = std::vector<struct kevent>;

struct kevent change(std::uintptr_t ident, int filter, int flags, unsigned fflags = 0,
                     void* udata = nullptr) {
  struct kevent made;
  EV_SET(&made, ident, filter, flags, fflags, 0, udata);
  return made;
}

class Kqueue : public testing::Test {
 protected:
  void SetUp() override {
    kq_ = Fd(::kqueue());
    ASSERT_GE(kq_, 0);
  }
  void TearDown() override { wev_kqueue_set_moods(0); }

  // 0 or an errno. There is no room for events, so it is not EV_ERROR.
  int apply(std::uintptr_t ident, int filter, int flags, unsigned fflags = 0,
            void* udata = nullptr) const {
    const auto made = change(ident, filter, flags, fflags, udata);
    return ::kevent(kq_, &made, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
  }
  Events wait(std::chrono::nanoseconds timeout = 0ns, std::size_t most = 16) const {
    Events events(most);
    const timespec time{timeout / 1s, (timeout % 1s).count()};
    const int count =
        ::kevent(kq_, nullptr, 0, events.data(), static_cast<int>(events.size()), &time);
    EXPECT_GE(count, 0) << errno;
    events.resize(static_cast<std::size_t>(std::max(count, 0)));
    return events;
  }
  // The one event there is.
  struct kevent only(std::chrono::nanoseconds timeout = 10s) const {
    const Events events = wait(timeout);
    EXPECT_EQ(events.size(), 1u);
    return events.empty() ? change(0, 0, 0) : events[0];
  }

  Fd kq_;
};

}  // namespace

// Events --------------------------------------------------------------------------

TEST_F(Kqueue, ReportsLevelsAsLongAsTheyLast) {
  const auto [reader, writer] = pipe();
  int mine = 7;
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD, 0, &mine), 0);
  EXPECT_TRUE(wait().empty());
  EXPECT_FALSE(is_readable(kq_));
  put(writer, "abc");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(is_readable(kq_));
    const auto event = only();
    EXPECT_EQ(event.ident, static_cast<std::uintptr_t>(reader));
    EXPECT_EQ(event.filter, EVFILT_READ);
    EXPECT_EQ(event.flags, 0);
    EXPECT_EQ(event.data, 3);
    EXPECT_EQ(udata_of(event), 7);
  }
  EXPECT_EQ(take(reader, 2), 2u);
  EXPECT_EQ(only().data, 1);
  EXPECT_EQ(take(reader), 1u);
  EXPECT_TRUE(wait().empty());
  EXPECT_FALSE(is_readable(kq_));
}

TEST_F(Kqueue, ClearReportsEachEdgeOnce) {
  const auto [reader, writer] = pipe();
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  for (int i = 1; i <= 3; ++i) {
    put(writer, "a");
    EXPECT_TRUE(is_readable(kq_));
    EXPECT_EQ(only().data, i);
    EXPECT_TRUE(wait().empty());
    EXPECT_FALSE(is_readable(kq_));
  }
}

TEST_F(Kqueue, WhatIsGoneWhenItIsFetchedIsNotReported) {
  const auto [reader, writer] = pipe();
  for (const int flags : {EV_ADD, EV_ADD | EV_CLEAR}) {
    EXPECT_EQ(apply(reader, EVFILT_READ, flags), 0);
    put(writer, "a");
    EXPECT_EQ(take(reader), 1u);
    EXPECT_TRUE(wait().empty());
    put(writer, "a");
    EXPECT_EQ(only().data, 1);
    EXPECT_EQ(take(reader), 1u);
  }
}

TEST_F(Kqueue, BothFiltersOfADescriptorAreTheirOwn) {
  const auto [a, b] = socket_pair();
  int in = 1;
  int out = 2;
  for (const int flags : {EV_ADD, EV_ADD | EV_CLEAR}) {
    EXPECT_EQ(apply(a, EVFILT_READ, flags, 0, &in), 0);
    EXPECT_EQ(apply(a, EVFILT_WRITE, flags, 0, &out), 0);
    const auto writable = only();
    EXPECT_EQ(writable.filter, EVFILT_WRITE);
    EXPECT_GT(writable.data, 1000);
    EXPECT_EQ(udata_of(writable), 2);
    put(b, "abc");
    bool read = false;
    for (const auto& event : wait(10s)) {
      if (event.filter == EVFILT_WRITE) continue;
      read = true;
      EXPECT_EQ(event.data, 3);
      EXPECT_EQ(udata_of(event), 1);
    }
    EXPECT_TRUE(read);
    EXPECT_EQ(apply(a, EVFILT_WRITE, EV_DELETE), 0);
    EXPECT_EQ(only().filter, EVFILT_READ);
    EXPECT_EQ(take(a), 3u);
    EXPECT_TRUE(wait().empty());
  }
}

TEST_F(Kqueue, WhatDoesNotFitComesNextAndNothingStarves) {
  const auto [a, b] = socket_pair();
  put(b, "abc");
  for (const int flags : {EV_ADD, EV_ADD | EV_CLEAR}) {
    EXPECT_EQ(apply(a, EVFILT_READ, flags), 0);
    EXPECT_EQ(apply(a, EVFILT_WRITE, flags), 0);
    std::set<int> reported;
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(is_readable(kq_));
      const Events events = wait(0ns, 1);
      ASSERT_EQ(events.size(), 1u);
      reported.insert(events[0].filter);
    }
    EXPECT_EQ(reported.size(), 2u);
  }
  EXPECT_TRUE(wait().empty());
}

TEST_F(Kqueue, ManyDescriptors) {
  std::vector<std::pair<Fd, Fd>> pipes;
  for (int i = 0; i < 200; ++i) {
    pipes.push_back(pipe());
    EXPECT_EQ(apply(pipes.back().first, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    put(pipes.back().second, "a");
  }
  std::set<std::uintptr_t> reported;
  for (Events events = wait(); !events.empty(); events = wait()) {
    for (const auto& event : events) EXPECT_TRUE(reported.insert(event.ident).second);
  }
  EXPECT_EQ(reported.size(), 200u);
}

TEST_F(Kqueue, EndOfFile) {
  auto [reader, writer] = pipe();
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD), 0);
  put(writer, "ab");
  writer.reset();
  auto event = only();
  EXPECT_EQ(event.flags, EV_EOF);
  EXPECT_EQ(event.data, 2);
  EXPECT_EQ(take(reader), 2u);
  event = only();
  EXPECT_EQ(event.flags, EV_EOF);
  EXPECT_EQ(event.data, 0);

  auto [reader2, writer2] = pipe();
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_DELETE), 0);
  EXPECT_EQ(apply(writer2, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(only().flags, EV_CLEAR);
  reader2.reset();
  EXPECT_EQ(only().flags, EV_CLEAR | EV_EOF);
}

TEST_F(Kqueue, EndOfASocket) {
  auto [a, b] = socket_pair();
  EXPECT_EQ(apply(a, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(::shutdown(b, SHUT_WR), 0);
  EXPECT_EQ(only().flags, EV_CLEAR | EV_EOF);
  EXPECT_EQ(apply(a, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  for (const auto& event : wait()) {
    EXPECT_EQ((event.flags & EV_EOF) != 0, event.filter == EVFILT_READ);
  }
  b.reset();
  const Events events = wait();
  EXPECT_EQ(events.size(), 2u);
  for (const auto& event : events) EXPECT_EQ(event.flags, EV_CLEAR | EV_EOF);
}

TEST_F(Kqueue, ConnectsAndListens) {
  const Fd listener = tcp();
  const Fd client = tcp();
  const sockaddr_in address = bound(listener);
  EXPECT_EQ(::listen(listener, 8), 0);
  EXPECT_EQ(apply(listener, EVFILT_READ, EV_ADD), 0);
  EXPECT_EQ(apply(client, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(apply(client, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  EXPECT_TRUE(wait().empty()) << "not connected, so neither at its end nor writable";
  (void)connect(client, address);
  std::set<std::pair<std::uintptr_t, int>> reported;
  while (reported.size() < 2) {
    for (const auto& event : wait(10s)) {
      EXPECT_EQ(event.flags & EV_EOF, 0);
      EXPECT_TRUE(event.filter == EVFILT_WRITE || event.data == 1);
      reported.insert({event.ident, event.filter});
    }
  }
  EXPECT_TRUE(reported.contains({static_cast<std::uintptr_t>(client), EVFILT_WRITE}));
  EXPECT_TRUE(reported.contains({static_cast<std::uintptr_t>(listener), EVFILT_READ}));
  const Fd second = tcp();
  (void)connect(second, address);
  while (only().data != 2) {
  }
}

TEST_F(Kqueue, AUnixSocketConnectsUnseen) {
  const auto name = [](const Fd&) { return sockaddr{AF_UNIX, {}}; };
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr address = name(listener);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  // An abstract name that the system picks.
  EXPECT_EQ(::bind(listener, &address, sizeof(sa_family_t)), 0);
  EXPECT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &size), 0);
  EXPECT_EQ(::listen(listener, 8), 0);
  EXPECT_EQ(apply(client, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&bound), size), 0);
  EXPECT_EQ(only().flags, EV_CLEAR);
}

TEST_F(Kqueue, ARefusedConnectionEndsBothWaysAndKeepsItsError) {
  sockaddr_in nobody{};
  {
    const Fd closed = tcp();
    nobody = bound(closed);
  }
  const Fd client = tcp();
  EXPECT_EQ(apply(client, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(apply(client, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  (void)connect(client, nobody);
  const Events events = wait(10s);
  EXPECT_EQ(events.size(), 2u);
  for (const auto& event : events) {
    EXPECT_EQ(event.flags, EV_CLEAR | EV_EOF);
    EXPECT_NE(event.fflags, 0u);
  }
  int error = 0;
  socklen_t size = sizeof error;
  EXPECT_EQ(::getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size), 0);
  EXPECT_EQ(error, ECONNREFUSED);
}

TEST_F(Kqueue, Files) {
  const Fd some = file("abcde");
  EXPECT_EQ(apply(some, EVFILT_READ, EV_ADD), 0);
  EXPECT_TRUE(wait(0ns).size() == 1 && is_readable(kq_));
  EXPECT_EQ(only().data, 5);
  EXPECT_EQ(::lseek(some, 5, SEEK_SET), 5);
  EXPECT_TRUE(wait(1ms).empty());
  EXPECT_EQ(::lseek(some, 7, SEEK_SET), 7);
  EXPECT_EQ(only().data, -2);
  EXPECT_EQ(apply(some, EVFILT_READ, EV_DELETE), 0);
  EXPECT_EQ(apply(some, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(only().filter, EVFILT_WRITE);
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(Fd(::open("/dev/null", O_RDWR)), EVFILT_READ, EV_ADD), EINVAL);
  EXPECT_EQ(apply(Fd(::open("/", O_RDONLY)), EVFILT_WRITE, EV_ADD), EINVAL);
}

// Flags ---------------------------------------------------------------------------

TEST_F(Kqueue, OneshotIsDeletedWhenItIsFetched) {
  const auto [reader, writer] = pipe();
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD | EV_ONESHOT), 0);
  put(writer, "a");
  EXPECT_EQ(only().flags, EV_ONESHOT);
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_DELETE), ENOENT);
}

TEST_F(Kqueue, DispatchIsDisabledWhenItIsFetched) {
  const auto [reader, writer] = pipe();
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD | EV_DISPATCH), 0);
  put(writer, "a");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(only().flags, EV_DISPATCH);
    EXPECT_TRUE(wait().empty());
    EXPECT_FALSE(is_readable(kq_));
    EXPECT_EQ(apply(reader, EVFILT_READ, EV_ENABLE), 0);
  }
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_DELETE), 0);
}

TEST_F(Kqueue, DisabledIsNotReportedAndNotForgotten) {
  const auto [reader, writer] = pipe();
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD | EV_DISABLE | EV_CLEAR), 0);
  put(writer, "a");
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ENABLE), 0);
  EXPECT_EQ(only().data, 1);
  put(writer, "a");
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_DISABLE), 0);
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD | EV_CLEAR), 0) << "enables";
  EXPECT_EQ(only().data, 2);
}

TEST_F(Kqueue, AddingAgainModifies) {
  const auto [reader, writer] = pipe();
  int one = 1;
  int two = 2;
  put(writer, "a");
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD, 0, &one), 0);
  EXPECT_EQ(udata_of(only()), 1);
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD | EV_CLEAR, 0, &two), 0);
  EXPECT_EQ(udata_of(only()), 2);
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ENABLE), 0);
  EXPECT_EQ(only().udata, nullptr) << "every change brings its udata";
}

TEST_F(Kqueue, ErrorsGoToTheEventsIfThereIsRoom) {
  const auto [reader, writer] = pipe();
  put(writer, "a");
  std::array<struct kevent, 3> both{change(reader, EVFILT_WRITE, EV_DELETE),
                                    change(reader, EVFILT_READ, EV_ADD),
                                    change(reader, EVFILT_TIMER, EV_ADD)};
  // The same array for both, and they come alone.
  ASSERT_EQ(::kevent(kq_, both.data(), 3, both.data(), 3, nullptr), 2);
  EXPECT_EQ(both[0].flags, EV_ERROR);
  EXPECT_EQ(both[0].data, ENOENT);
  EXPECT_EQ(both[1].filter, EVFILT_TIMER);
  EXPECT_EQ(both[1].data, EINVAL);
  EXPECT_EQ(only().data, 1);
  EXPECT_EQ(apply(reader, EVFILT_SIGNAL, EV_ADD), EINVAL);
  EXPECT_EQ(apply(writer, EVFILT_READ, EV_DELETE), ENOENT);
  EXPECT_EQ(apply(writer, EVFILT_READ, EV_ENABLE), ENOENT);
  EXPECT_EQ(apply(12345, EVFILT_READ, EV_ADD), EBADF);
  EXPECT_EQ(apply(reader, EVFILT_WRITE, EV_ADD), EBADF);
}

TEST_F(Kqueue, ReceiptsAreErrorsOfNoError) {
  const auto [reader, writer] = pipe();
  put(writer, "a");
  const std::array<struct kevent, 2> changes{change(reader, EVFILT_READ, EV_ADD | EV_RECEIPT),
                                             change(3, EVFILT_USER, EV_ADD | EV_RECEIPT)};
  std::array<struct kevent, 2> events{};
  ASSERT_EQ(::kevent(kq_, changes.data(), 2, events.data(), 1, nullptr), 1);
  EXPECT_EQ(events[0].flags, EV_ERROR);
  EXPECT_EQ(events[0].data, 0);
  EXPECT_EQ(only().filter, EVFILT_READ);
}

TEST_F(Kqueue, WhatIsInvalid) {
  struct kevent event;
  const timespec bad{0, 1'000'000'000};
  EXPECT_EQ(::kevent(kq_, nullptr, 0, &event, 1, &bad), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::kevent(kq_, nullptr, -1, &event, 1, nullptr), -1);
  EXPECT_EQ(errno, EINVAL);
  const auto [reader, writer] = pipe();
  const Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  for (const int fd : {-1, 12345, int{reader}, int{epoll}}) {
    EXPECT_EQ(::kevent(fd, nullptr, 0, &event, 1, nullptr), -1);
    EXPECT_EQ(errno, EBADF);
  }
}

// Time ----------------------------------------------------------------------------

TEST_F(Kqueue, WaitsAndDoesNotWait) {
  const auto start = Clock::now();
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(::kevent(kq_, nullptr, 0, nullptr, 0, nullptr), 0) << "no room, no wait";
  EXPECT_LT(Clock::now() - start, 1s);
  EXPECT_TRUE(wait(20ms).empty());
  EXPECT_GE(Clock::now() - start, 20ms);
}

TEST_F(Kqueue, AnotherThreadWakes) {
  const auto [reader, writer] = pipe();
  EXPECT_EQ(apply(reader, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(apply(1, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
  const auto wakes = [this](int filter, const std::function<void()>& wake) {
    std::thread other([&wake] {
      std::this_thread::sleep_for(10ms);
      wake();
    });
    struct kevent event;
    EXPECT_EQ(::kevent(kq_, nullptr, 0, &event, 1, nullptr), 1);
    EXPECT_EQ(event.filter, filter);
    other.join();
  };
  wakes(EVFILT_READ, [&to = writer] { put(to, "a"); });
  wakes(EVFILT_USER, [this] { EXPECT_EQ(apply(1, EVFILT_USER, 0, NOTE_TRIGGER), 0); });
  EXPECT_TRUE(wait().empty());
}

TEST_F(Kqueue, ASignalInterrupts) {
  struct sigaction action{};
  struct sigaction old{};
  action.sa_handler = [](int) {};
  EXPECT_EQ(::sigaction(SIGUSR1, &action, &old), 0);
  std::atomic<bool> over = false;
  std::thread other([&over, main = ::pthread_self()] {
    while (!over) {
      ::pthread_kill(main, SIGUSR1);
      std::this_thread::sleep_for(5ms);
    }
  });
  struct kevent event;
  EXPECT_EQ(::kevent(kq_, nullptr, 0, &event, 1, nullptr), -1);
  EXPECT_EQ(errno, EINTR);
  over = true;
  other.join();
  EXPECT_EQ(::sigaction(SIGUSR1, &old, nullptr), 0);
}

TEST_F(Kqueue, UserEvents) {
  int mine = 5;
  EXPECT_EQ(apply(9, EVFILT_USER, 0, NOTE_TRIGGER), ENOENT);
  EXPECT_EQ(apply(9, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
  EXPECT_TRUE(wait().empty());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(apply(9, EVFILT_USER, 0, NOTE_TRIGGER, &mine), 0);
  EXPECT_TRUE(is_readable(kq_));
  const auto event = only();
  EXPECT_EQ(event.ident, 9u);
  EXPECT_EQ(event.filter, EVFILT_USER);
  EXPECT_EQ(udata_of(event), 5);
  EXPECT_EQ(apply(9, EVFILT_USER, EV_ENABLE), 0);
  EXPECT_TRUE(wait().empty());
  EXPECT_FALSE(is_readable(kq_));
  EXPECT_EQ(apply(8, EVFILT_USER, EV_ADD, NOTE_TRIGGER), 0);
  EXPECT_EQ(only().ident, 8u);
  EXPECT_EQ(only().ident, 8u) << "not EV_CLEAR";
  EXPECT_EQ(apply(8, EVFILT_USER, EV_DELETE), 0);
  EXPECT_FALSE(is_readable(kq_));
}

TEST_F(Kqueue, ThreadsHaveTheirOwn) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int n = 0; n < 50; ++n) {
        const Fd kq(::kqueue());
        const auto [reader, writer] = pipe();
        const auto add = change(reader, EVFILT_READ, EV_ADD);
        struct kevent event;
        put(writer, "a");
        ASSERT_EQ(::kevent(kq, &add, 1, &event, 1, nullptr), 1);
        ASSERT_EQ(event.ident, static_cast<std::uintptr_t>(reader));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Processes -----------------------------------------------------------------------

TEST_F(Kqueue, AProcessExits) {
  auto [reader, writer] = pipe();
  const pid_t pid = child(3, reader);
  EXPECT_EQ(apply(pid, EVFILT_PROC, EV_ADD), EINVAL) << "nothing to wait for";
  EXPECT_EQ(apply(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT), 0);
  EXPECT_TRUE(wait().empty());
  put(writer, "a");
  const auto event = only();
  EXPECT_EQ(event.ident, static_cast<std::uintptr_t>(pid));
  EXPECT_EQ(event.fflags, NOTE_EXIT);
  EXPECT_EQ(event.data, 3 << 8);
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(pid, EVFILT_PROC, EV_DELETE), ENOENT) << "there is no second time";
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid) << "it is still to be waited for";
  EXPECT_EQ(status, event.data);
  EXPECT_EQ(apply(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT), ESRCH);
}

TEST_F(Kqueue, AProcessIsKilledAndAZombieIsReported) {
  const auto [reader, writer] = pipe();
  const pid_t pid = child(0, reader);
  EXPECT_EQ(::kill(pid, SIGKILL), 0);
  wait_for_zombie(pid);
  EXPECT_EQ(apply(pid, EVFILT_PROC, EV_ADD | EV_DISABLE, NOTE_EXIT), 0);
  EXPECT_TRUE(wait(1ms).empty());
  EXPECT_EQ(apply(pid, EVFILT_PROC, EV_ENABLE), 0);
  EXPECT_EQ(only().data, SIGKILL);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
}

TEST_F(Kqueue, AChildIsAKqueueInAKqueue) {
  auto [reader, writer] = pipe();
  Fd inner(::kqueue());
  const pid_t pid = child(0, reader);
  const auto exit = change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT);
  EXPECT_EQ(::kevent(inner, &exit, 1, nullptr, 0, nullptr), 0);
  EXPECT_EQ(apply(inner, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  EXPECT_TRUE(wait().empty());
  put(writer, "a");
  EXPECT_EQ(only().ident, static_cast<std::uintptr_t>(inner));
  EXPECT_TRUE(wait().empty());
  EXPECT_TRUE(is_readable(inner));
  struct kevent event;
  EXPECT_EQ(::kevent(inner, nullptr, 0, &event, 1, nullptr), 1);
  EXPECT_EQ(event.fflags, NOTE_EXIT);
  EXPECT_FALSE(is_readable(inner));
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
}

TEST_F(Kqueue, NestedUserEventsArePassedOn) {
  const Fd inner(::kqueue());
  const auto add = change(1, EVFILT_USER, EV_ADD | EV_CLEAR);
  const auto trigger = change(1, EVFILT_USER, 0, NOTE_TRIGGER);
  EXPECT_EQ(::kevent(inner, &add, 1, nullptr, 0, nullptr), 0);
  EXPECT_EQ(apply(inner, EVFILT_READ, EV_ADD), 0);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(wait().empty());
    EXPECT_EQ(::kevent(inner, &trigger, 1, nullptr, 0, nullptr), 0);
    EXPECT_EQ(only().ident, static_cast<std::uintptr_t>(inner));
    EXPECT_EQ(only().data, 1);
    struct kevent event;
    EXPECT_EQ(::kevent(inner, nullptr, 0, &event, 1, nullptr), 1);
  }
}

// Closing -------------------------------------------------------------------------

TEST_F(Kqueue, ClosingAKqueueLeavesNothingOpen) {
  const auto [reader, writer] = pipe();
  const std::size_t descriptors = open_descriptors();
  std::vector<pid_t> children;
  for (int i = 0; i < 300; ++i) {
    const Fd inner(::kqueue());
    const pid_t pid = child(0);
    const std::array<struct kevent, 3> changes{change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT),
                                               change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER),
                                               change(reader, EVFILT_READ, EV_ADD)};
    ASSERT_EQ(::kevent(inner, changes.data(), 3, nullptr, 0, nullptr), 0);
    EXPECT_EQ(apply(inner, EVFILT_READ, EV_ADD), 0);
    ASSERT_EQ(open_descriptors(), descriptors + 1);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(wait().empty());
}

TEST_F(Kqueue, ManyProcessesAtOnce) {
  auto [reader, writer] = pipe();
  std::set<std::uintptr_t> children;
  for (int i = 0; i < 150; ++i) {
    const pid_t pid = child(0, reader);
    children.insert(static_cast<std::uintptr_t>(pid));
    ASSERT_EQ(apply(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT), 0);
  }
  const auto forgotten = static_cast<pid_t>(*children.begin());
  EXPECT_EQ(apply(forgotten, EVFILT_PROC, EV_DELETE), 0);
  put(writer, "a");
  children.erase(children.begin());
  EXPECT_EQ(::waitpid(forgotten, nullptr, 0), forgotten);
  while (!children.empty()) {
    for (const auto& event : wait(10s)) {
      EXPECT_EQ(children.erase(event.ident), 1u);
      EXPECT_EQ(::waitpid(static_cast<pid_t>(event.ident), nullptr, 0), event.ident);
    }
  }
}

TEST_F(Kqueue, AClosedDescriptorIsForgottenThoughItHasADuplicate) {
  auto [reader, writer] = pipe();
  const int number = reader;
  EXPECT_EQ(apply(number, EVFILT_READ, EV_ADD), 0);
  const Fd duplicate(::dup(number));
  put(writer, "a");
  reader.reset();
  const auto [other, other_writer] = pipe();
  ASSERT_EQ(other, number) << "the number is given again";
  put(other_writer, "abc");
  put(writer, "a");
  EXPECT_TRUE(wait(1ms).empty()) << "nobody has asked for this one";
  EXPECT_EQ(apply(number, EVFILT_READ, EV_DELETE), ENOENT);
  EXPECT_EQ(apply(number, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(only().data, 3);
  put(writer, "a");
  EXPECT_TRUE(wait(1ms).empty()) << "an edge of the old one";
}

TEST_F(Kqueue, AReusedNumberDoesNotReportForTheOldOne) {
  auto [a, b] = socket_pair();
  EXPECT_EQ(apply(a, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  put(b, "a");
  EXPECT_TRUE(is_readable(kq_));
  const int number = a;
  a.reset();
  const auto [reader, writer] = pipe();
  ASSERT_EQ(reader, number);
  put(writer, "a");
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(number, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(only().data, 1);
}

TEST_F(Kqueue, WhatIsClosedIsNotReportedThoughItWasActive) {
  auto [a, b] = socket_pair();
  put(b, "a");
  EXPECT_EQ(apply(a, EVFILT_READ, EV_ADD), 0);
  EXPECT_EQ(apply(a, EVFILT_WRITE, EV_ADD), 0);
  EXPECT_EQ(wait(0ns, 1).size(), 1u);
  const int number = a;
  a.reset();
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(number, EVFILT_READ, EV_DELETE), EBADF);
  EXPECT_FALSE(is_readable(kq_));
}

TEST_F(Kqueue, AReusedNumberIsANewKqueue) {
  EXPECT_EQ(apply(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER), 0);
  const int number = kq_;
  kq_.reset();
  EXPECT_EQ(apply(1, EVFILT_USER, EV_ADD), EBADF);
  kq_ = Fd(::kqueue());
  ASSERT_EQ(kq_, number);
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(apply(1, EVFILT_USER, EV_DELETE), ENOENT);
}

TEST_F(Kqueue, ADuplicateIsTheSameKqueue) {
  EXPECT_EQ(apply(1, EVFILT_USER, EV_ADD), 0);
  kq_ = Fd(::fcntl(kq_, F_DUPFD_CLOEXEC, kq_ + 1));
  EXPECT_EQ(apply(1, EVFILT_USER, 0, NOTE_TRIGGER), 0);
  EXPECT_EQ(only().ident, 1u);
}

// Moods ---------------------------------------------------------------------------

namespace {

// What comes of one question, asked on many systems.
std::set<int> answers(const std::function<int(int kq)>& ask) {
  std::set<int> all;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    wev_kqueue_set_moods(seed);
    const Fd kq(::kqueue());
    all.insert(ask(kq));
  }
  wev_kqueue_set_moods(0);
  return all;
}

int error_of(int kq, const struct kevent& change) {
  return ::kevent(kq, &change, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
}

}  // namespace

TEST_F(Kqueue, SystemsDiffer) {
  auto [reader, writer] = pipe();
  const auto add = [](std::uintptr_t ident, int filter, unsigned fflags = 0) {
    return [=](int kq) { return error_of(kq, change(ident, filter, EV_ADD, fflags)); };
  };
  EXPECT_EQ(answers(add(reader, EVFILT_WRITE)), (std::set{EBADF, EPIPE}));
  EXPECT_EQ(answers(add(writer, EVFILT_READ)), (std::set{0, EBADF}));
  EXPECT_EQ(answers(add(writer, EVFILT_WRITE)), (std::set{0}));
  reader.reset();
  EXPECT_EQ(answers(add(writer, EVFILT_WRITE)), (std::set{0, EPIPE}));
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(answers(add(null, EVFILT_READ)), (std::set{EINVAL, ENODEV}));
  const pid_t pid = child(1);
  wait_for_zombie(pid);
  EXPECT_EQ(answers(add(pid, EVFILT_PROC, NOTE_EXIT)), (std::set{0, ESRCH}));
  const auto status = [pid](unsigned fflags) {
    return answers([=](int kq) {
      if (error_of(kq, change(pid, EVFILT_PROC, EV_ADD, fflags)) != 0) return 1 << 8;
      struct kevent event;
      while (::kevent(kq, nullptr, 0, &event, 1, nullptr) != 1) EXPECT_EQ(errno, EINTR);
      return static_cast<int>(event.data);
    });
  };
  EXPECT_EQ(status(NOTE_EXIT), (std::set{0, 1 << 8}));
  EXPECT_EQ(status(NOTE_EXIT | NOTE_EXITSTATUS), (std::set{1 << 8}));
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  EXPECT_EQ(answers([](int kq) {
              const auto wrong = change(1, EVFILT_TIMER, EV_ADD);
              struct kevent event;
              EXPECT_EQ(::kevent(kq, &wrong, 1, &event, 1, nullptr), 1);
              EXPECT_EQ(event.data, EINVAL);
              return event.flags;
            }),
            (std::set{EV_ERROR, EV_ERROR | EV_ADD}));
}

// All liberties are taken, and with all of them nothing is lost.
TEST_F(Kqueue, MoodsLoseNothing) {
  bool early = false;
  bool interrupted = false;
  bool stale = false;
  bool split = false;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    wev_kqueue_set_moods(seed);
    kq_ = Fd(::kqueue());
    const auto [a, b] = socket_pair();
    const auto [c, d] = socket_pair();
    for (const int fd : {int{a}, int{c}}) {
      ASSERT_EQ(apply(fd, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
      ASSERT_EQ(apply(fd, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    }
    ASSERT_EQ(apply(1, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    std::array<struct kevent, 8> events{};
    const auto wait_some = [&](timespec time) {
      const auto start = Clock::now();
      const int count = ::kevent(kq_, nullptr, 0, events.data(), 8, &time);
      EXPECT_TRUE(count >= 0 || errno == EINTR);
      const auto took = Clock::now() - start;
      early = early || (count == 0 && took < 1s * time.tv_sec + 1ns * time.tv_nsec);
      interrupted = interrupted || count < 0;
      split = split || count == 1;
      const auto some = std::span(events).first(static_cast<std::size_t>(std::max(count, 0)));
      stale = stale || std::ranges::any_of(some, [](const struct kevent& event) {
                return event.filter == EVFILT_READ && event.data == 0;
              });
      return some;
    };
    for (int round = 0; round < 20; ++round) {
      put(b, "x");
      put(d, "x");
      ASSERT_EQ(apply(1, EVFILT_USER, 0, NOTE_TRIGGER), 0);
      std::size_t got = 0;
      int users = 0;
      const auto late = Clock::now() + 10s;
      while ((got < 2 || users < 1) && Clock::now() < late) {
        for (const auto& event : wait_some({1, 0})) {
          if (event.filter == EVFILT_USER) ++users;
          if (event.filter == EVFILT_READ) got += take(static_cast<int>(event.ident));
        }
      }
      ASSERT_EQ(got, 2u);
      ASSERT_EQ(users, 1);
      (void)wait_some({0, 2'000'000});
    }
  }
  EXPECT_TRUE(early && interrupted && stale && split) << early << interrupted << stale << split;
}

}  // namespace wev::test
