#include "adapters/server.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "support/system.hpp"
#include "wev/base/address.hpp"

namespace wev::test {

namespace {

// Carries one operation out, while others go on.
Result await(Loop& loop, const Operation& operation) {
  Completion completion;
  std::optional<Result> ended;
  loop.add(completion, operation, &ended, [](void* ended, Loop&, Completion&, Result result) {
    *static_cast<std::optional<Result>*>(ended) = result;
    return Action::disarm;
  });
  while (!ended && loop.tick()) {
  }
  return *ended;
}

}  // namespace

Server::Server() {
  std::string pattern = std::filesystem::temp_directory_path() / "wev-server-XXXXXX";
  if (::mkdtemp(pattern.data()) != nullptr) directory_ = pattern;
}

Server::~Server() {
  kill();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

std::unique_ptr<Server> Server::start(Loop& loop, const Arguments& arguments,
                                      const ServerOptions& options) {
  // Somebody may take the port before the server does.
  for (int attempt = 0; attempt < 5; ++attempt) {
    std::unique_ptr<Server> server(new Server);
    server->options_ = options;
    server->port_ = free_port();
    server->give_directory();
    if (server->launch(arguments(server->directory_, server->port_)) && server->answers(loop)) {
      return server;
    }
  }
  ADD_FAILURE() << "the server does not start";
  return nullptr;
}

void Server::give_directory() const {
  const passwd* user = options_.user.empty() ? nullptr : ::getpwnam(options_.user.c_str());
  if (user != nullptr) (void)!::chown(directory_.c_str(), user->pw_uid, user->pw_gid);
}

bool become(const std::string& user) {
  if (user.empty() || ::geteuid() != 0) return true;
  const passwd* entry = ::getpwnam(user.c_str());
  return entry != nullptr && ::setgroups(0, nullptr) == 0 && ::setgid(entry->pw_gid) == 0 &&
         ::setuid(entry->pw_uid) == 0;
}

bool Server::launch(const std::vector<std::string>& arguments) {
  const pid_t parent = ::getpid();
  std::vector<char*> raw;
  for (const std::string& argument : arguments) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  process_ = ::fork();
  if (process_ != 0) return process_ > 0;
  if (!become(options_.user)) ::_exit(127);
  ::prctl(PR_SET_PDEATHSIG, options_.end_signal);
  const int nothing = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(nothing, fd);
  ::close_range(3, ~0u, 0);
  if (::getppid() == parent) ::execv(raw[0], raw.data());
  ::_exit(127);
}

bool Server::answers(Loop& loop) {
  const Address address = Address::loopback(static_cast<std::uint16_t>(port_));
  for (int tries = 0; tries < 1'000 && !has_ended(); ++tries) {
    const auto fd =
        static_cast<int>(loop.perform(op::socket(SocketFamily::ipv4, SocketType::stream)).value());
    const Result connected = await(loop, op::connect(fd, address));
    EXPECT_TRUE(await(loop, op::close(fd)));
    if (connected) return !has_ended();
    (void)await(loop, op::timer(10ms));
  }
  return false;
}

bool Server::has_ended() {
  if (process_ > 0 && ::waitpid(process_, nullptr, WNOHANG) == process_) process_ = -1;
  return process_ <= 0;
}

void Server::kill() {
  if (has_ended()) return;
  ::kill(process_, options_.end_signal);
  for (int tries = 0; tries < 1'000 && !has_ended(); ++tries) ::usleep(10'000);
  if (has_ended()) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

int free_port() {
  Loop loop;
  const auto fd =
      static_cast<int>(loop.perform(op::socket(SocketFamily::ipv4, SocketType::stream)).value());
  Address address = Address::loopback();
  EXPECT_TRUE(loop.perform(op::bind(fd, address)));
  EXPECT_TRUE(loop.perform(op::local_address(fd, address)));
  EXPECT_TRUE(loop.perform(op::close(fd)));
  return address.port();
}

std::string find_program(const std::string& name) {
  for (const char* directory : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/"}) {
    if (::access((directory + name).c_str(), X_OK) == 0) return directory + name;
  }
  return {};
}

void Adapter::SetUp() {
  // Not every library keeps SIGPIPE away.
  ::signal(SIGPIPE, SIG_IGN);
  descriptors_ = open_descriptors();
  auto backend = make_backend({.kind = GetParam()});
  if (!backend) GTEST_SKIP() << "this system has no such backend";
  loop_ = std::make_unique<Loop>(std::move(*backend));
}

void Adapter::TearDown() {
  if (loop_ != nullptr) {
    EXPECT_TRUE(loop_->drain());
  }
  loop_.reset();
  EXPECT_EQ(open_descriptors(), descriptors_) << "descriptors leaked";
}

void Adapter::run_until(const std::function<bool()>& done) {
  Completion watchdog;
  bool expired = false;
  loop_->timer(watchdog, 1min, &expired, [](void* expired, Loop&, Completion&, Result result) {
    *static_cast<bool*>(expired) = result.has_value();
    return Action::disarm;
  });
  while (!expired && !done()) {
    if (!loop_->tick()) break;
  }
  EXPECT_TRUE(done()) << "it does not come to an end";
  loop_->cancel(watchdog);
  while (watchdog.state() != Completion::State::dead && loop_->tick(RunMode::no_wait)) {
  }
}

}  // namespace wev::test
