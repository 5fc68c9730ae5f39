// address.hpp: where a socket is: IPv4, IPv6, or a path of this machine.
//
// A value of 116 bytes that allocates nothing. Inside it is what Linux calls a
// sockaddr (ip(7), ipv6(7), unix(7)), byte for byte, on every platform. So Linux takes it as
// it is, and others after its first two bytes were rewritten.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <optional>
#include <string_view>

namespace wev {

class Address {
 public:
  enum class Family : std::uint8_t { none, ipv4, ipv6, unix_path };

  /// Longest path of a Unix socket.
  static constexpr std::size_t longest_path = 107;

  Address() = default;

  static Address ipv4(const std::array<std::uint8_t, 4>& bytes, std::uint16_t port) noexcept {
    Address address;
    address.begin(af_inet, 16, port);
    std::memcpy(address.bytes_.data() + 4, bytes.data(), bytes.size());
    return address;
  }
  /// `scope`: the index of a network interface, for link-local addresses.
  static Address ipv6(const std::array<std::uint8_t, 16>& bytes, std::uint16_t port,
                      std::uint32_t scope = 0) noexcept {
    Address address;
    address.begin(af_inet6, 28, port);
    std::memcpy(address.bytes_.data() + 8, bytes.data(), bytes.size());
    std::memcpy(address.bytes_.data() + 24, &scope, sizeof scope);
    return address;
  }
  /// 127.0.0.1. Port 0 makes bind choose one.
  static Address loopback(std::uint16_t port = 0) noexcept { return ipv4({127, 0, 0, 1}, port); }
  /// ::1
  static Address loopback_ipv6(std::uint16_t port = 0) noexcept {
    return ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, port);
  }
  /// 0.0.0.0: to listen on all of this machine's IPv4 addresses.
  static Address any(std::uint16_t port = 0) noexcept { return ipv4({0, 0, 0, 0}, port); }
  /// [::]: on all of both families, unless ListenOptions::ipv6_only says otherwise.
  static Address any_ipv6(std::uint16_t port = 0) noexcept { return ipv6({}, port); }
  /// A path that begins with '\0' is a name of Linux's abstract namespace.
  /// nullopt: it is empty, longer than longest_path, or a path with a '\0' further inside,
  /// where systems would cut it; an abstract name may have them.
  static std::optional<Address> unix_path(std::string_view path) noexcept {
    if (path.empty() || path.size() > longest_path) return std::nullopt;
    if (path[0] != '\0' && path.contains('\0')) return std::nullopt;
    Address address;
    address.put_family(af_unix);
    std::memcpy(address.bytes_.data() + 2, path.data(), path.size());
    // An abstract name ends with its size, any other with a zero.
    address.size_ = static_cast<std::uint32_t>(2 + path.size() + (path[0] == '\0' ? 0 : 1));
    return address;
  }

  /// Where parsing stopped: the index of the first character that is wrong, or the
  /// length of the text if it ends too early.
  struct ParseError {
    std::size_t position;
  };
  /// "192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%2]:80" (with a scope), "unix:/path",
  /// "unix:@abstract". The port may be missing: it is 0 then, and IPv6 needs no
  /// brackets.
  static std::expected<Address, ParseError> parse(std::string_view text) noexcept;
  /// An IP address without a port, with this one; nullopt: it is none, but a name perhaps.
  static std::optional<Address> numeric(std::string_view host, std::uint16_t port) noexcept;

  /// As parse() takes it, IPv6 in the form of RFC 5952; empty if there is none.
  class Text;
  [[nodiscard]] Text text() const noexcept;

  [[nodiscard]] Family family() const noexcept {
    std::uint16_t family = 0;
    std::memcpy(&family, bytes_.data(), sizeof family);
    if (size_ < 2) return Family::none;
    return family == af_inet    ? Family::ipv4
           : family == af_inet6 ? Family::ipv6
           : family == af_unix  ? Family::unix_path
                                : Family::none;
  }
  /// 0 where there is none.
  [[nodiscard]] std::uint16_t port() const noexcept {
    const bool ip = family() == Family::ipv4 || family() == Family::ipv6;
    if (!ip) return 0;
    return static_cast<std::uint16_t>(byte(2) << 8 | byte(3));
  }
  /// Of an IPv6 address, else 0.
  [[nodiscard]] std::uint32_t scope() const noexcept {
    std::uint32_t scope = 0;
    if (family() == Family::ipv6) std::memcpy(&scope, bytes_.data() + 24, sizeof scope);
    return scope;
  }
  /// REQUIRES: it is an IPv4 or IPv6 address.
  void set_port(std::uint16_t port) noexcept {
    bytes_[2] = static_cast<std::byte>(port >> 8);
    bytes_[3] = static_cast<std::byte>(port & 0xff);
  }
  /// Of a Unix socket; empty where it has none.
  [[nodiscard]] std::string_view path() const noexcept {
    if (family() != Family::unix_path || size_ <= 2) return {};
    const std::string_view all(reinterpret_cast<const char*>(bytes_.data()) + 2, size_ - 2);
    return all[0] == '\0' ? all : all.substr(0, all.find('\0'));
  }

  friend bool operator==(const Address& a, const Address& b) noexcept {
    return a.size_ == b.size_ && std::memcmp(a.bytes_.data(), b.bytes_.data(), a.size_) == 0;
  }

  // For systems: the sockaddr and how much of it is used.

  static constexpr std::size_t capacity = 112;
  [[nodiscard]] void* data() noexcept { return bytes_.data(); }
  [[nodiscard]] const void* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  void set_size(std::size_t size) noexcept {
    size_ = static_cast<std::uint32_t>(size < capacity ? size : capacity);
  }

 private:
  // Linux's numbers, see sys/linux.cpp.
  static constexpr std::uint16_t af_unix = 1;
  static constexpr std::uint16_t af_inet = 2;
  static constexpr std::uint16_t af_inet6 = 10;

  [[nodiscard]] unsigned byte(std::size_t i) const noexcept {
    return std::to_integer<unsigned>(bytes_[i]);
  }
  void put_family(std::uint16_t family) noexcept {
    std::memcpy(bytes_.data(), &family, sizeof family);
  }
  void begin(std::uint16_t family, std::uint32_t size, std::uint16_t port) noexcept {
    put_family(family);
    size_ = size;
    set_port(port);
  }

  alignas(8) std::array<std::byte, capacity> bytes_{};
  std::uint32_t size_ = 0;
};

class Address::Text {
 public:
  [[nodiscard]] std::string_view view() const noexcept { return {characters_, size_}; }
  operator std::string_view() const noexcept {
    return view();
  }  // NOLINT(google-explicit-constructor)
  /// Ends with a zero.
  [[nodiscard]] const char* c_str() const noexcept { return characters_; }

 private:
  friend class Address;
  void append(std::string_view text) noexcept {
    for (const char c : text) characters_[size_++] = c;
  }
  void append(std::uint32_t number, unsigned base = 10) noexcept;

  char characters_[120] = {};  // "unix:" and the longest path
  std::size_t size_ = 0;
};

/// The caller's memory for an operation on a datagram: whom it is for or whom it
/// came from, and room for the system's own message header.
struct Message {
  Address address;
  /// For systems.
  alignas(8) std::array<std::byte, 72> header{};
};

}  // namespace wev
