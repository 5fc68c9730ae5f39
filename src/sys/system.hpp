// system.hpp: what a system must define, in one place.
//
// One implementation is linked: wasi_system.cpp, or linux_system.cpp and
// linux_process.cpp. Together with the ABI header beside it, it is the only reader
// of native error codes.
#pragma once

#include <cstddef>

#include "wev/base/error.hpp"
#include "wev/loop/operation.hpp"

namespace wev::sys {

/// Carry out an operation now, for OperationType::perform.
Result read(const Operation& operation) noexcept;
Result readv(const Operation& operation) noexcept;
Result pread(const Operation& operation) noexcept;
Result write(const Operation& operation) noexcept;
Result writev(const Operation& operation) noexcept;
Result pwrite(const Operation& operation) noexcept;
Result poll(const Operation& operation) noexcept;
Result open(const Operation& operation) noexcept;
Result socket(const Operation& operation) noexcept;
Result pipe(const Operation& operation) noexcept;
Result bind(const Operation& operation) noexcept;
Result listen(const Operation& operation) noexcept;
Result local_address(const Operation& operation) noexcept;
Result remote_address(const Operation& operation) noexcept;
Result set_option(const Operation& operation) noexcept;
Result connect(const Operation& operation) noexcept;
Result accept(const Operation& operation) noexcept;
Result recv(const Operation& operation) noexcept;
Result recv_from(const Operation& operation) noexcept;
Result send(const Operation& operation) noexcept;
Result send_to(const Operation& operation) noexcept;
Result shutdown(const Operation& operation) noexcept;
Result size(const Operation& operation) noexcept;
Result fsync(const Operation& operation) noexcept;
Result close(const Operation& operation) noexcept;
Result spawn(const Operation& operation) noexcept;
Result wait_process(const Operation& operation) noexcept;
Result kill_process(const Operation& operation) noexcept;
Result release_process(const Operation& operation) noexcept;
Result watch_signal(const Operation& operation) noexcept;
Result wait_signal(const Operation& operation) noexcept;
Result unwatch_signal(const Operation& operation) noexcept;

/// For OperationType::examine.
std::expected<DescriptorTraits, Error> examine(int fd, bool set_nonblocking) noexcept;

/// Writes a last line to stderr, as well as that goes.
void write_to_stderr(const char* text, std::size_t size) noexcept;

}  // namespace wev::sys
