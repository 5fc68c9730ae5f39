#include "sim/world.hpp"

#include <algorithm>
#include <cstring>

#include "backend/attempt.hpp"
#include "wev/base/assert.hpp"

namespace wev {

World::World(Random& random, bool short_transfers, int first_fd)
    : random_(random), short_transfers_(short_transfers), first_fd_(first_fd) {}

// Making ------------------------------------------------------------------------

int World::install(Opened open) {
  auto place = std::ranges::find_if(table_, [](const auto& taken) { return taken == nullptr; });
  if (place == table_.end()) place = table_.insert(table_.end(), nullptr);
  *place = std::move(open);
  return first_fd_ + static_cast<int>(place - table_.begin());
}

std::pair<int, int> World::pipe(std::size_t capacity) {
  auto stream = std::make_shared<Stream>();
  stream->ring.resize(capacity);
  auto read_end = std::make_shared<Open>();
  read_end->kind = Kind::pipe;
  read_end->in = stream;
  auto write_end = std::make_shared<Open>();
  write_end->kind = Kind::pipe;
  write_end->out = stream;
  const int first = install(std::move(read_end));
  return {first, install(std::move(write_end))};
}

std::pair<World::Opened, World::Opened> World::connected(std::size_t capacity) {
  auto there = std::make_shared<Stream>();
  auto back = std::make_shared<Stream>();
  there->ring.resize(capacity);
  back->ring.resize(capacity);
  auto first = std::make_shared<Open>();
  first->kind = Kind::socket;
  first->in = back;
  first->out = there;
  auto second = std::make_shared<Open>();
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
  auto open = std::make_shared<Open>();
  open->kind = Kind::file;
  open->inode = std::make_shared<Inode>();
  const auto bytes = std::as_bytes(std::span(contents));
  open->inode->bytes.assign(bytes.begin(), bytes.end());
  return install(std::move(open));
}

int World::listen() {
  auto open = std::make_shared<Open>();
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
  server->accepted = true;
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
  WEV_ASSERT(is_open(fd) && find(fd)->inode != nullptr, "Sim::contents: it is no open file");
  const auto& bytes = find(fd)->inode->bytes;
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool World::ready(int fd, Direction direction) const noexcept {
  const Open* open = find(fd);
  if (open == nullptr || open->ended || !open->faults.empty() || open->kind == Kind::file ||
      direction == Direction::unordered) {
    return true;
  }
  if (open->kind == Kind::listener) {
    return direction != Direction::in || !open->backlog.empty();
  }
  if (open->kind == Kind::signal) return direction != Direction::in || open->times > 0;
  if (open->kind == Kind::process) {
    const auto child = children_.find(open->pid);
    return direction != Direction::in || (child != children_.end() && child->second.status);
  }
  if (open->kind == Kind::datagram) {
    return direction != Direction::in || !open->datagrams.empty();
  }
  if (direction == Direction::in) {
    return open->in == nullptr || open->in->size > 0 || !open->in->write_end_open;
  }
  return room(fd) > 0;
}

// Asks by doing, without effect.
bool World::ready(const Operation& operation) {
  if (!operation.on_descriptor() || !operation.has(waits)) return true;
  only_asking_ = true;
  const Result result = perform(operation);
  only_asking_ = false;
  return !would_block(operation, result);
}

std::size_t World::room(int fd) const noexcept {
  const Open* open = find(fd);
  if (open == nullptr || open->out == nullptr || !open->out->read_end_open) return SIZE_MAX;
  return open->out->ring.size() - open->out->size;
}

// Doing -------------------------------------------------------------------------

void World::fail_next(int fd, Error error) {
  WEV_ASSERT(is_open(fd), "Sim::fail_next: the descriptor is not open");
  find(fd)->faults.push_back(error);
}

namespace {

bool is_socket(World::Kind kind) {
  using enum World::Kind;
  return kind == socket || kind == listener || kind == datagram;
}

}  // namespace

Expected<World::Open*> World::use(int fd) {
  Open* open = find(fd);
  if (open == nullptr || open->ended) return std::unexpected(std::errc::bad_file_descriptor);
  if (open->faults.empty()) return open;
  const Error fault = open->faults.front();
  if (!only_asking_) open->faults.pop_front();
  return std::unexpected(fault);
}

Expected<World::Open*> World::use_socket(int fd) {
  auto open = use(fd);
  if (open && !is_socket((*open)->kind)) return std::unexpected(std::errc::not_a_socket);
  return open;
}

Expected<DescriptorTraits> World::examine(int fd, bool) {
  const Open* open = find(fd);
  if (open == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  return DescriptorTraits{.nonblocking = true,
                          .always_ready = open->kind == Kind::file,
                          .may_be_socket = is_socket(open->kind),
                          .datagrams = open->kind == Kind::datagram};
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

namespace {

Result read_at(std::span<const std::byte> bytes, std::span<std::byte> buffer,
               std::uint64_t offset) {
  if (offset >= bytes.size() || buffer.empty()) return 0;
  bytes = bytes.subspan(static_cast<std::size_t>(offset));
  const std::size_t count = std::min(buffer.size(), bytes.size());
  std::memcpy(buffer.data(), bytes.data(), count);
  return count;
}

Result write_at(std::vector<std::byte>& bytes, std::span<const std::byte> buffer,
                std::uint64_t offset, std::size_t largest) {
  if (buffer.empty()) return 0;
  if (offset >= largest) return std::unexpected(std::errc::file_too_large);
  const auto position = static_cast<std::size_t>(offset);
  buffer = buffer.first(std::min(buffer.size(), largest - position));
  if (bytes.size() < position + buffer.size()) bytes.resize(position + buffer.size());
  std::memcpy(bytes.data() + position, buffer.data(), buffer.size());
  return buffer.size();
}

}  // namespace

Result World::take(Open& open, std::span<std::byte> buffer, bool peek) {
  if (open.kind == Kind::file) {
    if (!open.reads) return std::unexpected(std::errc::bad_file_descriptor);
    if (only_asking_) return 0;
    buffer = buffer.first(some_of(buffer.size()));
    const Result result = read_at(open.inode->bytes, buffer, open.position);
    open.position += result.value_or(0);
    return result;
  }
  if (open.kind == Kind::datagram) {
    Address from;
    return receive_datagram(open, buffer, from, peek);
  }
  if (open.kind == Kind::listener || (open.kind == Kind::socket && open.in == nullptr)) {
    return std::unexpected(std::errc::not_connected);
  }
  if (open.in == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  Stream& stream = *open.in;
  if (buffer.empty()) return 0;
  if (only_asking_ && (stream.reset || stream.size > 0)) return 0;
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

Result World::put(Open& open, std::span<const std::byte> buffer) {
  if (open.kind == Kind::file) {
    if (!open.writes) return std::unexpected(std::errc::bad_file_descriptor);
    if (only_asking_) return 0;
    buffer = buffer.first(some_of(buffer.size()));
    if (open.appends && !buffer.empty()) open.position = open.inode->bytes.size();
    const Result result = write_at(open.inode->bytes, buffer, open.position, largest_file);
    open.position += result.value_or(0);
    return result;
  }
  if (open.kind == Kind::datagram) return send_datagram(open, buffer, open.remote);
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
  if (only_asking_) return 0;
  const std::size_t count = some_of(std::min(buffer.size(), room));
  for (std::size_t i = 0; i < count; ++i) {
    stream.ring[(stream.first + stream.size + i) % stream.ring.size()] = buffer[i];
  }
  stream.size += count;
  return count;
}

Result World::read(int fd, std::span<std::byte> buffer) {
  const auto open = use(fd);
  return open ? take(**open, buffer, false) : std::unexpected(open.error());
}

Result World::write(int fd, std::span<const std::byte> buffer) {
  const auto open = use(fd);
  return open ? put(**open, buffer) : std::unexpected(open.error());
}

namespace {

// The bytes of one buffer after the other, as long as each is moved whole.
template <class Move>
Result move_each(std::span<const IoVec> buffers, Move move) {
  std::size_t total = 0;
  for (const IoVec& vector : buffers) {
    if (vector.size == 0) continue;
    const Result moved = move(std::span(vector.data, vector.size));
    if (!moved && total == 0) return moved;
    total += moved.value_or(0);
    if (!moved || *moved < vector.size) break;
  }
  return total;
}

}  // namespace

Result World::readv(int fd, std::span<const IoVec> buffers) {
  const auto open = use(fd);
  if (!open) return std::unexpected(open.error());
  return move_each(buffers,
                   [&](std::span<std::byte> buffer) { return take(**open, buffer, false); });
}

Result World::writev(int fd, std::span<const IoVec> buffers) {
  const auto open = use(fd);
  if (!open) return std::unexpected(open.error());
  return move_each(buffers, [&](std::span<std::byte> buffer) { return put(**open, buffer); });
}

Result World::poll(int fd, Direction direction) {
  const auto open = use(fd);
  if (!open) return std::unexpected(open.error());
  if (!ready(fd, direction)) return std::unexpected(std::errc::resource_unavailable_try_again);
  return direction == Direction::in ? readable : writable;
}

Result World::open(int directory, const char* path, std::uint32_t flags, std::uint32_t) {
  const std::string_view name(path);
  if (directory != op::working_directory && !name.starts_with('/')) {
    const bool is_open = find(directory) != nullptr;
    return std::unexpected(is_open ? std::errc::not_a_directory : std::errc::bad_file_descriptor);
  }
  if (name.empty()) return std::unexpected(std::errc::no_such_file_or_directory);
  if (name.substr(name.rfind('/') + 1).size() > longest_name) {
    return std::unexpected(std::errc::filename_too_long);
  }
  auto found = files_.find(name);
  if (found != files_.end()) {
    if ((flags & open_create) != 0 && (flags & open_exclusive) != 0) {
      return std::unexpected(std::errc::file_exists);
    }
    if ((flags & open_directory) != 0) return std::unexpected(std::errc::not_a_directory);
  } else {
    if ((flags & open_create) == 0) return std::unexpected(std::errc::no_such_file_or_directory);
    if ((flags & open_directory) != 0) return std::unexpected(std::errc::invalid_argument);
    found = files_.emplace(name, std::make_shared<Inode>()).first;
  }
  if ((flags & open_truncate) != 0) found->second->bytes.clear();
  auto open = std::make_shared<Open>();
  open->kind = Kind::file;
  open->inode = found->second;
  open->writes = (flags & open_write) != 0;
  open->reads = (flags & open_read) != 0 || !open->writes;
  open->appends = (flags & open_append) != 0;
  return static_cast<std::size_t>(install(std::move(open)));
}

Result World::pipe(std::span<int, 2> ends) {
  const auto [reader, writer] = pipe(socket_capacity);
  ends[0] = reader;
  ends[1] = writer;
  return 0;
}

Result World::duplicate(int fd) {
  const auto open = use(fd);
  if (!open) return std::unexpected(open.error());
  return static_cast<std::size_t>(install(table_[static_cast<std::size_t>(fd - first_fd_)]));
}

// The last descriptor of what is open ends it.
Result World::close(int fd) {
  if (find(fd) == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  const Opened open = std::move(table_[static_cast<std::size_t>(fd - first_fd_)]);
  if (open.use_count() == 1) hang_up(*open);
  return 0;
}

Result World::size(int fd) {
  const auto open = use(fd);
  if (!open) return std::unexpected(open.error());
  return (*open)->kind == Kind::file ? (*open)->inode->bytes.size() : 0;
}

Result World::fsync(int fd) {
  const auto open = use(fd);
  if (!open) return std::unexpected(open.error());
  if ((*open)->kind != Kind::file) return std::unexpected(std::errc::invalid_argument);
  return 0;
}

Expected<World::Open*> World::use_file(int fd, std::uint64_t offset, bool Open::* opened_for) {
  const auto used = use(fd);
  if (!used) return used;
  const Open& open = **used;
  if (offset > most_offset) return std::unexpected(std::errc::invalid_argument);
  if (open.kind != Kind::file) return std::unexpected(std::errc::invalid_seek);
  if (!(open.*opened_for)) return std::unexpected(std::errc::bad_file_descriptor);
  return used;
}

Result World::pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) {
  const auto used = use_file(fd, offset, &Open::reads);
  if (!used) return std::unexpected(used.error());
  return read_at((*used)->inode->bytes, buffer, offset);
}

// Of a file that is appended to Linux heeds no offset.
Result World::pwrite(int fd, std::span<const std::byte> buffer, std::uint64_t offset) {
  const auto used = use_file(fd, offset, &Open::writes);
  if (!used) return std::unexpected(used.error());
  const Open& open = **used;
  auto& bytes = open.inode->bytes;
  return write_at(bytes, buffer, open.appends ? bytes.size() : offset, largest_file);
}

// Sockets -----------------------------------------------------------------------

Result World::socket(SocketFamily family, SocketType type) {
  auto open = std::make_shared<Open>();
  open->kind = type == SocketType::datagram ? Kind::datagram : Kind::socket;
  open->family = family;
  return static_cast<std::size_t>(install(std::move(open)));
}

namespace {

constexpr Address::Family families[] = {Address::Family::ipv4, Address::Family::ipv6,
                                        Address::Family::unix_path};

bool is_of(SocketFamily family, const Address& address) {
  return families[static_cast<std::size_t>(family)] == address.family();
}

bool is_any(const Address& address) {
  return address == Address::ipv4({}, address.port()) ||
         address == Address::ipv6({}, address.port());
}

// Whether what is sent to `address` comes to who is bound to `bound`.
bool reaches(const Address& address, const Address& bound) {
  return bound == address ||
         (is_any(bound) && bound.family() == address.family() && bound.port() == address.port());
}

// A path is a file, which nobody has made; other names are only not taken.
std::unexpected<Error> nobody_at(const Address& address) {
  const std::string_view path = address.path();
  const bool is_file = !path.empty() && path.front() != '\0';
  return std::unexpected<Error>(is_file ? std::errc::no_such_file_or_directory
                                        : std::errc::connection_refused);
}

}  // namespace

World::Open* World::bound_to(const Address& address, Kind kind) const noexcept {
  for (const auto& open : table_) {
    if (open != nullptr && open->kind == kind && reaches(address, open->local)) return open.get();
  }
  return nullptr;
}

// As Linux has it: an address may be bound again where both sockets say so, but two only
// listen at it with reuse_port.
bool World::is_taken(const Address& address, const Open& by) const noexcept {
  return std::ranges::any_of(table_, [&](const auto& other) {
    if (other == nullptr || other.get() == &by || other->accepted || other->local.size() == 0 ||
        (other->kind == Kind::datagram) != (by.kind == Kind::datagram) ||
        (!reaches(address, other->local) && !reaches(other->local, address))) {
      return false;
    }
    if (by.family == SocketFamily::unix_path) return true;
    const bool both_listen = other->kind == Kind::listener && by.kind == Kind::listener;
    const bool shared =
        other->reuse_address && by.reuse_address && other->kind != Kind::listener && !both_listen;
    return !shared && !(other->reuse_port && by.reuse_port);
  });
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

Result World::bind(int fd, const Address& address) {
  const auto used = use_socket(fd);
  if (!used) return std::unexpected(used.error());
  Open& open = **used;
  if (open.local.size() != 0) return std::unexpected(std::errc::invalid_argument);
  if (!is_of(open.family, address)) {
    return std::unexpected(std::errc::address_family_not_supported);
  }
  Address bound = address;
  if (open.family != SocketFamily::unix_path && address.port() == 0) {
    bound.set_port(free_address(open.family).port());
  }
  if (is_taken(bound, open)) return std::unexpected(std::errc::address_in_use);
  open.local = bound;
  return 0;
}

Result World::listen(int fd, std::uint32_t backlog) {
  const auto used = use_socket(fd);
  if (!used) return std::unexpected(used.error());
  Open& open = **used;
  if (open.kind == Kind::datagram) return std::unexpected(std::errc::operation_not_supported);
  if (open.kind == Kind::socket && open.out != nullptr) {
    return std::unexpected(std::errc::invalid_argument);
  }
  name(open);
  const Kind before = std::exchange(open.kind, Kind::listener);
  if (is_taken(open.local, open)) {
    open.kind = before;
    return std::unexpected(std::errc::address_in_use);
  }
  open.backlog_limit = std::size_t{backlog} + 1;  // as Linux has it
  return 0;
}

Result World::connect(int fd, const Address& address) {
  const auto used = use_socket(fd);
  if (!used) return std::unexpected(used.error());
  Open& open = **used;
  if (!is_of(open.family, address)) {
    return std::unexpected(std::errc::address_family_not_supported);
  }
  const bool path = open.family == SocketFamily::unix_path;
  if (open.kind == Kind::datagram) {
    if (path && bound_to(address, Kind::datagram) == nullptr) return nobody_at(address);
    if (only_asking_) return 0;
    name(open);
    open.remote = address;
    return 0;
  }
  if (open.kind == Kind::listener) return std::unexpected(std::errc::invalid_argument);
  if (open.out != nullptr) return std::unexpected(std::errc::already_connected);
  Open* listener = bound_to(address, Kind::listener);
  if (listener == nullptr) return nobody_at(address);
  if (listener->backlog.size() >= listener->backlog_limit) {
    return std::unexpected(path ? std::errc::resource_unavailable_try_again
                                : std::errc::operation_in_progress);
  }
  if (only_asking_) return 0;
  name(open);
  auto [client, server] = connected(socket_capacity);
  open.in = client->in;
  open.out = client->out;
  open.remote = server->local = address;
  server->remote = open.local;
  server->family = open.family;
  server->accepted = true;
  listener->backlog.push_back(std::move(server));
  return 0;
}

Result World::send_datagram(Open& open, std::span<const std::byte> buffer, const Address& to) {
  const Address& target = to.size() != 0 ? to : open.remote;
  if (target.size() == 0) return std::unexpected(std::errc::destination_address_required);
  if (!is_of(open.family, target)) {
    return std::unexpected(std::errc::address_family_not_supported);
  }
  constexpr std::size_t longest = 65'507;
  if (buffer.size() > longest) return std::unexpected(std::errc::message_size);
  const bool path = open.family == SocketFamily::unix_path;
  Open* receiver = bound_to(target, Kind::datagram);
  if (path && receiver == nullptr) return nobody_at(target);
  std::size_t held = 0;
  if (receiver != nullptr) {
    for (const Datagram& datagram : receiver->datagrams) held += datagram.bytes.size();
  }
  const bool has_room = held + buffer.size() <= socket_capacity;
  if (path && !has_room) return std::unexpected(std::errc::resource_unavailable_try_again);
  if (only_asking_) return 0;
  if (!path) name(open);
  // Like any network it drops what nobody receives or what is too much.
  const bool taken =
      receiver != nullptr && has_room &&
      (receiver->remote.size() == 0 || path || reaches(open.local, receiver->remote));
  if (taken) receiver->datagrams.push_back({open.local, {buffer.begin(), buffer.end()}});
  return buffer.size();
}

Result World::receive_datagram(Open& open, std::span<std::byte> buffer, Address& from, bool peek) {
  if (open.datagrams.empty()) return std::unexpected(std::errc::resource_unavailable_try_again);
  if (only_asking_) return 0;
  const Datagram& datagram = open.datagrams.front();
  const std::size_t size = std::min(buffer.size(), datagram.bytes.size());
  std::ranges::copy(std::span(datagram.bytes).first(size), buffer.begin());
  from = datagram.from;
  if (!peek) open.datagrams.pop_front();
  return size;
}

Result World::accept(int fd) {
  const auto used = use_socket(fd);
  if (!used) return std::unexpected(used.error());
  Open& open = **used;
  if (open.kind == Kind::datagram) return std::unexpected(std::errc::operation_not_supported);
  if (open.kind != Kind::listener) return std::unexpected(std::errc::invalid_argument);
  if (open.backlog.empty()) return std::unexpected(std::errc::resource_unavailable_try_again);
  if (only_asking_) return 0;
  auto connection = std::move(open.backlog.front());
  open.backlog.pop_front();
  return static_cast<std::size_t>(install(std::move(connection)));
}

Result World::local_address(int fd, Address& address) {
  const auto open = use_socket(fd);
  if (!open) return std::unexpected(open.error());
  address = (*open)->local;
  return 0;
}

Result World::remote_address(int fd, Address& address) {
  const auto open = use_socket(fd);
  if (!open) return std::unexpected(open.error());
  if ((*open)->remote.size() == 0) return std::unexpected(std::errc::not_connected);
  address = (*open)->remote;
  return 0;
}

Result World::set_option(int fd, SocketOption option, int value) {
  const auto used = use_socket(fd);
  if (!used) return std::unexpected(used.error());
  Open& open = **used;
  const bool ip = open.family != SocketFamily::unix_path;
  switch (option) {
    case SocketOption::linger: open.resets = value == 0; return 0;
    case SocketOption::reuse_address: open.reuse_address = value != 0; return 0;
    case SocketOption::reuse_port: open.reuse_port = value != 0; return 0;
    case SocketOption::no_delay:
      if (!ip || open.kind == Kind::datagram) break;
      return 0;
    case SocketOption::ipv6_only:
      if (open.family != SocketFamily::ipv6) break;
      return 0;
    case SocketOption::ttl:
      if (!ip) break;
      return 0;
    default: return 0;
  }
  return std::unexpected(std::errc::operation_not_supported);
}

Result World::recv(int fd, std::span<std::byte> buffer, std::uint32_t flags) {
  const auto open = use_socket(fd);
  return open ? take(**open, buffer, (flags & recv_peek) != 0) : std::unexpected(open.error());
}

Result World::recv_from(int fd, std::span<std::byte> buffer, Address& from) {
  const auto open = use_socket(fd);
  if (!open) return std::unexpected(open.error());
  if ((*open)->kind != Kind::datagram) return std::unexpected(std::errc::operation_not_supported);
  return receive_datagram(**open, buffer, from, false);
}

Result World::send(int fd, std::span<const std::byte> buffer) {
  const auto open = use_socket(fd);
  return open ? put(**open, buffer) : std::unexpected(open.error());
}

Result World::send_to(int fd, std::span<const std::byte> buffer, const Address& to) {
  const auto open = use_socket(fd);
  if (!open) return std::unexpected(open.error());
  if ((*open)->kind != Kind::datagram) return put(**open, buffer);
  return send_datagram(**open, buffer, to);
}

Result World::shutdown(int fd, Shutdown how) {
  const auto used = use_socket(fd);
  if (!used) return std::unexpected(used.error());
  Open& open = **used;
  if (open.kind != Kind::socket || open.out == nullptr)
    return std::unexpected(std::errc::not_connected);
  if (how != Shutdown::send) open.in->read_end_open = open.in->write_end_open = false;
  if (how != Shutdown::receive) open.out->write_end_open = false;
  return 0;
}

// Signals -----------------------------------------------------------------------

namespace {

constexpr int most_signal = 64;
constexpr int signal_kill = 9;  // everywhere

}  // namespace

Result World::watch_signal(int signal) {
  if (signal < 1 || signal > most_signal || signal == signal_kill) {
    return std::unexpected(std::errc::invalid_argument);
  }
  auto open = std::make_shared<Open>();
  open->kind = Kind::signal;
  open->signal = signal;
  return static_cast<std::size_t>(install(std::move(open)));
}

Result World::wait_signal(int fd) {
  const auto used = use(fd);
  if (!used) return std::unexpected(used.error());
  Open& open = **used;
  if (open.kind != Kind::signal) return std::unexpected(std::errc::invalid_argument);
  if (open.times == 0) return std::unexpected(std::errc::resource_unavailable_try_again);
  return only_asking_ ? 0 : std::exchange(open.times, 0);
}

Result World::unwatch_signal(int fd) {
  Open* open = find(fd);
  if (open == nullptr) return std::unexpected(std::errc::bad_file_descriptor);
  if (open->kind != Kind::signal) return std::unexpected(std::errc::invalid_argument);
  open->signal = 0;
  return 0;
}

bool World::raise(int signal) noexcept {
  bool watched = false;
  for (const auto& open : table_) {
    if (open == nullptr || open->kind != Kind::signal || open->signal != signal) continue;
    ++open->times;
    watched = true;
  }
  return watched;
}

// Processes ---------------------------------------------------------------------

void World::on_spawn(Play play, std::size_t pipe_capacity) {
  play_ = std::make_shared<Play>(std::move(play));
  pipe_capacity_ = pipe_capacity;
}

// Makes the child's end.
Expected<int> World::give(ChildStdio& stdio, bool child_reads) {
  switch (stdio.kind) {
    case ChildStdio::Kind::inherit:
    case ChildStdio::Kind::null: return -1;
    case ChildStdio::Kind::descriptor: {
      const Result own = duplicate(stdio.fd);
      if (!own) return std::unexpected(own.error());
      return static_cast<int>(*own);
    }
    case ChildStdio::Kind::pipe: break;
  }
  const auto [reader, writer] = pipe(pipe_capacity_);
  stdio.fd = child_reads ? writer : reader;
  return child_reads ? reader : writer;
}

Result World::spawn(Spawn& spawn) {
  // A copy: it may set another.
  const auto play = play_;
  if (!play || !*play) return System::spawn(spawn);
  const int pid = next_pid_++;
  Child& child = children_[pid];
  Expected<void> played;
  for (std::size_t i = 0; played && i < child.stdio.size(); ++i) {
    const auto own = give(spawn.stdio[i], i == 0);
    if (own) {
      child.stdio[i] = *own;
      if (*own >= 0) child.opened[i] = table_[static_cast<std::size_t>(*own - first_fd_)];
    } else {
      played = std::unexpected(own.error());
    }
  }
  if (played) played = (*play)({pid, spawn, child.stdio});
  if (!played) {
    for (std::size_t i = 0; i < child.stdio.size(); ++i) {
      if (has_own(child, i)) (void)close(child.stdio[i]);
    }
    for (const ChildStdio& stdio : spawn.stdio) {
      if (stdio.kind == ChildStdio::Kind::pipe && stdio.fd >= 0) (void)close(stdio.fd);
    }
    children_.erase(pid);
    return std::unexpected(played.error());
  }
  auto open = std::make_shared<Open>();
  open->kind = Kind::process;
  open->pid = spawn.pid = pid;
  return static_cast<std::size_t>(install(std::move(open)));
}

bool World::has_own(const Child& child, std::size_t i) const noexcept {
  const Open* open = find(child.stdio[i]);
  return open != nullptr && open == child.opened[i].lock().get();
}

// Where nobody is told of an end any more, it is waited for.
Result World::wait_process(int fd, int pid) {
  if (!play_) return System::wait_process(fd, pid);
  const auto open = use(fd);
  if (!open) return std::unexpected(open.error());
  if ((*open)->kind != Kind::process) return std::unexpected(std::errc::invalid_argument);
  const auto child = children_.find(pid);
  const auto status = child == children_.end() ? std::nullopt : child->second.status;
  if (!status) return std::unexpected(std::errc::resource_unavailable_try_again);
  return *status;
}

Result World::kill_process(int fd, int pid, int signal) {
  if (!play_) return System::kill_process(fd, pid, signal);
  const auto open = use(fd);
  if (!open) return std::unexpected(open.error());
  if (signal < 0 || signal > most_signal) return std::unexpected(std::errc::invalid_argument);
  return kill(pid, signal);
}

Result World::release_process(int fd, int pid) {
  if (!play_) return System::release_process(fd, pid);
  const auto child = children_.find(pid);
  if (child == children_.end()) return std::unexpected(std::errc::no_child_process);
  child->second.released = true;
  if (child->second.status) children_.erase(child);
  return 0;
}

bool World::runs(int pid) const noexcept {
  const auto child = children_.find(pid);
  return child != children_.end() && !child->second.status;
}

// nullptr: it has ended.
World::Child* World::running(int pid) noexcept {
  return runs(pid) ? &children_.find(pid)->second : nullptr;
}

// What it had open is over, but for what others have as well. The numbers stay until the test
// closes them: handles of its own may have them.
bool World::exit(int pid, std::size_t status) {
  Child* child = running(pid);
  if (child == nullptr) return false;
  child->status = status;
  for (std::size_t i = 0; i < child->stdio.size(); ++i) {
    if (!has_own(*child, i) || child->opened[i].use_count() > 1) continue;
    Open& open = *find(child->stdio[i]);
    hang_up(open);
    open.ended = true;
  }
  if (child->released) children_.erase(pid);
  return true;
}

Result World::kill(int pid, int signal) {
  Child* child = running(pid);
  if (child == nullptr || signal == 0) return 0;
  if (child->handle != nullptr && *child->handle && signal != signal_kill) {
    // It may end the child, and set another.
    const auto handle = child->handle;
    (*handle)(signal);
  } else {
    (void)exit(pid, op::ended_by_signal | static_cast<std::size_t>(signal));
  }
  return 0;
}

void World::on_kill(int pid, std::function<void(int signal)> handle) {
  Child* child = running(pid);
  WEV_ASSERT(child != nullptr, "Sim::on_kill: no such child runs");
  child->handle = std::make_shared<std::function<void(int signal)>>(std::move(handle));
}

}  // namespace wev
