#include "wev/base/address.hpp"

#include <limits>

namespace wev {

namespace {

// A text that is read from its front. Each take_ leaves `position` where it
// stopped, which is where an error is.
struct Reader {
  std::string_view text;
  std::size_t position = 0;

  [[nodiscard]] bool done() const noexcept { return position == text.size(); }
  [[nodiscard]] char next() const noexcept { return done() ? '\0' : text[position]; }
  [[nodiscard]] bool starts(std::string_view with) const noexcept {
    return text.substr(position).starts_with(with);
  }
  bool take(std::string_view what) noexcept {
    if (!starts(what)) return false;
    position += what.size();
    return true;
  }

  [[nodiscard]] static int digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 16;
  }
  /// Digits of `base` up to `most`; nullopt: none, or more than that.
  std::optional<std::uint32_t> take_number(int base, std::uint32_t most) noexcept {
    std::uint64_t number = 0;
    bool any = false;
    for (; !done() && digit(next()) < base; ++position, any = true) {
      number = number * static_cast<unsigned>(base) + static_cast<unsigned>(digit(next()));
      if (number > most) return std::nullopt;
    }
    if (!any) return std::nullopt;
    return static_cast<std::uint32_t>(number);
  }

  // Decimal, without leading zeros: some read those as octal.
  bool take_ipv4(std::uint8_t* bytes) noexcept {
    for (int i = 0; i < 4; ++i) {
      if (i > 0 && !take(".")) return false;
      if (next() == '0' && position + 1 < text.size() && digit(text[position + 1]) < 10) {
        ++position;
        return false;
      }
      const auto byte = take_number(10, 255);
      if (!byte) return false;
      bytes[i] = static_cast<std::uint8_t>(*byte);
    }
    return true;
  }

  bool take_ipv6(std::array<std::uint8_t, 16>& bytes) noexcept;
  bool take_port(std::uint16_t& port) noexcept {
    const auto number = take_number(10, std::numeric_limits<std::uint16_t>::max());
    port = static_cast<std::uint16_t>(number.value_or(0));
    return number.has_value();
  }
};

// RFC 4291, 2.2: groups of 16 bits, one gap "::", the last two as IPv4.
bool Reader::take_ipv6(std::array<std::uint8_t, 16>& bytes) noexcept {
  std::size_t size = 0;
  std::optional<std::size_t> gap;
  if (take("::")) gap = 0;
  while (size < 16 && digit(next()) < 16) {
    const std::size_t start = position;
    const auto group = take_number(16, 0xffff);
    if (next() == '.' && size <= 12) {
      position = start;
      if (!take_ipv4(bytes.data() + size)) return false;
      size += 4;
      break;
    }
    if (!group || position - start > 4) return false;
    bytes[size++] = static_cast<std::uint8_t>(*group >> 8);
    bytes[size++] = static_cast<std::uint8_t>(*group & 0xff);
    if (size == 16) break;
    if (!gap && take("::")) {
      gap = size;
    } else if (next() != ':') {
      break;
    } else if (position + 1 < text.size() && digit(text[position + 1]) < 16) {
      ++position;
    } else {
      ++position;
      return false;
    }
  }
  if (!gap) return size == 16;
  if (size == 16) return false;  // a gap of nothing
  const std::size_t behind = size - *gap;
  std::memmove(bytes.data() + 16 - behind, bytes.data() + *gap, behind);
  std::memset(bytes.data() + *gap, 0, 16 - size);
  return true;
}

}  // namespace

