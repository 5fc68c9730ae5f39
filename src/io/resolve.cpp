#include "wev/io/resolve.hpp"

#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "sys/posix.hpp"
#include "wev/base/array.hpp"
#include "wev/base/list.hpp"

namespace wev {

namespace {

Address address_of(const sockaddr* raw, std::uint16_t port) {
  if (raw->sa_family == AF_INET) {
    const auto* from = reinterpret_cast<const sockaddr_in*>(raw);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &from->sin_addr, bytes.size());
    return Address::ipv4(bytes, port);
  }
  const auto* from = reinterpret_cast<const sockaddr_in6*>(raw);
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &from->sin6_addr, bytes.size());
  return Address::ipv6(bytes, port, from->sin6_scope_id);
}

// The part of a DNS header that says how a question went (RFC 1035, 4.1.1).
constexpr std::size_t rcode_byte = 3;
enum Rcode : int { no_rcode = -1, servfail = 2, notimp = 4, refused = 5 };

Error to_error(int status, int rcode) {
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENONAME: return ResolveErrc::no_such_name;
    case ARES_ENODATA: return ResolveErrc::no_address;
    case ARES_EFORMERR:
    case ARES_ESERVFAIL:
    case ARES_ENOTIMP: return ResolveErrc::server_failure;
    case ARES_EREFUSED: return ResolveErrc::refused;
    case ARES_ETIMEOUT: return ResolveErrc::timed_out;
    case ARES_EBADNAME: return ResolveErrc::malformed_name;
    case ARES_EBADRESP: return ResolveErrc::malformed_answer;
    case ARES_ENOMEM: return std::errc::not_enough_memory;
    case ARES_ECONNREFUSED:
      // c-ares 1.18 also says so when each server has answered that it will not
      // or cannot, with the last of those answers just read.
      if (rcode == refused) return ResolveErrc::refused;
      if (rcode == servfail || rcode == notimp) return ResolveErrc::server_failure;
      return ResolveErrc::unreachable;
    default: return ResolveErrc::other;
  }
}

// What tells that a file was replaced or written to.
struct FileIdentity {
  dev_t device = 0;
  ino_t number = 0;
  off_t size = -1;  // -1: there is none
  timespec changed{};

  static FileIdentity of(const char* path) {
    struct stat status{};
    if (::stat(path, &status) != 0) return {};
    return {status.st_dev, status.st_ino, status.st_size, status.st_ctim};
  }
  friend bool operator==(const FileIdentity& a, const FileIdentity& b) {
    return a.device == b.device && a.number == b.number && a.size == b.size &&
           a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec;
  }
};

}  // namespace

// A name on its way, then its addresses. Linked while it waits for its turn.
struct ResolveRequest::Query : Allocated, Link {
  ResolveRequest* request = nullptr;     // nullptr: nobody wants it any more
  Resolver::Channel* channel = nullptr;  // nullptr: the addresses are there
  std::uint16_t port = 0;
  Array<Address> addresses;
  std::array<char, Resolver::longest_name + 1> name{};

  void withdraw() noexcept;
};

// c-ares and what drives it. The callbacks of programs are never called from
// inside c-ares, so they may do here what they like. Outlives its Resolver until
// its timer is its own again.
class Resolver::Channel : public Allocated {
 public:
  using Query = ResolveRequest::Query;

  explicit Channel(Loop& loop) : loop_(loop) {}
  Expected<void> open(const ResolverOptions& options);
  void close();
  /// Closes those it has replaced as well.
  void close_all();
  /// Whether resolv.conf has changed since it was read.
  bool is_outdated();
  /// Another one with the same options.
  Channel* renewed();
  void add(Query& query);
  void withdraw(Query& query);

 private:
  struct Watch;

  Expected<void> keep(const ResolverOptions& options);
  Expected<void> set_servers(const ResolverOptions& options);
  void retire(Channel& successor);
  void ask_next();
  void ask(Query& query);
  void fail_all(Error error);
  void fail_waiting(Error error);
  static void on_answer(void* self, int status, int timeouts, ares_addrinfo* found);
  void finish(Query& query, int status, const ares_addrinfo* found);

