// world.hpp: descriptors in memory: pipes, files and stream sockets.
//
// What the simulated backend and the tests' simulated WASI host share. Nothing
// here blocks: where a system would, the result is
// resource_unavailable_try_again. Numbers are reused lowest first, at once, as
// systems do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/random.hpp"
#include "wev/base/address.hpp"
#include "wev/base/error.hpp"
#include "wev/loop/operation.hpp"
#include "wev/sim/sim.hpp"
#include "wev/sys/spawn.hpp"
#include "wev/sys/system.hpp"

namespace wev {

class World final : public System {
 public:
  enum class Kind : std::uint8_t { pipe, file, socket, listener, datagram, signal, process };

  /// With `short_transfers` reads and writes move fewer bytes than they could,
  /// as `random` decides. Descriptors are numbered from `first_fd`.
  World(Random& random, bool short_transfers, int first_fd);

  /// {read end, write end}
  std::pair<int, int> pipe(std::size_t capacity);
  std::pair<int, int> socket_pair(std::size_t capacity);
  /// Of no name.
  int file(std::string_view contents);
  /// A stream socket that listens at an address of its own.
  int listen();
  /// A connection to a listener: the client's end.
  int connect(int listener, std::size_t capacity);

  [[nodiscard]] bool is_open(int fd) const noexcept;
  [[nodiscard]] Kind kind(int fd) const noexcept;
  /// Whether poll would say that it is ready.
  [[nodiscard]] bool ready(int fd, Direction direction) const noexcept;
  /// Whether perform() would not block, be it that it would fail.
  [[nodiscard]] bool ready(const Operation& operation);
  /// How many bytes a pipe or socket takes now; any number for what never
  /// blocks or fails.
  [[nodiscard]] std::size_t room(int fd) const noexcept;
  /// Whether nobody will read what is written.
  [[nodiscard]] bool hung_up(int fd) const noexcept;
  [[nodiscard]] std::string contents(int fd) const;
  [[nodiscard]] std::size_t open_descriptors() const noexcept;

  /// Carries an operation out here.
  Result perform(const Operation& operation) { return operation.perform(this); }

  // As a system would, at once; see System.
  Expected<DescriptorTraits> examine(int fd, bool set_nonblocking) override;
  Result read(int fd, std::span<std::byte> buffer) override;
  Result readv(int fd, std::span<const IoVec> buffers) override;
  Result pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) override;
  Result write(int fd, std::span<const std::byte> buffer) override;
  Result writev(int fd, std::span<const IoVec> buffers) override;
  Result pwrite(int fd, std::span<const std::byte> buffer, std::uint64_t offset) override;
  Result poll(int fd, Direction direction) override;
  Result open(int directory, const char* path, std::uint32_t flags, std::uint32_t mode) override;
  Result pipe(std::span<int, 2> ends) override;
  Result duplicate(int fd) override;
  Result close(int fd) override;
  Result size(int fd) override;
  Result fsync(int fd) override;
  Result socket(SocketFamily family, SocketType type) override;
  Result bind(int fd, const Address& address) override;
  Result listen(int fd, std::uint32_t backlog) override;
  Result local_address(int fd, Address& address) override;
  Result remote_address(int fd, Address& address) override;
  Result set_option(int fd, SocketOption option, int value) override;
  Result connect(int fd, const Address& address) override;
  Result accept(int fd) override;
  Result recv(int fd, std::span<std::byte> buffer, std::uint32_t flags) override;
  Result recv_from(int fd, std::span<std::byte> buffer, Address& from) override;
  Result send(int fd, std::span<const std::byte> buffer) override;
  Result send_to(int fd, std::span<const std::byte> buffer, const Address& to) override;
  Result shutdown(int fd, Shutdown how) override;
  Result watch_signal(int signal) override;
  Result wait_signal(int fd) override;
  Result unwatch_signal(int fd) override;

  Result spawn(Spawn& spawn) override;
  Result wait_process(int fd, int pid) override;
  Result kill_process(int fd, int pid, int signal) override;
  Result release_process(int fd, int pid) override;

  /// A signal comes. false: nobody watches it.
  bool raise(int signal) noexcept;

