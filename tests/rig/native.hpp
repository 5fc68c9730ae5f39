// native.hpp: the rig of the native backends, and what only they can exhibit.
#pragma once

#include "io/network.hpp"
#include "rig/driver.hpp"
#include "wev/backend/backends.hpp"

namespace wev::test {

class NativeRig : public Rig {
 public:
  NativeRig(BackendOptions options, std::uint64_t moods);

  std::unique_ptr<Loop> loop() override;
  std::pair<int, int> pipe() override;
  std::pair<int, int> socket_pair() override;
  int listen() override;
  int connect(int listener) override;
  int file(std::string_view contents) override;
  int unreachable_socket() override;
  void busy(Loop& loop, Duration duration) override;
  void check() override;

 protected:
  static std::unique_ptr<Driver> make_driver(Loop& loop);
  [[nodiscard]] static bool tells_driver() { return true; }

 private:
  BackendOptions options_;
  std::size_t descriptors_;
};

class NativeContract : public Network {};

/// Has the system that the backends stand on take its freedoms at random; 0: none of them.
/// false: it is the real one, and takes those it likes.
bool set_moods(std::uint64_t seed);

/// All backends there are, with and without what newer kernels have.
std::vector<RigMaker> native_rigs();

}  // namespace wev::test