  // Driving.
  void process(ares_socket_t in, ares_socket_t out);
  void process_due();
  void has_processed();
  void drop_unwanted();
  void set_timer();
  void take_timer_back();
  static Action on_timer(void* self, Loop&, Completion&, Result result);

  // What c-ares calls.
  Watch* find(int fd);
  static void on_socket_state(void* self, ares_socket_t fd, int readable, int writable);
  static ares_socket_t open_socket(int family, int type, int protocol, void* self);
  static int close_socket(ares_socket_t fd, void* self);
  static int connect(ares_socket_t fd, const sockaddr* address, ares_socklen_t size, void*);
  static ares_ssize_t receive(ares_socket_t fd, void* buffer, std::size_t size, int flags,
                              sockaddr* from, ares_socklen_t* from_size, void* self);
  static ares_ssize_t send(ares_socket_t fd, const iovec* buffers, int count, void*);
  static constexpr ares_socket_functions socket_functions = {open_socket, close_socket, connect,
                                                             receive, send};

  Loop& loop_;
  ResolverOptions options_;  // of what stands in the next three
  Array<Address> servers_;
  std::array<char, longest_server_list + 1> server_list_{};
  std::array<char, longest_path + 1> resolv_conf_{};
  FileIdentity read_;
  Channel* newer_ = nullptr;  // has replaced it
  Channel* older_ = nullptr;  // still has names
  ares_channel channel_ = nullptr;
  // So many names c-ares may have, for each that it may be asked at once, that nobody wants.
  static constexpr std::size_t most_unwanted = 16;
  std::size_t at_once_ = 1;
  List<Query> waiting_;
  std::size_t asked_ = 0;   // queries that c-ares has
  std::size_t wanted_ = 0;  // those of them that have a request
  List<Watch> watches_;
  Completion timer_;
  bool taking_timer_back_ = false;
  bool looks_soon_ = false;
  Error reason_ = Errc::operation_canceled;  // what c-ares's cancelling means
  int rcode_ = no_rcode;                     // of the answer being processed
};

// Sockets ---------------------------------------------------------------------------

namespace {

void orphan_if_lent(Loop& loop, Completion& completion) {
  if (completion.state() != Completion::State::dead) loop.orphan(completion);
}

}  // namespace

// One socket of c-ares. Closed through the loop, so that its number is not another's
// while the loop still polls it.
struct Resolver::Channel::Watch : Allocated, Link {
  struct Side {
    Completion completion;
    bool wanted = false;
    bool asked_back = false;
  };
  enum { in, out };

  Watch(Channel& its_channel, int its_fd) : channel(&its_channel), fd(its_fd) {}

  void want(bool readable, bool writable) {
    sides[in].wanted = readable;
    sides[out].wanted = writable;
    update<in>();
    update<out>();
  }

  void close() {
    Loop& loop = channel->loop_;
    unlink();
    channel = nullptr;
    if (!known_to_loop) {
      ::close(fd);
      delete this;
      return;
    }
    loop.add(closing, op::close(fd), this, on_closed);
    loop.orphan(closing);
    for (Side& side : sides) orphan_if_lent(loop, side.completion);
  }

  Channel* channel;  // nullptr: being closed
  const int fd;
  std::array<Side, 2> sides;
  Completion closing;
  bool known_to_loop = false;

 private:
  template <int side>
  void update() {
    Side& it = sides[side];
    const Completion::State state = it.completion.state();
    if (it.wanted && state == Completion::State::dead) {
      known_to_loop = true;
      channel->loop_.add(it.completion, side == in ? op::poll_readable(fd) : op::poll_writable(fd),
                         this, on_ready<side>);
    } else if (!it.wanted &&
               (state == Completion::State::adding || state == Completion::State::active)) {
      it.asked_back = true;
      channel->loop_.cancel(it.completion);
    }
  }

  template <int side>
  static Action on_ready(void* self, Loop&, Completion&, Result result) {
    auto& watch = *static_cast<Watch*>(self);
    if (watch.channel == nullptr) return Action::disarm;
    Side& it = watch.sides[side];
    const bool ours = std::exchange(it.asked_back, false);
    if (!result && !ours) {
      // The loop drains, or cannot wait for this socket.
      watch.channel->fail_all(result.error());
      return Action::disarm;
    }
    if (result && it.wanted) {
      watch.channel->process(side == in ? watch.fd : ARES_SOCKET_BAD,
                             side == out ? watch.fd : ARES_SOCKET_BAD);
    }
    if (watch.channel != nullptr) watch.update<side>();
    return Action::disarm;
  }

