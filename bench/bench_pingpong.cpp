// bench_pingpong: one message goes to and fro over TCP on 127.0.0.1.
//
// Both ends are in one loop on one thread, "PING\n" is the only thing in flight,
// and an operation is one round trip: two sends and two receives, each checked.
// Connecting is not measured. Buffers are larger than the message, so that who
// knows about short receives can use it.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "bench.hpp"
#include "fd.hpp"
#include "wev/backend/backends.hpp"
#include "wev/io/socket.hpp"
#include "wev/loop/loop.hpp"
#include "wev/task.hpp"
#ifdef WEV_BENCH_HAS_LIBURING
#include <liburing.h>
#endif
#ifdef WEV_BENCH_HAS_LIBUV
#include <uv.h>
#endif
#ifdef WEV_BENCH_HAS_ASIO
#include <asio.hpp>
#endif

namespace {

using bench::Outcome;
using bench::Trial;

constexpr std::string_view ping = "PING\n";

// One end of the connection, and how much of a message it has.
struct End {
  bench::Fd fd;
  std::array<char, 64> buffer{};
  std::size_t received = 0;
};

// The rules, the same for everybody: an end that has the whole message sends it
// back, until the client has had it `size` times.
class Game {
 public:
  Game(const Trial& trial, int socket_flags) : left_(trial.size()) {
    bench::FdPair pair = bench::connected_pair(socket_flags);
    failed_ = !pair.valid();
    client.fd = std::move(pair.first);
    server.fd = std::move(pair.second);
  }

  /// `end` has received `size` bytes into its buffer. true: it has to send.
  bool take(End& end, std::size_t size) noexcept {
    const bool right = size > 0 && end.received + size <= ping.size() &&
                       std::memcmp(end.buffer.data(), ping.data() + end.received, size) == 0;
    if (!right) failed_ = true;
    end.received += size;
    if (failed_ || end.received < ping.size()) return false;
    end.received = 0;
    if (&end == &client) --left_;
    return left_ > 0;
  }
  /// A send has moved `size` bytes.
  void check_sent(std::size_t size) noexcept {
    if (size != ping.size()) failed_ = true;
  }
  void fail() noexcept { failed_ = true; }

  [[nodiscard]] bool over() const noexcept { return failed_ || left_ == 0; }
  [[nodiscard]] Outcome outcome() const noexcept {
    return failed_ ? Outcome::wrong : Outcome::right;
  }

  End client;
  End server;

 private:
  std::size_t left_;
  bool failed_ = false;
};

// Raw epoll ------------------------------------------------------------------------

void send_ping(Game& game, const End& end) {
  const ssize_t sent = ::send(end.fd.get(), ping.data(), ping.size(), MSG_NOSIGNAL);
  game.check_sent(static_cast<std::size_t>(sent));
}

// Until the socket is empty: a short receive says so, edge-triggered or not.
void receive_all(Game& game, End& end) {
  while (!game.over()) {
    const ssize_t size = ::recv(end.fd.get(), end.buffer.data(), end.buffer.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return game.fail();
    if (game.take(end, static_cast<std::size_t>(size))) send_ping(game, end);
    if (static_cast<std::size_t>(size) < end.buffer.size()) return;
  }
}

Outcome raw_epoll(Trial& trial) {
  Game game(trial, SOCK_NONBLOCK);
  const bench::Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  for (End* end : {&game.client, &game.server}) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = end;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, end->fd.get(), &event) != 0) game.fail();
  }
  trial.start();
  if (!game.over()) send_ping(game, game.client);
  while (!game.over()) {
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(epoll.get(), events.data(), events.size(), -1);
    if (count < 0 && errno != EINTR) game.fail();
    for (int i = 0; i < count; ++i) receive_all(game, *static_cast<End*>(events[i].data.ptr));
  }
  trial.stop();
  return game.outcome();
}

// Raw io_uring ---------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_LIBURING
class RawRing {
 public:
  RawRing() {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    works_ = ::io_uring_queue_init_params(64, &ring_, &params) == 0;
  }
  ~RawRing() {
    if (works_) ::io_uring_queue_exit(&ring_);
  }
  RawRing(const RawRing&) = delete;
  RawRing& operator=(const RawRing&) = delete;

  [[nodiscard]] bool works() const noexcept { return works_; }

  void prepare_send(const End& end) {
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_send(sqe, end.fd.get(), ping.data(), ping.size(), MSG_NOSIGNAL);
    ::io_uring_sqe_set_data(sqe, nullptr);
  }
  // The answer cannot be there yet, so it is not tried before it is waited for.
  void prepare_receive(End& end) {
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_recv(sqe, end.fd.get(), end.buffer.data(), end.buffer.size(), 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    ::io_uring_sqe_set_data(sqe, &end);
  }

  /// Submits what was prepared, waits for one completion and takes all there are.
  void turn(Game& game) {
    const int submitted = ::io_uring_submit_and_wait(&ring_, 1);
    if (submitted < 0 && submitted != -EINTR) return game.fail();
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      take(game, *cqe);
      ++seen;
    }
    ::io_uring_cq_advance(&ring_, seen);
  }

