// A System that can do nothing.
#include "wev/sys/system.hpp"

namespace wev {
namespace {

std::unexpected<Error> lacking() noexcept {
  return std::unexpected<Error>(std::errc::operation_not_supported);
}

}  // namespace

Expected<DescriptorTraits> System::examine(int, bool) { return lacking(); }
Result System::read(int, std::span<std::byte>) { return lacking(); }
Result System::readv(int, std::span<const IoVec>) { return lacking(); }
Result System::pread(int, std::span<std::byte>, std::uint64_t) { return lacking(); }
Result System::write(int, std::span<const std::byte>) { return lacking(); }
Result System::writev(int, std::span<const IoVec>) { return lacking(); }
Result System::pwrite(int, std::span<const std::byte>, std::uint64_t) { return lacking(); }
Result System::poll(int, Direction) { return lacking(); }
Result System::open(int, const char*, std::uint32_t, std::uint32_t) { return lacking(); }
Result System::pipe(std::span<int, 2>) { return lacking(); }
Result System::duplicate(int) { return lacking(); }
Result System::close(int) { return lacking(); }
Result System::size(int) { return lacking(); }
Result System::fsync(int) { return lacking(); }
Result System::socket(SocketFamily, SocketType) { return lacking(); }
Result System::bind(int, const Address&) { return lacking(); }
Result System::listen(int, std::uint32_t) { return lacking(); }
Result System::local_address(int, Address&) { return lacking(); }
Result System::remote_address(int, Address&) { return lacking(); }
Result System::set_option(int, SocketOption, int) { return lacking(); }
Result System::connect(int, const Address&) { return lacking(); }
Result System::accept(int) { return lacking(); }
Result System::recv(int, std::span<std::byte>, std::uint32_t) { return lacking(); }
Result System::recv_from(int, std::span<std::byte>, Address&) { return lacking(); }
Result System::send(int, std::span<const std::byte>) { return lacking(); }
Result System::send_to(int, std::span<const std::byte>, const Address&) { return lacking(); }
Result System::shutdown(int, Shutdown) { return lacking(); }
Result System::spawn(Spawn&) { return lacking(); }
Result System::wait_process(int, int) { return lacking(); }
Result System::kill_process(int, int, int) { return lacking(); }
Result System::release_process(int, int) { return lacking(); }
Result System::watch_signal(int) { return lacking(); }
Result System::wait_signal(int) { return lacking(); }
Result System::unwatch_signal(int) { return lacking(); }

}  // namespace wev