  // Comes after what was polled.
  static Action on_closed(void* self, Loop&, Completion&, Result) {
    delete static_cast<Watch*>(self);
    return Action::disarm;
  }
};

Resolver::Channel::Watch* Resolver::Channel::find(int fd) {
  Watch* found = nullptr;
  watches_.for_each_backwards([&](Watch& watch) {
    if (watch.fd == fd) found = &watch;
  });
  return found;
}

void Resolver::Channel::on_socket_state(void* self, ares_socket_t fd, int readable, int writable) {
  Watch* watch = static_cast<Channel*>(self)->find(fd);
  if (watch != nullptr) watch->want(readable != 0, writable != 0);
}

ares_socket_t Resolver::Channel::open_socket(int family, int type, int protocol, void* self) {
  const int fd = sys::above_stdio(
                     sys::OwnedFd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)))
                     .release();
  if (fd < 0) return ARES_SOCKET_BAD;
  auto& channel = *static_cast<Channel*>(self);
  auto* watch = new (std::nothrow) Watch(channel, fd);
  if (watch == nullptr) {
    ::close(fd);
    errno = ENOMEM;
    return ARES_SOCKET_BAD;
  }
  channel.watches_.push_back(*watch);
  const int on = 1;
  if (type == SOCK_STREAM) (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int Resolver::Channel::close_socket(ares_socket_t fd, void* self) {
  if (Watch* watch = static_cast<Channel*>(self)->find(fd)) watch->close();
  return 0;
}

int Resolver::Channel::connect(ares_socket_t fd, const sockaddr* address, ares_socklen_t size,
                               void*) {
  return ::connect(fd, address, size);
}

ares_ssize_t Resolver::Channel::receive(ares_socket_t fd, void* buffer, std::size_t size, int flags,
                                        sockaddr* from, ares_socklen_t* from_size, void* self) {
  const ssize_t received = ::recvfrom(fd, buffer, size, flags, from, from_size);
  // Whose address is not asked for is a stream, with no header at its beginning.
  const bool datagram = from != nullptr && received > static_cast<ssize_t>(rcode_byte);
  static_cast<Channel*>(self)->rcode_ =
      datagram ? static_cast<const unsigned char*>(buffer)[rcode_byte] & 0xf : no_rcode;
  return received;
}

// Not writev: a server that has gone raises SIGPIPE there. A datagram's refusal is
// told to the next call on its socket. Told to a send, c-ares would move only that
// query to another server; sent again, the refusal of this one is read, and moves all.
ares_ssize_t Resolver::Channel::send(ares_socket_t fd, const iovec* buffers, int count, void*) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(buffers);
  message.msg_iovlen = static_cast<std::size_t>(count);
  const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  if (sent >= 0 || errno != ECONNREFUSED) return sent;
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

// Opening and closing ---------------------------------------------------------------

Expected<void> Resolver::Channel::open(const ResolverOptions& options) {
  static const int initialized = ares_library_init(ARES_LIB_INIT_ALL);
  if (initialized != ARES_SUCCESS) return std::unexpected(to_error(initialized, no_rcode));
  if (auto kept = keep(options); !kept) return kept;
  read_ = FileIdentity::of(resolv_conf_.data());  // before it is read
  at_once_ = std::max<std::size_t>(options.at_once, 1);
  constexpr std::int64_t an_hour = 3'600'000;
  std::array<char, 3> lookups = {'f', 'b', '\0'};
  ares_options settings{};
  settings.flags = ARES_FLAG_NOALIASES | (options.search ? 0 : ARES_FLAG_NOSEARCH);
  settings.timeout =
      static_cast<int>(std::clamp<std::int64_t>(options.timeout.count(), 1, an_hour));
  settings.tries = std::clamp(options.tries, 1, 100);
  settings.lookups = lookups.data() + (options.hosts_file ? 0 : 1);
  settings.sock_state_cb = on_socket_state;
  settings.sock_state_cb_data = this;
  settings.resolvconf_path = resolv_conf_.data();
  // No domains: some versions do not look at ARES_FLAG_NOSEARCH here.
  int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
              ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF |
              (options.search ? 0 : ARES_OPT_DOMAINS);
#ifdef ARES_OPT_UDP_MAX_QUERIES
  // A socket for each question: c-ares 1.34 counts a malformed answer as a failed
  // try of all questions on its socket.
  settings.udp_max_queries = 1;
  given |= ARES_OPT_UDP_MAX_QUERIES;
#endif
  if (const int status = ares_init_options(&channel_, &settings, given); status != ARES_SUCCESS) {
    channel_ = nullptr;
    return std::unexpected(to_error(status, no_rcode));
  }
  ares_set_socket_functions(channel_, &socket_functions, this);
  return set_servers(options);
}

// The caller's may be gone when they are needed again.
Expected<void> Resolver::Channel::keep(const ResolverOptions& options) {
  constexpr std::string_view usual = "/etc/resolv.conf";
  const std::string_view path = options.resolv_conf.empty() ? usual : options.resolv_conf;
  if (options.servers.size() > most_servers || options.server_list.size() > longest_server_list ||
      path.size() > longest_path) {
    return std::unexpected(std::errc::invalid_argument);
  }
  for (const Address& server : options.servers) {
    if (!servers_.push_back(server)) return std::unexpected(std::errc::not_enough_memory);
  }
  std::ranges::copy(options.server_list, server_list_.begin());
  std::ranges::copy(path, resolv_conf_.begin());
  options_ = options;
  options_.servers = {servers_.data(), servers_.size()};
  options_.server_list = {server_list_.data(), options.server_list.size()};
  options_.resolv_conf = {resolv_conf_.data(), path.size()};
  return {};
}

bool Resolver::Channel::is_outdated() { return !(FileIdentity::of(resolv_conf_.data()) == read_); }

Resolver::Channel* Resolver::Channel::renewed() {
  auto* channel = new (std::nothrow) Channel(loop_);
  if (channel == nullptr) return nullptr;
  if (!channel->open(options_)) {
    channel->close();
    return nullptr;
  }
  retire(*channel);
  return channel;
}

// What it has not asked yet the successor does; what it has it ends itself.
void Resolver::Channel::retire(Channel& successor) {
  newer_ = &successor;
  successor.older_ = this;
  while (!waiting_.empty()) {
    Query& query = waiting_.pop_front();
    query.channel = &successor;
    successor.waiting_.push_back(query);
  }
  if (asked_ == 0) close();
}

Expected<void> Resolver::Channel::set_servers(const ResolverOptions& options) {
  int status = ARES_SUCCESS;
  if (!options.servers.empty()) {
    std::array<ares_addr_port_node, most_servers> nodes{};
    for (std::size_t i = 0; i < options.servers.size(); ++i) {
      const Address& server = options.servers[i];
      const bool ipv4 = server.family() == Address::Family::ipv4;
      if (!ipv4 && server.family() != Address::Family::ipv6) {
        return std::unexpected(std::errc::invalid_argument);
      }
      nodes[i].family = ipv4 ? AF_INET : AF_INET6;
      nodes[i].udp_port = nodes[i].tcp_port = server.port();
      const auto* raw = static_cast<const std::byte*>(server.data());
      std::memcpy(&nodes[i].addr, raw + (ipv4 ? 4 : 8), ipv4 ? 4 : 16);
      nodes[i].next = i + 1 < options.servers.size() ? &nodes[i + 1] : nullptr;
    }
    status = ares_set_servers_ports(channel_, nodes.data());
  } else if (!options.server_list.empty()) {
    status = ares_set_servers_ports_csv(channel_, server_list_.data());
  }
  if (status == ARES_SUCCESS) return {};
  if (status == ARES_ENOMEM) return std::unexpected(std::errc::not_enough_memory);
  return std::unexpected(std::errc::invalid_argument);
}

void Resolver::Channel::close_all() {
  for (Channel* channel = this; channel != nullptr;) {
    Channel* older = channel->older_;
    channel->close();
    channel = older;
  }
}

void Resolver::Channel::close() {
  if (newer_ != nullptr) newer_->older_ = older_;
  if (older_ != nullptr) older_->newer_ = newer_;
  newer_ = older_ = nullptr;
  if (channel_ != nullptr) ares_destroy(channel_);
  channel_ = nullptr;
  fail_waiting(Errc::operation_canceled);
  if (timer_.state() == Completion::State::dead) {
    delete this;
  } else {
    take_timer_back();
    loop_.orphan(timer_);
  }
}

// Names -----------------------------------------------------------------------------

void Resolver::Channel::add(Query& query) {
  waiting_.push_back(query);
  ask_next();
  // Once for all names of this turn.
  if (asked_ > 0 && !looks_soon_) {
    looks_soon_ = loop_.timer_reset(timer_, Duration::zero(), this, on_timer);
  }
}

void Resolver::Channel::withdraw(Query& query) {
  if (query.linked()) {
    query.unlink();
    delete &query;
    return;
  }
  // c-ares cannot give one back. It ends by itself, or with the last one wanted.
  query.request = nullptr;
  --wanted_;
  drop_unwanted();
  ask_next();
  set_timer();
}

void Resolver::Channel::ask_next() {
  while (!waiting_.empty() && wanted_ < at_once_ && asked_ < most_unwanted * at_once_) {
    ask(waiting_.pop_front());
  }
}

void Resolver::Channel::ask(Query& query) {
  ++asked_;
  ++wanted_;
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo(channel_, query.name.data(), nullptr, &hints, on_answer, &query);
}

void Resolver::Channel::on_answer(void* self, int status, int, ares_addrinfo* found) {
  auto& query = *static_cast<Query*>(self);
  Channel& channel = *query.channel;
  --channel.asked_;
  if (query.request == nullptr) {
    delete &query;
  } else {
    --channel.wanted_;
    channel.finish(query, status, found);
  }
  if (found != nullptr) ares_freeaddrinfo(found);
}

void Resolver::Channel::finish(Query& query, int status, const ares_addrinfo* found) {
  ResolveRequest& request = *query.request;
  const auto fail = [&](Error error) {
    request.query_ = nullptr;
    delete &query;
    request.fail(error);
  };
  if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION) return fail(reason_);
  if (status != ARES_SUCCESS) return fail(to_error(status, rcode_));
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    if (node->ai_family != AF_INET && node->ai_family != AF_INET6) continue;
    if (!query.addresses.push_back(address_of(node->ai_addr, query.port))) {
      return fail(std::errc::not_enough_memory);
    }
  }
  if (query.addresses.empty()) return fail(ResolveErrc::no_address);
  query.channel = nullptr;
  request.deliver_later();
}

