// file.hpp: files.
//
//   wev::File::open(request, loop, "log.txt", wev::open_read, [this](wev::Expected<wev::File> file)
//   {
//     ...
//   });
//
// A File is a Stream as well: read_some and the like go on from its position,
// which read_at and write_at leave alone. Operations on files cannot be
// interrupted once they have begun: a cancelled one may end with its real result.
#pragma once

#include "wev/stream.hpp"

namespace wev {

class File : public Stream {
 public:
  using Stream::Stream;

  /// callback(Expected<File>). `path` counts from where the program was started
  /// and stays alive until then. `flags`: OpenFlags; `mode`: the permissions of
  /// what is made. no_such_file_or_directory, permission_denied, file_exists, ...
  template <class F>
  static void open(Request& request, Loop& loop, const char* path, std::uint32_t flags, F callback,
                   std::uint32_t mode = 0644) {
    request.start(loop, op::open(op::working_directory, path, flags, mode), never,
                  std::move(callback), ToFile{});
  }

  /// callback(Expected<std::size_t>): fewer than buffer.size() only at the end of
  /// the file or where a signal or a full disk cut it short.
  template <class F>
  void read_at(Request& request, std::span<std::byte> buffer, std::uint64_t offset, F callback) {
    request.start(loop(), op::pread(fd(), buffer, offset), never, std::move(callback));
  }
  template <class F>
  void write_at(Request& request, std::span<const std::byte> buffer, std::uint64_t offset,
                F callback) {
    request.start(loop(), op::pwrite(fd(), buffer, offset), never, std::move(callback));
  }

  /// callback(Expected<std::size_t>): bytes.
  template <class F>
  void size(Request& request, F callback) {
    request.start(loop(), op::size(fd()), never, std::move(callback));
  }

  /// callback(Expected<void>): what was written before is on the disk.
  template <class F>
  void sync(Request& request, F callback) {
    request.start(loop(), op::fsync(fd()), never, std::move(callback), ToNothing{});
  }

 private:
  struct ToFile {
    Expected<File> operator()(Request& request, Result fd) const noexcept {
      if (!fd) return std::unexpected(fd.error());
      return File(request.loop(), static_cast<int>(*fd));
    }
  };
};

}  // namespace wev
