#include "sim/world.hpp"

#include <algorithm>
#include <cstring>

#include "wev/assert.hpp"

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
  return install(std::move(open));
}

int World::connect(int listener, std::size_t capacity) {
  Open* open = find(listener);
  WEV_ASSERT(open != nullptr && open->kind == Kind::listener, "connect: not a listener");
  auto [client, server] = connected(capacity);
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
  if (direction == Direction::in) {
    return open->in == nullptr || open->in->size > 0 || !open->in->write_end_open;
  }
  return room(fd) > 0;
}

bool World::ready(const Operation& operation) const noexcept {
  const Open* open = find(operation.io.fd);
  if (open == nullptr || is_refused(*open, operation.kind())) return true;
  switch (operation.kind()) {
    case OperationKind::fsync:
    case OperationKind::shutdown: return true;
    case OperationKind::accept:
      if (open->kind != Kind::listener) return true;
      break;
    case OperationKind::read:
    case OperationKind::write:
    case OperationKind::recv:
    case OperationKind::send:
      if (operation.io.size == 0 || open->kind == Kind::listener) return true;
      break;
    default: break;
  }
  return ready(operation.io.fd, operation.type->direction);
}

// Socket operations on what is none.
bool World::is_refused(const Open& open, OperationKind kind) noexcept {
  const bool wants_socket = kind == OperationKind::recv || kind == OperationKind::send ||
                            kind == OperationKind::accept || kind == OperationKind::shutdown;
  return wants_socket && open.kind != Kind::socket && open.kind != Kind::listener;
}

std::size_t World::room(int fd) const noexcept {
  const Open* open = find(fd);
  if (open == nullptr || open->out == nullptr || !open->out->read_end_open) return SIZE_MAX;
  return open->out->ring.size() - open->out->size;
}

// Doing -------------------------------------------------------------------------

void World::fail_next(int fd, Error error) { find(fd)->faults.push_back(error); }

Result World::perform(const Operation& operation) {
  const auto& io = operation.io;
  Open* open = find(io.fd);
  if (open == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  if (!open->faults.empty() && operation.kind() != OperationKind::close) {
    const Error fault = open->faults.front();
    open->faults.pop_front();
    return std::unexpected(fault);
  }
  if (is_refused(*open, operation.kind())) return std::unexpected(std::errc::not_a_socket);
  const std::span<std::byte> buffer(io.data, io.size);
  switch (operation.kind()) {
    case OperationKind::poll:
      if (!ready(io.fd, operation.type->direction)) break;
      return operation.type->direction == Direction::in ? readable : writable;
    case OperationKind::read: return read(*open, buffer, false);
    case OperationKind::write: return write(*open, buffer);
    case OperationKind::pread: return read_at(*open, buffer, static_cast<std::size_t>(io.offset));
    case OperationKind::pwrite: return write_at(*open, buffer, static_cast<std::size_t>(io.offset));
    case OperationKind::recv: return read(*open, buffer, (io.flags & recv_peek) != 0);
    case OperationKind::send: return write(*open, buffer);
    case OperationKind::accept: return accept(*open);
    case OperationKind::shutdown: return shutdown(*open, static_cast<Shutdown>(io.flags));
    case OperationKind::fsync:
      if (open->kind != Kind::file) return std::unexpected(std::errc::invalid_argument);
      return 0;
    case OperationKind::close:
      hang_up(*open);
      table_[static_cast<std::size_t>(io.fd - first_fd_)].reset();
      return 0;
    default: return std::unexpected(std::errc::not_supported);
  }
  return std::unexpected(std::errc::resource_unavailable_try_again);
}

void World::hang_up(Open& open) noexcept {
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
  if (open.kind == Kind::listener) return std::unexpected(std::errc::not_connected);
  if (open.in == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  Stream& stream = *open.in;
  if (buffer.empty()) return 0;
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
  if (open.kind == Kind::listener) return std::unexpected(std::errc::not_connected);
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

Result World::accept(Open& open) {
  if (open.kind != Kind::listener) return std::unexpected(std::errc::invalid_argument);
  if (open.backlog.empty()) return std::unexpected(std::errc::resource_unavailable_try_again);
  auto connection = std::move(open.backlog.front());
  open.backlog.pop_front();
  return static_cast<std::size_t>(install(std::move(connection)));
}

Result World::shutdown(Open& open, Shutdown how) {
  if (open.kind != Kind::socket) return std::unexpected(std::errc::not_connected);
  if (how != Shutdown::send) open.in->read_end_open = open.in->write_end_open = false;
  if (how != Shutdown::receive) open.out->write_end_open = false;
  return 0;
}

}  // namespace wev
