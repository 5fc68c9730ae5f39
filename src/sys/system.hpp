// system.hpp: the functions of the real system, what a port must define, in one place.
//
// What each does is said at System's of the same name (wev/sys/system.hpp). One
// implementation is linked. Together with the ABI header beside it, it is the only reader
// of native error codes.
#pragma once

#include <cstddef>

#include "wev/base/error.hpp"
#include "wev/sys/system.hpp"

namespace wev::sys {

Expected<DescriptorTraits> examine(int fd, bool set_nonblocking) noexcept;

Result read(int fd, std::span<std::byte> buffer) noexcept;
Result readv(int fd, std::span<const IoVec> buffers) noexcept;
Result pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) noexcept;
Result write(int fd, std::span<const std::byte> buffer) noexcept;
Result writev(int fd, std::span<const IoVec> buffers) noexcept;
Result pwrite(int fd, std::span<const std::byte> buffer, std::uint64_t offset) noexcept;
Result poll(int fd, Direction direction) noexcept;
Result open(int directory, const char* path, std::uint32_t flags, std::uint32_t mode) noexcept;
Result pipe(std::span<int, 2> ends) noexcept;
Result duplicate(int fd) noexcept;
Result close(int fd) noexcept;
Result size(int fd) noexcept;
Result fsync(int fd) noexcept;
Result socket(SocketFamily family, SocketType type) noexcept;
Result bind(int fd, const Address& address) noexcept;
Result listen(int fd, std::uint32_t backlog) noexcept;
Result local_address(int fd, Address& address) noexcept;
Result remote_address(int fd, Address& address) noexcept;
Result set_option(int fd, SocketOption option, int value) noexcept;
Result connect(int fd, const Address& address) noexcept;
Result accept(int fd) noexcept;
Result recv(int fd, std::span<std::byte> buffer, std::uint32_t flags) noexcept;
Result recv_from(int fd, std::span<std::byte> buffer, Address& from) noexcept;
Result send(int fd, std::span<const std::byte> buffer) noexcept;
Result send_to(int fd, std::span<const std::byte> buffer, const Address& to) noexcept;
Result shutdown(int fd, Shutdown how) noexcept;
Result spawn(Spawn& spawn) noexcept;
Result wait_process(int fd, int pid) noexcept;
Result kill_process(int fd, int pid, int signal) noexcept;
Result release_process(int fd, int pid) noexcept;
Result watch_signal(int signal) noexcept;
Result wait_signal(int fd) noexcept;
Result unwatch_signal(int fd) noexcept;

/// Writes a last line to stderr, as well as that goes.
void write_to_stderr(const char* text, std::size_t size) noexcept;

}  // namespace wev::sys
