// glib.cpp: a wev loop inside GLib's, as a program with GTK would have it.
//
// GLib's main loop owns the thread. A GSource tells it when the wev loop has something to
// do, and turns it then. What belongs to GLib and what belongs to wev run side by side.
//
//   g++ -std=c++23 glib.cpp -lwev -luring $(pkg-config --cflags --libs glib-2.0) && ./a.out
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "wev/io.hpp"
#include "wev/task.hpp"

using namespace std::chrono_literals;

namespace {

// Turns `loop` from the main loop of `context`.
class LoopInGlib {
 public:
  LoopInGlib(wev::Loop& loop, GMainContext* context) : loop_(loop), context_(context) {
    source_ = reinterpret_cast<Source*>(g_source_new(&functions, sizeof(Source)));
    source_->owner = this;
    if (const auto fd = loop.pollable()) {
      descriptor_ = g_source_add_unix_fd(&source_->base, *fd, G_IO_IN);
    }
    loop.set_driver(turn_soon, this);
    g_source_attach(&source_->base, context);
  }
  ~LoopInGlib() {
    g_source_destroy(&source_->base);
    g_source_unref(&source_->base);
    loop_.set_driver(nullptr, nullptr);
  }
  LoopInGlib(const LoopInGlib&) = delete;
  LoopInGlib& operator=(const LoopInGlib&) = delete;

  [[nodiscard]] bool has_descriptor() const { return descriptor_ != nullptr; }
  [[nodiscard]] int turns() const { return turns_; }

 private:
  struct Source {
    GSource base;
    LoopInGlib* owner;
  };
  static LoopInGlib& owner(GSource* source) { return *reinterpret_cast<Source*>(source)->owner; }

  // From any thread. GLib then prepares anew.
  static void turn_soon(void* self) noexcept {
    g_main_context_wakeup(static_cast<LoopInGlib*>(self)->context_);
  }
  // Before GLib sleeps: for how many milliseconds at most?
  static gboolean prepare(GSource* source, int* timeout) {
    wev::Loop& loop = owner(source).loop_;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(loop.next_deadline() - loop.now());
    *timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, G_MAXINT));
    return *timeout == 0;
  }
  // Afterwards: is there something to do?
  static gboolean check(GSource* source) {
    const LoopInGlib& self = owner(source);
    return self.loop_.next_deadline() <= self.loop_.now() ||
           (self.has_descriptor() && g_source_query_unix_fd(source, self.descriptor_) != 0);
  }
  static gboolean dispatch(GSource* source, GSourceFunc, void*) {
    ++owner(source).turns_;
    return owner(source).loop_.tick(wev::RunMode::no_wait) ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
  }
  static inline GSourceFuncs functions{prepare, check, dispatch, nullptr, nullptr, nullptr};

  wev::Loop& loop_;
  GMainContext* context_;
  Source* source_;
  void* descriptor_ = nullptr;  // without one the next deadline comes soon
  int turns_ = 0;
};

// Of wev: sends back what comes, to its end.
wev::Task<wev::Expected<void>> echo(wev::Stream stream) {
  std::byte buffer[64];
  while (const std::size_t size = co_await wev::ok(stream.read_some(buffer))) {
    co_await wev::ok(stream.write_all(std::span(buffer).first(size)));
  }
  co_return {};
}
wev::Task<int> beat() {
  int beats = 0;
  while (beats < 5 && co_await wev::sleep(10ms)) ++beats;
  co_return beats;
}

// Of GLib: sends something, and again when that has come back.
struct Client {
  int fd;
  int echoes = 0;
  int beats = 0;

  void send() const { (void)!::write(fd, "ping", 4); }

  static gboolean on_readable(int fd, GIOCondition, void* self) {
    auto& client = *static_cast<Client*>(self);
    char buffer[64];
    if (::read(fd, buffer, sizeof buffer) <= 0) return G_SOURCE_REMOVE;
    if (++client.echoes < 5) {
      client.send();
    } else {
      ::shutdown(fd, SHUT_WR);
    }
    return G_SOURCE_CONTINUE;
  }
  static gboolean on_beat(void* self) {
    return ++static_cast<Client*>(self)->beats < 5 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
  }
};

}  // namespace

int main() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    std::perror("glib: making sockets");
    return 1;
  }
  GMainLoop* main_loop = g_main_loop_new(nullptr, FALSE);
  Client client{ends[1]};
  g_unix_fd_add(client.fd, G_IO_IN, Client::on_readable, &client);
  g_timeout_add(10, Client::on_beat, &client);
  client.send();

  wev::Loop loop;
  const LoopInGlib in_glib(loop, nullptr);
  if (!in_glib.has_descriptor()) std::puts("the loop has no descriptor: it is asked by time");
  wev::Async heard(loop);
  std::thread other([&heard] { heard.notify(); });
  wev::Root program(loop,
                    wev::as_task(wev::when_all(echo(wev::Stream(loop, ends[0])), beat(), heard)));
  program.on_done([main_loop] { g_main_loop_quit(main_loop); });
  g_main_loop_run(main_loop);

  other.join();
  loop.detach(heard);
  const auto [echoed, beats, notified] = program.take();
  std::printf("%d echoes, %d beats of wev, %s of GLib, %s\n", client.echoes, beats,
              client.beats >= 3 ? "as many" : "too few", notified ? "notified" : "not notified");
  std::fprintf(stderr, "%d turns\n", in_glib.turns());
  ::close(client.fd);
  g_main_loop_unref(main_loop);
  if (!echoed) std::fprintf(stderr, "glib: %s\n", echoed.error().message().c_str());
  if (std::fflush(stdout) != 0) {
    std::perror("glib: printing");
    return 1;
  }
  return echoed && loop.done() ? 0 : 1;
}