 private:
  void take(Game& game, const io_uring_cqe& cqe) {
    auto* end = static_cast<End*>(::io_uring_cqe_get_data(&cqe));
    if (cqe.res < 0) return game.fail();
    const auto size = static_cast<std::size_t>(cqe.res);
    if (end == nullptr) return game.check_sent(size);
    if (game.take(*end, size)) prepare_send(*end);
    if (!game.over()) prepare_receive(*end);
  }

  io_uring ring_{};
  bool works_ = false;
};

Outcome raw_io_uring(Trial& trial) {
  Game game(trial, 0);
  RawRing ring;
  if (!ring.works()) return Outcome::unavailable;
  trial.start();
  if (!game.over()) {
    ring.prepare_receive(game.server);
    ring.prepare_receive(game.client);
    ring.prepare_send(game.client);
  }
  while (!game.over()) ring.turn(game);
  trial.stop();
  return game.outcome();
}
#else
constexpr bench::Run raw_io_uring = bench::not_built;
#endif

// wev ------------------------------------------------------------------------------

struct WevEnd {
  Game& game;
  End& end;
  wev::Completion receiving, sending;

  void receive(wev::Loop& loop) {
    loop.add(receiving, wev::op::recv(end.fd.get(), std::as_writable_bytes(std::span(end.buffer))),
             this, on_received);
  }
  void send(wev::Loop& loop) {
    loop.add(sending, wev::op::send(end.fd.get(), std::as_bytes(std::span(ping))), this, on_sent);
  }

  static wev::Action on_received(void* self, wev::Loop& loop, wev::Completion&, wev::Result size) {
    auto& at = *static_cast<WevEnd*>(self);
    if (at.game.over()) return wev::Action::disarm;  // drained
    if (at.game.take(at.end, size.value_or(0))) at.send(loop);
    if (!at.game.over()) return wev::Action::rearm;
    loop.stop();
    return wev::Action::disarm;
  }
  static wev::Action on_sent(void* self, wev::Loop& loop, wev::Completion&, wev::Result size) {
    Game& game = static_cast<WevEnd*>(self)->game;
    game.check_sent(size.value_or(0));
    if (game.over()) loop.stop();
    return wev::Action::disarm;
  }
};

template <wev::BackendKind kind>
Outcome on_wev(Trial& trial) {
  auto backend = wev::make_backend({.kind = kind});
  if (!backend) return Outcome::unavailable;
  Game game(trial, SOCK_NONBLOCK);  // as those that wev makes
  wev::Loop loop(std::move(*backend));
  WevEnd client{game, game.client, {}, {}};
  WevEnd server{game, game.server, {}, {}};
  trial.start();
  server.receive(loop);
  client.receive(loop);
  client.send(loop);
  const bool ran = game.over() || loop.run().has_value();
  trial.stop();
  const bool drained = loop.drain().has_value();
  return ran && drained ? game.outcome() : Outcome::wrong;
}

// The same as tasks: one for each end.
wev::Task<> play(Game& game, End& end, wev::Loop& loop, bool begins) {
  const wev::StreamSocket socket(loop, end.fd.release());
  const auto message = std::as_bytes(std::span(ping));
  for (bool sends = begins;; sends = true) {
    if (sends) game.check_sent((co_await socket.write_all(message)).value_or(0));
    bool whole = false;
    while (!whole && !game.over()) {
      const auto size = co_await socket.read_some(std::as_writable_bytes(std::span(end.buffer)));
      whole = !game.over() && game.take(end, size.value_or(0));
    }
    if (game.over()) co_return;
  }
}

template <wev::BackendKind kind>
Outcome on_wev_tasks(Trial& trial) {
  auto backend = wev::make_backend({.kind = kind});
  if (!backend) return Outcome::unavailable;
  Game game(trial, SOCK_NONBLOCK);
  wev::Loop loop(std::move(*backend));
  trial.start();
  const auto first = wev::run(loop, wev::when_any(play(game, game.server, loop, false),
                                                  play(game, game.client, loop, true)));
  trial.stop();
  const bool drained = loop.drain().has_value();
  return first && drained ? game.outcome() : Outcome::wrong;
}

// libuv ----------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_LIBUV
struct UvEnd {
  Game& game;
  End& end;
  UvEnd* peer = nullptr;
  uv_tcp_t tcp{};
  uv_write_t write{};

