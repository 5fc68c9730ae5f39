// world.hpp: descriptors in memory: pipes, files and stream sockets.
//
// What the simulated backend and the tests' simulated WASI host share. Nothing
// here blocks: where a system would, the result is
// resource_unavailable_try_again. Numbers are reused lowest first, at once, as
// systems do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/random.hpp"
#include "wev/base/address.hpp"
#include "wev/base/error.hpp"
#include "wev/loop/operation.hpp"

namespace wev {

class World {
 public:
  enum class Kind : std::uint8_t { pipe, file, socket, listener, datagram };

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
  [[nodiscard]] bool ready(const Operation& operation) const noexcept;
  /// How many bytes a pipe or socket takes now; any number for what never
  /// blocks or fails.
  [[nodiscard]] std::size_t room(int fd) const noexcept;
  /// Whether nobody will read what is written.
  [[nodiscard]] bool hung_up(int fd) const noexcept;
  [[nodiscard]] std::string contents(int fd) const;
  [[nodiscard]] std::size_t open_descriptors() const noexcept;

  /// Carries out any operation on a descriptor, as a system would, at once.
  Result perform(const Operation& operation);

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
    // Of sockets.
    SocketFamily family = SocketFamily::ipv4;
    Address local;
    Address remote;
    bool resets = false;  // lingers for 0 s
    std::size_t backlog_limit = 0;
    std::deque<std::unique_ptr<Open>> backlog;
    std::deque<Datagram> datagrams;
    std::deque<Error> faults;
  };

  int install(std::unique_ptr<Open> open);
  [[nodiscard]] static bool is_refused(const Open& open, const Operation& operation) noexcept;
  static std::pair<std::unique_ptr<Open>, std::unique_ptr<Open>> connected(std::size_t capacity);
  static void hang_up(Open& open) noexcept;
  [[nodiscard]] Open* find(int fd) const noexcept;
  std::size_t some_of(std::size_t size);

  Result read(Open& open, std::span<std::byte> buffer, bool peek);
  Result write(Open& open, std::span<const std::byte> buffer);
  static Result read_at(Open& open, std::span<std::byte> buffer, std::size_t offset);
  static Result write_at(Open& open, std::span<const std::byte> buffer, std::size_t offset);
  Result open_file(const Operation& operation);
  Result transfer(Open& open, const Operation& operation);

  Result socket(std::uint32_t flags);
  Result bind(Open& open, const Address& address);
  Result listen(Open& open, std::size_t backlog);
  Result connect(Open& open, const Address& address);
  Result accept(Open& open);
  Result accept_many(Open& open, std::span<int> connections);
  static Result shutdown(Open& open, Shutdown how);
  Result send_to(Open& open, std::span<const std::byte> buffer, const Address& to);
  static Result receive_from(Open& open, std::span<std::byte> buffer, Address& from);
  [[nodiscard]] Open* bound_to(const Address& address, Kind kind) const noexcept;
  [[nodiscard]] Address free_address(SocketFamily family) noexcept;
  void name(Open& open);

  Random& random_;
  bool short_transfers_;
  int first_fd_;
  std::vector<std::unique_ptr<Open>> table_;
  std::map<std::string, std::shared_ptr<Inode>, std::less<>> files_;
  std::uint16_t next_port_ = 40'000;
  static constexpr std::size_t socket_capacity = 65'536;
};

}  // namespace wev