void Resolver::Channel::fail_all(Error error) {
  reason_ = error;
  ares_cancel(channel_);
  reason_ = Errc::operation_canceled;
  fail_waiting(error);
  set_timer();
}

void Resolver::Channel::fail_waiting(Error error) {
  while (!waiting_.empty()) {
    Query& query = waiting_.pop_front();
    query.request->query_ = nullptr;
    query.request->fail(error);
    delete &query;
  }
}

// Driving ---------------------------------------------------------------------------

void Resolver::Channel::process(ares_socket_t in, ares_socket_t out) {
  ares_process_fd(channel_, in, out);
  has_processed();
}

// What has come is read first: a busy program may see it later than that its time is over.
void Resolver::Channel::process_due() {
  fd_set readable;
  fd_set none;
  FD_ZERO(&readable);
  FD_ZERO(&none);
  watches_.for_each([&readable](const Watch& watch) {
    if (watch.sides[Watch::in].wanted && watch.fd < FD_SETSIZE) FD_SET(watch.fd, &readable);
  });
  ares_process(channel_, &readable, &none);
  has_processed();
}

void Resolver::Channel::has_processed() {
  rcode_ = no_rcode;
  drop_unwanted();
  ask_next();
  set_timer();
}

void Resolver::Channel::drop_unwanted() {
  if (wanted_ == 0 && asked_ > 0) ares_cancel(channel_);
}