  void open(uv_loop_t& loop) {
    tcp.data = this;
    write.data = this;
    if (::uv_tcp_init(&loop, &tcp) != 0) game.fail();
    if (::uv_tcp_open(&tcp, end.fd.release()) != 0) game.fail();
    if (::uv_read_start(stream(), on_allocate, on_read) != 0) game.fail();
  }
  void send() {
    const uv_buf_t buffer = ::uv_buf_init(const_cast<char*>(ping.data()), ping.size());
    if (::uv_write(&write, stream(), &buffer, 1, on_written) != 0) game.fail();
  }
  void close() {
    auto* handle = reinterpret_cast<uv_handle_t*>(&tcp);
    if (::uv_is_closing(handle) == 0) ::uv_close(handle, nullptr);
  }
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&tcp); }

  void end_if_over() {
    if (!game.over()) return;
    close();
    peer->close();
  }

  static void on_allocate(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    auto& space = static_cast<UvEnd*>(handle->data)->end.buffer;
    *buffer = ::uv_buf_init(space.data(), space.size());
  }
  static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t*) {
    if (size == 0) return;  // would block
    auto& self = *static_cast<UvEnd*>(stream->data);
    if (self.game.take(self.end, size < 0 ? 0 : static_cast<std::size_t>(size))) self.send();
    self.end_if_over();
  }
  static void on_written(uv_write_t* write, int status) {
    auto& self = *static_cast<UvEnd*>(write->data);
    if (status != 0 && !self.game.over()) self.game.fail();
    self.end_if_over();
  }
};

Outcome libuv(Trial& trial) {
  Game game(trial, SOCK_NONBLOCK);
  uv_loop_t loop;
  if (::uv_loop_init(&loop) != 0) return Outcome::unavailable;
  UvEnd client{game, game.client};
  UvEnd server{game, game.server, &client};
  client.peer = &server;
  client.open(loop);
  server.open(loop);
  trial.start();
  client.send();
  ::uv_run(&loop, UV_RUN_DEFAULT);
  trial.stop();
  const bool closed = ::uv_loop_close(&loop) == 0;
  return closed ? game.outcome() : Outcome::wrong;
}
#else
constexpr bench::Run libuv = bench::not_built;
#endif

// Asio -----------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_ASIO
struct AsioEnd {
  AsioEnd(asio::io_context& its_io, Game& its_game, End& its_end)
      : io(its_io),
        game(its_game),
        end(its_end),
        socket(io, asio::ip::tcp::v4(), end.fd.release()) {}

  void receive() {
    socket.async_receive(asio::buffer(end.buffer),
                         [this](const asio::error_code& error, std::size_t size) {
                           if (game.take(end, error ? 0 : size)) send();
                           if (!game.over()) return receive();
                           io.stop();
                         });
  }
  void send() {
    socket.async_send(asio::buffer(ping), [this](const asio::error_code& error, std::size_t size) {
      game.check_sent(error ? 0 : size);
      if (game.over()) io.stop();
    });
  }

  asio::io_context& io;
  Game& game;
  End& end;
  asio::ip::tcp::socket socket;
};

asio::awaitable<void> play(AsioEnd& at, bool begins) {
  for (bool sends = begins;; sends = true) {
    if (sends) {
      at.game.check_sent(co_await at.socket.async_send(asio::buffer(ping), asio::use_awaitable));
    }
    bool whole = false;
    while (!whole && !at.game.over()) {
      const std::size_t size =
          co_await at.socket.async_receive(asio::buffer(at.end.buffer), asio::use_awaitable);
      whole = at.game.take(at.end, size);
    }
    if (at.game.over()) break;
  }
  at.io.stop();
}

Outcome asio_coroutines(Trial& trial) {
  Game game(trial, SOCK_NONBLOCK);
  asio::io_context io(1);
  AsioEnd client(io, game, game.client);
  AsioEnd server(io, game, game.server);
  trial.start();
  asio::co_spawn(io, play(server, false), asio::detached);
  asio::co_spawn(io, play(client, true), asio::detached);
  io.run();
  trial.stop();
  return game.over() ? game.outcome() : Outcome::wrong;
}

Outcome asio_callbacks(Trial& trial) {
  Game game(trial, SOCK_NONBLOCK);
  asio::io_context io(1);
  AsioEnd client(io, game, game.client);
  AsioEnd server(io, game, game.server);
  trial.start();
  server.receive();
  client.receive();
  client.send();
  io.run();
  trial.stop();
  return game.over() ? game.outcome() : Outcome::wrong;
}
#else
constexpr bench::Run asio_callbacks = bench::not_built;
constexpr bench::Run asio_coroutines = bench::not_built;
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {.size = 200'000, .tiny_size = 500});
  bench::Contest contest("ping-pong over TCP, both ends in one loop", "round trip", options);
  contest.add("raw epoll", raw_epoll);
  contest.add("raw io_uring", raw_io_uring);
  contest.add("wev epoll", on_wev<wev::BackendKind::epoll>, "raw epoll");
  contest.add("wev io_uring", on_wev<wev::BackendKind::io_uring>, "raw io_uring");
  contest.add("wev epoll, tasks", on_wev_tasks<wev::BackendKind::epoll>, "raw epoll");
  contest.add("wev io_uring, tasks", on_wev_tasks<wev::BackendKind::io_uring>, "raw io_uring");
  contest.add("libuv", libuv, "raw epoll");
  contest.add("Asio", asio_callbacks, "raw epoll");
  contest.add("Asio, coroutines", asio_coroutines, "raw epoll");
  return contest.run() ? 0 : 1;
}
