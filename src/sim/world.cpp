#include "sim/world.hpp"

#include <algorithm>
#include <cstring>

#include "backend/readiness.hpp"
#include "wev/base/assert.hpp"

namespace wev {

World::World(Random& random, bool short_transfers, int first_fd)
    : random_(random), short_transfers_(short_transfers), first_fd_(first_fd) {}

// Making ------------------------------------------------------------------------

int World::install(std::unique_ptr<Open> open) {
  auto place = std::ranges::find_if(table_, [](const auto& taken) { return taken == nullptr; });
  if (place == table_.end()) place = table_.insert(table_.end(), nullptr);
  *place = std::move(open);
  return first_fd_ + static_cast<int>(place - table_.begin());
}

std::pair<int, int> World::pipe(std::size_t capacity) {
  auto stream = std::make_shared<Stream>();
  stream->ring.resize(capacity);
  auto read_end = std::make_unique<Open>();
  read_end->kind = Kind::pipe;
  read_end->in = stream;
  auto write_end = std::make_unique<Open>();
  write_end->kind = Kind::pipe;
  write_end->out = stream;
  const int first = install(std::move(read_end));
  return {first, install(std::move(write_end))};
}

std::pair<std::unique_ptr<World::Open>, std::unique_ptr<World::Open>> World::connected(
    std::size_t capacity) {
  auto there = std::make_shared<Stream>();
  auto back = std::make_shared<Stream>();
  there->ring.resize(capacity);
  back->ring.resize(capacity);
  auto first = std::make_unique<Open>();
  first->kind = Kind::socket;
  first->in = back;
  first->out = there;
  auto second = std::make_unique<Open>();
  second->kind = Kind::socket;
  second->in = there;
  second->out = back;
  return {std::move(first), std::move(second)};
}

std::pair<int, int> World::socket_pair(std::size_t capacity) {
  auto [first, second] = connected(capacity);
  const int fd = install(std::move(first));
  return {fd, install(std::move(second))};
}

int World::file(std::string_view contents) {
  auto open = std::make_unique<Open>();
  open->kind = Kind::file;
  open->inode = std::make_shared<Inode>();
  const auto bytes = std::as_bytes(std::span(contents));
  open->inode->bytes.assign(bytes.begin(), bytes.end());
  return install(std::move(open));
}

int World::listen() {
  auto open = std::make_unique<Open>();
  open->kind = Kind::listener;
  open->local = free_address(open->family);
  open->backlog_limit = SIZE_MAX;
  return install(std::move(open));
}

int World::connect(int listener, std::size_t capacity) {
  Open* open = find(listener);
  WEV_ASSERT(open != nullptr && open->kind == Kind::listener, "connect: not a listener");
  auto [client, server] = connected(capacity);
  client->remote = server->local = open->local;
  client->local = server->remote = free_address(open->family);
  open->backlog.push_back(std::move(server));
  return install(std::move(client));
}

// Looking -----------------------------------------------------------------------

World::Open* World::find(int fd) const noexcept {
  const auto i = static_cast<std::size_t>(fd - first_fd_);
  return fd >= first_fd_ && i < table_.size() ? table_[i].get() : nullptr;
}

bool World::is_open(int fd) const noexcept { return find(fd) != nullptr; }

World::Kind World::kind(int fd) const noexcept { return find(fd)->kind; }

bool World::hung_up(int fd) const noexcept {
  const Open* open = find(fd);
  return open != nullptr && open->out != nullptr && !open->out->read_end_open;
}

std::size_t World::open_descriptors() const noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(table_, [](const auto& open) { return open != nullptr; }));
}

