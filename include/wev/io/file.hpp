// file.hpp: files.
//
//   auto file = co_await wev::File::open(loop, "log.txt", wev::open_read);
//   auto size = co_await file->read_at(buffer, 0);
//
// A File is a Stream as well: read_some and the like go on from its position,
// which read_at and write_at leave alone. Operations on files cannot be
// interrupted once they have begun: a cancelled one may end with its real result.
//
// FIFOs     Opening one does not wait for its other end. For reading it ends at once; the
//           first read waits for a writer, with deadline and cancel as any. For writing
//           where nobody reads it ends with no_such_device_or_address: try again later.
//           (Natively. WASI hosts open as they do.)
#pragma once

#include "wev/io/stream.hpp"

namespace wev {

class File : public Stream {
 public:
  using Stream::Stream;

  /// Ends with a File. `path` counts from where the program was started and stays
  /// alive until then. `flags`: OpenFlags; `mode`: the permissions of what is made.
  /// no_such_file_or_directory, permission_denied, file_exists, ...
  static Awaitable<ToOwned<File>> open(Loop& loop, const char* path, std::uint32_t flags,
                                       std::uint32_t mode = 0644) noexcept {
    return {loop, op::open(op::working_directory, path, flags, mode)};
  }

  /// End with the bytes moved: often fewer than buffer.size(), not only at the end of the file.
  /// Files of /proc give a page at a time, Linux moves at most 2 GiB at once, Wasmtime 64 KiB.
  /// 0 bytes read are the end.
  Awaitable<> read_at(MutableBuffer buffer, std::uint64_t offset) const noexcept {
    return {loop(), op::pread(fd(), buffer, offset)};
  }
  Awaitable<> write_at(ConstBuffer buffer, std::uint64_t offset) const noexcept {
    return {loop(), op::pwrite(fd(), buffer, offset)};
  }

  /// End with buffer.size(), never with fewer: see Stream::read_exactly and write_all.
  Awaitable<ToAll> read_exactly_at(MutableBuffer buffer, std::uint64_t offset) const noexcept {
    return {loop(), op::whole(op::pread(fd(), buffer, offset))};
  }
  Awaitable<ToAll> write_all_at(ConstBuffer buffer, std::uint64_t offset) const noexcept {
    return {loop(), op::whole(op::pwrite(fd(), buffer, offset))};
  }

  /// Ends with its size in bytes.
  Awaitable<> size() const noexcept { return {loop(), op::size(fd())}; }

  /// Ends with nothing, when what was written before is on the disk.
  Awaitable<ToNothing> sync() const noexcept { return {loop(), op::fsync(fd())}; }
};

}  // namespace wev
