// server.hpp: somebody else's server, for the length of a test, and the fixture of
// tests that need one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"

namespace wev::test {

using namespace std::chrono_literals;

struct ServerOptions {
  /// Where the tests run as root, the server runs as this user: it refuses root.
  std::string user;
  /// By which it ends at once, and leaves nothing.
  int end_signal = 9;
};

/// A process on a free port of the loopback, with a directory of its own. It dies
/// with this object, and with the test program however that ends.
class Server {
 public:
  /// The arguments, once directory and port are known; the program is the first.
  using Arguments = std::function<std::vector<std::string>(const std::string& directory, int port)>;

  /// Starts it and waits until it takes connections. nullptr: it could not be
  /// started, and a failure says why.
  static std::unique_ptr<Server> start(Loop& loop, const Arguments& arguments,
                                       const ServerOptions& options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  /// Ends it at once.
  void kill();

 private:
  Server();
  void give_directory() const;
  bool launch(const std::vector<std::string>& arguments);
  bool answers(Loop& loop);
  [[nodiscard]] bool has_ended();

  std::string directory_;
  ServerOptions options_;
  int port_ = 0;
  pid_t process_ = -1;
};

/// Goes on as this user where that is root; empty: as it is.
bool become(const std::string& user);

/// A port of the loopback that was free a moment ago.
int free_port();

/// Where a program is; empty: it is not installed.
std::string find_program(const std::string& name);

/// A loop on each native backend, and nothing left over behind the test.
class Adapter : public testing::TestWithParam<BackendKind> {
 protected:
  void SetUp() override;
  void TearDown() override;
  Loop& loop() { return *loop_; }

  /// Ticks until `done`. Fails after a minute.
  void run_until(const std::function<bool()>& done);

 private:
  std::size_t descriptors_ = 0;
  std::unique_ptr<Loop> loop_;
};

inline const auto native_backends =
    testing::Values(BackendKind::epoll, BackendKind::io_uring, BackendKind::poll);
inline const auto name_of_backend = [](const auto& info) {
  return info.param == BackendKind::epoll      ? "epoll"
         : info.param == BackendKind::io_uring ? "io_uring"
                                               : "poll";
};

}  // namespace wev::test