  // Children; see Sim.
  using Play = std::function<Expected<void>(const Sim::Child& child)>;
  void on_spawn(Play play, std::size_t pipe_capacity);
  /// false: no such child runs.
  bool exit(int pid, std::size_t status);
  [[nodiscard]] bool runs(int pid) const noexcept;
  Result kill(int pid, int signal);
  void on_kill(int pid, std::function<void(int signal)> handle);

  /// The next operation on `fd` that is carried out fails with this.
  void fail_next(int fd, Error error);

 private:
  // Bytes on their way in one direction.
  struct Stream {
    std::vector<std::byte> ring;
    std::size_t first = 0;
    std::size_t size = 0;
    bool write_end_open = true;
    bool read_end_open = true;
    bool reset = false;  // the other side closed without having read all
  };
  struct Inode {
    std::vector<std::byte> bytes;
  };
  struct Datagram {
    Address from;
    std::vector<std::byte> bytes;
  };
  struct Open {
    Kind kind;
    std::shared_ptr<Stream> in;
    std::shared_ptr<Stream> out;
    std::shared_ptr<Inode> inode;
    std::size_t position = 0;
    // Of files.
    bool reads = true;
    bool writes = true;
    bool appends = false;
    // Of signals; 0: it is watched no more.
    int signal = 0;
    std::size_t times = 0;
    // Of processes.
    int pid = 0;
    // Of sockets.
    SocketFamily family = SocketFamily::ipv4;
    Address local;
    Address remote;
    bool resets = false;  // lingers for 0 s
    bool ended = false;   // with the child that had it; its number is still taken
    bool reuse_address = false;
    bool reuse_port = false;
    bool accepted = false;  // its address is its listener's
    std::size_t backlog_limit = 0;
    std::deque<std::shared_ptr<Open>> backlog;
    std::deque<Datagram> datagrams;
    std::deque<Error> faults;
  };

  using Opened = std::shared_ptr<Open>;

  struct Child {
    // Its own ends. What stands at a number by now may be somebody else's.
    std::array<int, 3> stdio{-1, -1, -1};
    std::array<std::weak_ptr<Open>, 3> opened;
    std::optional<std::size_t> status;  // once it has ended
    bool released = false;
    std::shared_ptr<std::function<void(int signal)>> handle;
  };

  int install(Opened open);
  static std::pair<Opened, Opened> connected(std::size_t capacity);
  static void hang_up(Open& open) noexcept;
  [[nodiscard]] Open* find(int fd) const noexcept;
  Expected<int> give(ChildStdio& stdio, bool child_reads);
  [[nodiscard]] bool has_own(const Child& child, std::size_t i) const noexcept;
  [[nodiscard]] Child* running(int pid) noexcept;
  std::size_t some_of(std::size_t size);

  /// What an operation is on, or how it fails at once.
  Expected<Open*> use(int fd);
  Expected<Open*> use_socket(int fd);
  Expected<Open*> use_file(int fd, std::uint64_t offset, bool Open::* opened_for);

  Result take(Open& open, std::span<std::byte> buffer, bool peek);
  Result put(Open& open, std::span<const std::byte> buffer);
  Result receive_datagram(Open& open, std::span<std::byte> buffer, Address& from, bool peek);
  Result send_datagram(Open& open, std::span<const std::byte> buffer, const Address& to);
  [[nodiscard]] Open* bound_to(const Address& address, Kind kind) const noexcept;
  [[nodiscard]] bool is_taken(const Address& address, const Open& by) const noexcept;
  [[nodiscard]] Address free_address(SocketFamily family) noexcept;
  void name(Open& open);

  Random& random_;
  bool short_transfers_;
  int first_fd_;
  std::vector<Opened> table_;
  std::map<std::string, std::shared_ptr<Inode>, std::less<>> files_;
  std::uint16_t next_port_ = 40'000;
  std::shared_ptr<Play> play_;  // from the first on_spawn() on
  std::size_t pipe_capacity_ = 0;
  std::map<int, Child> children_;
  int next_pid_ = 1'000;
  bool only_asking_ = false;  // see ready(): nothing that is done has an effect
  static constexpr std::size_t socket_capacity = 65'536;
  static constexpr std::size_t largest_file = std::size_t{1} << 30;
  static constexpr std::size_t longest_name = 255;
};

}  // namespace wev