std::expected<Address, Address::ParseError> Address::parse(std::string_view text) noexcept {
  Reader reader{text};
  const auto wrong = [&reader] { return std::unexpected(ParseError{reader.position}); };
  if (reader.take("unix:")) {
    std::array<char, longest_path> path{};
    const std::string_view rest = text.substr(reader.position);
    if (rest.empty() || rest.size() > path.size()) {
      reader.position += rest.empty() ? 0 : path.size();
      return wrong();
    }
    std::memcpy(path.data(), rest.data(), rest.size());
    if (path[0] == '@') path[0] = '\0';
    const auto address = unix_path({path.data(), rest.size()});
    if (address) return *address;
    reader.position += rest.find('\0');
    return wrong();
  }
  std::uint16_t port = 0;
  const bool brackets = reader.take("[");
  const std::size_t colon = text.find(':');
  if (!brackets && (colon == text.npos || text.find(':', colon + 1) == text.npos)) {
    std::array<std::uint8_t, 4> bytes{};
    if (!reader.take_ipv4(bytes.data())) return wrong();
    if (reader.take(":") && !reader.take_port(port)) return wrong();
    if (!reader.done()) return wrong();
    return ipv4(bytes, port);
  }
  std::array<std::uint8_t, 16> bytes{};
  std::uint32_t scope = 0;
  if (!reader.take_ipv6(bytes)) return wrong();
  if (reader.take("%")) {
    const auto number = reader.take_number(10, std::numeric_limits<std::uint32_t>::max());
    if (!number) return wrong();
    scope = *number;
  }
  if (brackets && !reader.take("]")) return wrong();
  if (brackets && reader.take(":") && !reader.take_port(port)) return wrong();
  if (!reader.done()) return wrong();
  return ipv6(bytes, port, scope);
}

std::optional<Address> Address::numeric(std::string_view host, std::uint16_t port) noexcept {
  auto address = parse(host);
  const bool is_ip = address && address->port() == 0 &&
                     (address->family() == Family::ipv4 || address->family() == Family::ipv6);
  if (!is_ip) return std::nullopt;
  address->set_port(port);
  return *address;
}

// Printing ---------------------------------------------------------------------------

void Address::Text::append(std::uint32_t number, unsigned base) noexcept {
  char digits[10];
  std::size_t count = 0;
  do {
    digits[count++] = "0123456789abcdef"[number % base];
    number /= base;
  } while (number > 0);
  while (count > 0) characters_[size_++] = digits[--count];
}

namespace {

struct Gap {
  std::size_t begin = 8;
  std::size_t size = 0;
};

// The longest run of zero groups, of two at least, the first of equal ones.
Gap longest_gap(const std::array<std::uint16_t, 8>& groups) noexcept {
  Gap longest;
  Gap run;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != 0) {
      run.size = 0;
      continue;
    }
    if (run.size++ == 0) run.begin = i;
    if (run.size > longest.size && run.size > 1) longest = run;
  }
  return longest;
}

}  // namespace

Address::Text Address::text() const noexcept {
  Text text;
  switch (family()) {
    case Family::none: break;
    case Family::unix_path: {
      const std::string_view name = path();
      text.append("unix:");
      const bool abstract = !name.empty() && name[0] == '\0';
      if (abstract) text.append("@");
      text.append(name.substr(abstract ? 1 : 0));
      break;
    }
    case Family::ipv4:
      for (std::size_t i = 0; i < 4; ++i) {
        if (i > 0) text.append(".");
        text.append(byte(4 + i));
      }
      text.append(":");
      text.append(port());
      break;
    case Family::ipv6: {
      std::array<std::uint16_t, 8> groups{};
      for (std::size_t i = 0; i < 8; ++i) {
        groups[i] = static_cast<std::uint16_t>(byte(8 + 2 * i) << 8 | byte(9 + 2 * i));
      }
      const Gap gap = longest_gap(groups);
      text.append("[");
      for (std::size_t i = 0; i < 8; ++i) {
        if (i >= gap.begin && i < gap.begin + gap.size) {
          if (i == gap.begin) text.append("::");
          continue;
        }
        if (i > 0 && i != gap.begin + gap.size) text.append(":");
        text.append(groups[i], 16);
      }
      if (scope() != 0) {
        text.append("%");
        text.append(scope());
      }
      text.append("]:");
      text.append(port());
      break;
    }
  }
  return text;
}

}  // namespace wev