void Resolver::Channel::set_timer() {
  if (newer_ != nullptr && asked_ == 0) return close();
  looks_soon_ = false;
  timeval left{};
  if (asked_ == 0 || ares_timeout(channel_, nullptr, &left) == nullptr) return take_timer_back();
  // A millisecond more: the loop counts from the beginning of its turn, and
  // coming too early would be in vain.
  const auto delay = std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec) +
                     std::chrono::milliseconds(1);
  // Being taken back it comes here again.
  (void)loop_.timer_reset(timer_, delay, this, on_timer);
}

void Resolver::Channel::take_timer_back() {
  if (timer_.state() == Completion::State::dead) return;
  taking_timer_back_ = true;
  loop_.cancel(timer_);
}

Action Resolver::Channel::on_timer(void* self, Loop&, Completion&, Result result) {
  auto& channel = *static_cast<Channel*>(self);
  const bool ours = std::exchange(channel.taking_timer_back_, false);
  if (channel.channel_ == nullptr) {
    delete &channel;
  } else if (!result && !ours) {
    channel.fail_all(result.error());  // the loop drains
  } else {
    channel.process_due();
  }
  return Action::disarm;
}

// Requests --------------------------------------------------------------------------

void ResolveRequest::Query::withdraw() noexcept { channel->withdraw(*this); }