std::string World::contents(int fd) const {
  const auto& bytes = find(fd)->inode->bytes;
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool World::ready(int fd, Direction direction) const noexcept {
  const Open* open = find(fd);
  if (open == nullptr || !open->faults.empty() || open->kind == Kind::file ||
      direction == Direction::unordered) {
    return true;
  }
  if (open->kind == Kind::listener) {
    return direction != Direction::in || !open->backlog.empty();
  }
  if (open->kind == Kind::datagram) {
    return direction != Direction::in || !open->datagrams.empty();
  }
  if (direction == Direction::in) {
    return open->in == nullptr || open->in->size > 0 || !open->in->write_end_open;
  }
  return room(fd) > 0;
}

bool World::ready(const Operation& operation) const noexcept {
  if (!operation.on_descriptor() || !operation.has(waits)) return true;
  const Open* open = find(operation.io.fd);
  if (open == nullptr || is_refused(*open, operation) || transfers_nothing(operation)) return true;
  switch (operation.kind()) {
    case OperationKind::connect: {
      const Open* listener = bound_to(*operation.io.address, Kind::listener);
      return listener == nullptr || listener->backlog.size() < listener->backlog_limit;
    }
    case OperationKind::accept:
    case OperationKind::accept_many:
      if (open->kind != Kind::listener) return true;
      break;
    case OperationKind::poll: break;
    case OperationKind::wait_process:
    case OperationKind::wait_signal: return true;  // the world has none
    default:
      if (open->kind == Kind::listener) return true;
  }
  return ready(operation.io.fd, operation.type->direction);
}

// Socket operations on what is none.
bool World::is_refused(const Open& open, const Operation& operation) noexcept {
  return operation.has(on_socket) && (open.kind == Kind::pipe || open.kind == Kind::file);
}

std::size_t World::room(int fd) const noexcept {
  const Open* open = find(fd);
  if (open == nullptr || open->out == nullptr || !open->out->read_end_open) return SIZE_MAX;
  return open->out->ring.size() - open->out->size;
}

// Doing -------------------------------------------------------------------------

void World::fail_next(int fd, Error error) { find(fd)->faults.push_back(error); }

Result World::perform(const Operation& operation) {
  switch (operation.kind()) {
    case OperationKind::run_blocking: return operation.type->perform(operation);
    case OperationKind::open: return open_file(operation);
    case OperationKind::socket: return socket(operation.io.flags);
    case OperationKind::pipe: {
      const auto [reader, writer] = pipe(socket_capacity);
      auto* ends = reinterpret_cast<int*>(operation.io.data);
      ends[0] = reader;
      ends[1] = writer;
      return 0;
    }
    case OperationKind::spawn:
    case OperationKind::watch_signal: return std::unexpected(std::errc::operation_not_supported);
    default: break;
  }
  const auto& io = operation.io;
  Open* open = find(io.fd);
  if (open == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  if (!open->faults.empty() && operation.kind() != OperationKind::close) {
    const Error fault = open->faults.front();
    open->faults.pop_front();
    return std::unexpected(fault);
  }
  if (is_refused(*open, operation)) return std::unexpected(std::errc::not_a_socket);
  const std::span<std::byte> buffer(io.data, io.size);
  switch (operation.kind()) {
    case OperationKind::poll:
      if (!ready(io.fd, operation.type->direction)) break;
      return operation.type->direction == Direction::in ? readable : writable;
    case OperationKind::read:
    case OperationKind::readv:
    case OperationKind::write:
    case OperationKind::writev: return transfer(*open, operation);
    case OperationKind::pread: return read_at(*open, buffer, static_cast<std::size_t>(io.offset));
    case OperationKind::pwrite: return write_at(*open, buffer, static_cast<std::size_t>(io.offset));
    case OperationKind::recv: return read(*open, buffer, (io.flags & recv_peek) != 0);
    case OperationKind::send: return write(*open, buffer);
    case OperationKind::accept: return accept(*open);
    case OperationKind::accept_many:
      return accept_many(*open, {reinterpret_cast<int*>(io.data), io.size});
    case OperationKind::bind: return bind(*open, *io.address);
    case OperationKind::listen: return listen(*open, io.flags);
    case OperationKind::connect: return connect(*open, *io.address);
    case OperationKind::local_address: *io.address = open->local; return 0;
    case OperationKind::remote_address:
      if (open->remote.size() == 0) return std::unexpected(std::errc::not_connected);
      *io.address = open->remote;
      return 0;
    case OperationKind::set_option:
      if (static_cast<SocketOption>(io.flags) == SocketOption::linger) {
        open->resets = static_cast<int>(io.offset) == 0;
      }
      return 0;
    case OperationKind::recv_from: return receive_from(*open, buffer, io.message->address);
    case OperationKind::send_to: return send_to(*open, buffer, io.message->address);
    case OperationKind::size:
      if (open->kind != Kind::file) return 0;
      return open->inode->bytes.size();
    case OperationKind::shutdown: return shutdown(*open, static_cast<Shutdown>(io.flags));
    case OperationKind::fsync:
      if (open->kind != Kind::file) return std::unexpected(std::errc::invalid_argument);
      return 0;
    case OperationKind::close:
      hang_up(*open);
      table_[static_cast<std::size_t>(io.fd - first_fd_)].reset();
      return 0;
    default: return std::unexpected(std::errc::operation_not_supported);
  }
  return std::unexpected(std::errc::resource_unavailable_try_again);
}

void World::hang_up(Open& open) noexcept {
  const bool unread = open.kind == Kind::socket && open.in != nullptr && open.in->size > 0;
  if (open.out != nullptr && (unread || open.resets)) open.out->reset = open.in->reset = true;
  if (open.in != nullptr) open.in->read_end_open = false;
  if (open.out != nullptr) open.out->write_end_open = false;
  for (auto& waiting : open.backlog) hang_up(*waiting);
}

std::size_t World::some_of(std::size_t size) {
  if (!short_transfers_ || size < 2 || random_.one_in(2)) return size;
  return 1 + random_.below(size);
}

Result World::read(Open& open, std::span<std::byte> buffer, bool peek) {
  if (open.kind == Kind::file) {
    buffer = buffer.first(some_of(buffer.size()));
    const Result result = read_at(open, buffer, open.position);
    open.position += result.value_or(0);
    return result;
  }
  if (open.kind == Kind::datagram) {
    Address from;
    return receive_from(open, buffer, from);
  }
  if (open.kind == Kind::listener || (open.kind == Kind::socket && open.in == nullptr)) {
    return std::unexpected(std::errc::not_connected);
  }
  if (open.in == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  Stream& stream = *open.in;
  if (buffer.empty()) return 0;
  if (stream.reset) {  // told once, and what was on its way is lost
    stream.reset = false;
    stream.size = 0;
    return std::unexpected(std::errc::connection_reset);
  }
  if (stream.size == 0) {
    if (!stream.write_end_open) return 0;
    return std::unexpected(std::errc::resource_unavailable_try_again);
  }
  const std::size_t count = some_of(std::min(buffer.size(), stream.size));
  for (std::size_t i = 0; i < count; ++i) {
    buffer[i] = stream.ring[(stream.first + i) % stream.ring.size()];
  }
  if (!peek) {
    stream.first = (stream.first + count) % stream.ring.size();
    stream.size -= count;
  }
  return count;
}

Result World::write(Open& open, std::span<const std::byte> buffer) {
  if (open.kind == Kind::file) {
    buffer = buffer.first(some_of(buffer.size()));
    const Result result = write_at(open, buffer, open.position);
    open.position += result.value_or(0);
    return result;
  }
  if (open.kind == Kind::datagram) return send_to(open, buffer, open.remote);
  if (open.kind == Kind::listener || (open.kind == Kind::socket && open.out == nullptr)) {
    return std::unexpected(std::errc::not_connected);
  }
  if (open.out == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  Stream& stream = *open.out;
  if (!stream.read_end_open || !stream.write_end_open) {
    return std::unexpected(std::errc::broken_pipe);
  }
  if (buffer.empty()) return 0;
  const std::size_t room = stream.ring.size() - stream.size;
  if (room == 0) return std::unexpected(std::errc::resource_unavailable_try_again);
  const std::size_t count = some_of(std::min(buffer.size(), room));
  for (std::size_t i = 0; i < count; ++i) {
    stream.ring[(stream.first + stream.size + i) % stream.ring.size()] = buffer[i];
  }
  stream.size += count;
  return count;
}

// The bytes of one buffer after the other, as long as each is moved whole.
Result World::transfer(Open& open, const Operation& operation) {
  const bool in = operation.type->direction == Direction::in;
  const auto move = [&](const IoVec& vector) {
    return in ? read(open, {vector.data, vector.size}, false)
              : write(open, {vector.data, vector.size});
  };
  if (!operation.has(vectored)) {
    return move(std::span(operation.io.data, operation.io.size));
  }
  std::size_t total = 0;
  for (const IoVec& vector : vectors_of(operation)) {
    if (vector.size == 0) continue;
    const Result moved = move(vector);
    if (!moved && total == 0) return moved;
    total += moved.value_or(0);
    if (!moved || *moved < vector.size) break;
  }
  return total;
}

Result World::open_file(const Operation& operation) {
  const std::uint32_t flags = operation.io.flags;
  const std::string_view path = reinterpret_cast<const char*>(operation.io.data);
  auto found = files_.find(path);
  if (found == files_.end()) {
    if ((flags & open_create) == 0) return std::unexpected(std::errc::no_such_file_or_directory);
    found = files_.emplace(path, std::make_shared<Inode>()).first;
  } else if ((flags & open_create) != 0 && (flags & open_exclusive) != 0) {
    return std::unexpected(std::errc::file_exists);
  }
  if ((flags & open_directory) != 0) return std::unexpected(std::errc::not_a_directory);
  if ((flags & open_truncate) != 0) found->second->bytes.clear();
  auto open = std::make_unique<Open>();
  open->kind = Kind::file;
  open->inode = found->second;
  if ((flags & open_append) != 0) open->position = open->inode->bytes.size();
  return static_cast<std::size_t>(install(std::move(open)));
}

Result World::read_at(Open& open, std::span<std::byte> buffer, std::size_t offset) {
  if (open.kind != Kind::file) return std::unexpected(std::errc::invalid_seek);
  const auto& bytes = open.inode->bytes;
  if (offset >= bytes.size() || buffer.empty()) return 0;
  const std::size_t count = std::min(buffer.size(), bytes.size() - offset);
  std::memcpy(buffer.data(), bytes.data() + offset, count);
  return count;
}

Result World::write_at(Open& open, std::span<const std::byte> buffer, std::size_t offset) {
  if (open.kind != Kind::file) return std::unexpected(std::errc::invalid_seek);
  if (buffer.empty()) return 0;
  auto& bytes = open.inode->bytes;
  if (bytes.size() < offset + buffer.size()) bytes.resize(offset + buffer.size());
  std::memcpy(bytes.data() + offset, buffer.data(), buffer.size());
  return buffer.size();
}

// Sockets -----------------------------------------------------------------------

Result World::socket(std::uint32_t flags) {
  auto open = std::make_unique<Open>();
  const auto type = static_cast<SocketType>(flags >> 8);
  open->kind = type == SocketType::datagram ? Kind::datagram : Kind::socket;
  open->family = static_cast<SocketFamily>(flags & 0xff);
  return static_cast<std::size_t>(install(std::move(open)));
}

World::Open* World::bound_to(const Address& address, Kind kind) const noexcept {
  for (const auto& open : table_) {
    if (open != nullptr && open->kind == kind && open->local == address) return open.get();
  }
  return nullptr;
}

Address World::free_address(SocketFamily family) noexcept {
  const std::uint16_t port = next_port_++;
  switch (family) {
    case SocketFamily::ipv4: return Address::loopback(port);
    case SocketFamily::ipv6: return Address::loopback_ipv6(port);
    case SocketFamily::unix_path: break;
  }
  std::string path(1, '\0');
  path += std::to_string(port);
  return Address::unix_path(path).value_or(Address());
}

// A socket that needs an address and was given none.
void World::name(Open& open) {
  if (open.local.size() == 0) open.local = free_address(open.family);
}

Result World::bind(Open& open, const Address& address) {
  if (open.local.size() != 0) return std::unexpected(std::errc::invalid_argument);
  static constexpr Address::Family families[] = {Address::Family::ipv4, Address::Family::ipv6,
                                                 Address::Family::unix_path};
  if (families[static_cast<std::size_t>(open.family)] != address.family()) {
    return std::unexpected(std::errc::address_family_not_supported);
  }
  const bool any_port = open.family != SocketFamily::unix_path && address.port() == 0;
  if (any_port) {
    name(open);
    return 0;
  }
  const Kind taken_by = open.kind == Kind::datagram ? Kind::datagram : Kind::listener;
  if (bound_to(address, taken_by) != nullptr) return std::unexpected(std::errc::address_in_use);
  open.local = address;
  return 0;
}

Result World::listen(Open& open, std::size_t backlog) {
  if (open.kind == Kind::datagram) return std::unexpected(std::errc::operation_not_supported);
  if (open.kind == Kind::socket && open.out != nullptr) {
    return std::unexpected(std::errc::invalid_argument);
  }
  name(open);
  open.kind = Kind::listener;
  open.backlog_limit = backlog + 1;  // as Linux has it
  return 0;
}

Result World::connect(Open& open, const Address& address) {
  if (open.kind == Kind::datagram) {
    name(open);
    open.remote = address;
    return 0;
  }
  if (open.kind == Kind::listener) return std::unexpected(std::errc::invalid_argument);
  if (open.out != nullptr) return std::unexpected(std::errc::already_connected);
  Open* listener = bound_to(address, Kind::listener);
  if (listener == nullptr) {
    const bool path = open.family == SocketFamily::unix_path;
    return std::unexpected(path ? std::errc::no_such_file_or_directory
                                : std::errc::connection_refused);
  }
  if (listener->backlog.size() >= listener->backlog_limit) {
    return std::unexpected(std::errc::operation_in_progress);
  }
  name(open);
  auto [client, server] = connected(socket_capacity);
  open.in = client->in;
  open.out = client->out;
  open.remote = server->local = address;
  server->remote = open.local;
  server->family = open.family;
  listener->backlog.push_back(std::move(server));
  return 0;
}

Result World::accept_many(Open& open, std::span<int> connections) {
  std::size_t count = 0;
  for (; count < connections.size(); ++count) {
    const Result accepted = accept(open);
    if (!accepted && count == 0) return accepted;
    if (!accepted) break;
    connections[count] = static_cast<int>(*accepted);
  }
  return count;
}

Result World::send_to(Open& open, std::span<const std::byte> buffer, const Address& to) {
  if (open.kind != Kind::datagram) return write(open, buffer);
  if (to.size() == 0 && open.remote.size() == 0) {
    return std::unexpected(std::errc::destination_address_required);
  }
  constexpr std::size_t longest = 65'507;
  if (buffer.size() > longest) return std::unexpected(std::errc::message_size);
  name(open);
  Open* receiver = bound_to(to.size() != 0 ? to : open.remote, Kind::datagram);
  std::size_t held = 0;
  if (receiver != nullptr) {
    for (const Datagram& datagram : receiver->datagrams) held += datagram.bytes.size();
  }
  // Like any network it drops what nobody receives or what is too much.
  if (receiver != nullptr && held + buffer.size() <= socket_capacity) {
    receiver->datagrams.push_back({open.local, {buffer.begin(), buffer.end()}});
  }
  return buffer.size();
}

Result World::receive_from(Open& open, std::span<std::byte> buffer, Address& from) {
  if (open.kind != Kind::datagram) return std::unexpected(std::errc::operation_not_supported);
  if (open.datagrams.empty()) return std::unexpected(std::errc::resource_unavailable_try_again);
  const Datagram datagram = std::move(open.datagrams.front());
  open.datagrams.pop_front();
  const std::size_t size = std::min(buffer.size(), datagram.bytes.size());
  std::ranges::copy(std::span(datagram.bytes).first(size), buffer.begin());
  from = datagram.from;
  return size;
}

Result World::accept(Open& open) {
  if (open.kind != Kind::listener) return std::unexpected(std::errc::invalid_argument);
  if (open.backlog.empty()) return std::unexpected(std::errc::resource_unavailable_try_again);
  auto connection = std::move(open.backlog.front());
  open.backlog.pop_front();
  return static_cast<std::size_t>(install(std::move(connection)));
}

Result World::shutdown(Open& open, Shutdown how) {
  if (open.kind != Kind::socket || open.out == nullptr)
    return std::unexpected(std::errc::not_connected);
  if (how != Shutdown::send) open.in->read_end_open = open.in->write_end_open = false;
  if (how != Shutdown::receive) open.out->write_end_open = false;
  return 0;
}

}  // namespace wev