void ResolveRequest::cancel() noexcept {
  if (query_ == nullptr || query_->channel == nullptr) return;
  std::exchange(query_, nullptr)->withdraw();
  fail(Errc::operation_canceled);
}

void ResolveRequest::deliver_later() noexcept {
  loop_->add(completion_, op::noop(), this, on_delivery);
}

ResolveRequest::~ResolveRequest() {
  WEV_ASSERT(!active(), "~ResolveRequest: it is still active");
  delete found_;
}

void ResolveRequest::fail(Error error) noexcept {
  error_ = error;
  deliver_later();
}

Action ResolveRequest::on_delivery(void* self, Loop&, Completion&, Result) {
  auto& request = *static_cast<ResolveRequest*>(self);
  request.loop_ = nullptr;
  request.found_ = std::exchange(request.query_, nullptr);
  if (request.found_ == nullptr) {
    request.callback_(std::unexpected(request.error_));
  } else {
    const Array<Address>& found = request.found_->addresses;
    request.callback_(Addresses(&found[0], found.size()));
  }
  return Action::disarm;
}

// The resolver ----------------------------------------------------------------------

Resolver::~Resolver() {
  if (channel_ != nullptr) channel_->close_all();
}

Expected<void> Resolver::open(const ResolverOptions& options) noexcept {
  WEV_ASSERT(!is_open(), "Resolver::open: it is open");
  auto* channel = new (std::nothrow) Channel(loop_);
  if (channel == nullptr) return std::unexpected(std::errc::not_enough_memory);
  if (auto opened = channel->open(options); !opened) {
    channel->close();
    return opened;
  }
  channel_ = channel;
  return {};
}

// Where there is no memory the next name may have more.
void Resolver::take_up_changes() noexcept {
  if (!channel_->is_outdated()) return;
  if (Channel* renewed = channel_->renewed()) channel_ = renewed;
}

void Resolver::start(ResolveRequest& request, std::string_view name, std::uint16_t port) noexcept {
  WEV_ASSERT(is_open(), "Resolver::resolve: it is not open");
  delete std::exchange(request.found_, nullptr);
  const std::size_t most = name.ends_with('.') ? longest_name : longest_name - 1;
  if (name.empty() || name.size() > most || name.contains('\0')) {
    return request.fail(ResolveErrc::malformed_name);
  }
  auto* query = new (std::nothrow) ResolveRequest::Query;
  if (query == nullptr) return request.fail(std::errc::not_enough_memory);
  std::ranges::copy(name, query->name.begin());
  query->port = port;
  query->request = &request;
  request.query_ = query;
  if (const auto address = Address::numeric(query->name.data(), port)) {
    if (query->addresses.push_back(*address)) return request.deliver_later();
    delete std::exchange(request.query_, nullptr);
    return request.fail(std::errc::not_enough_memory);
  }
  take_up_changes();
  query->channel = channel_;
  channel_->add(*query);
}

}  // namespace wev
