// libcurl's transfers, driven by the loop through its multi-socket interface.
#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "adapters/foreign.hpp"
#include "adapters/server.hpp"
#include "wev/base/address.hpp"

namespace wev::test {

namespace {

// One transfer.
struct Fetch {
  CURL* easy = nullptr;
  std::string body;
  bool ended = false;
  CURLcode result = CURLE_OK;
  long status = 0;
};

// libcurl on a loop. Its sockets are closed by the loop, which polls them.
class CurlAdapter {
 public:
  explicit CurlAdapter(Loop& loop) : loop_(loop), multi_(curl_multi_init()) {
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  }
  /// REQUIRES: no transfer is under way.
  ~CurlAdapter() {
    curl_multi_cleanup(multi_);
    loop_.cancel(timer_);
    while (timer_.state() != Completion::State::dead && loop_.tick()) {
    }
    EXPECT_TRUE(sockets_.empty());
  }
  CurlAdapter(const CurlAdapter&) = delete;
  CurlAdapter& operator=(const CurlAdapter&) = delete;

  void start(Fetch& fetch, const std::string& url, long timeout_ms = 0) {
    fetch.easy = curl_easy_init();
    curl_easy_setopt(fetch.easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(fetch.easy, CURLOPT_PROXY, "");
    curl_easy_setopt(fetch.easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(fetch.easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(fetch.easy, CURLOPT_PRIVATE, &fetch);
    curl_easy_setopt(fetch.easy, CURLOPT_WRITEDATA, &fetch);
    curl_easy_setopt(fetch.easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(fetch.easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(fetch.easy, CURLOPT_CLOSESOCKETDATA, this);
    EXPECT_EQ(curl_multi_add_handle(multi_, fetch.easy), CURLM_OK);
  }
  void stop(Fetch& fetch) {
    curl_multi_remove_handle(multi_, fetch.easy);
    curl_easy_cleanup(fetch.easy);
    fetch.easy = nullptr;
  }

 private:
  static std::size_t on_bytes(char* data, std::size_t size, std::size_t count, void* fetch) {
    static_cast<Fetch*>(fetch)->body.append(data, size * count);
    return size * count;
  }

  static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) {
    auto& adapter = *static_cast<CurlAdapter*>(self);
    auto& foreign = adapter.sockets_[fd];
    if (foreign == nullptr) {
      foreign = Foreign::make(adapter.loop_, fd, [&adapter, fd](Foreign::Side side) {
        adapter.act(fd, side == Foreign::in ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
      });
    }
    // One that is removed may come back, for the next transfer on its connection.
    const int wanted = what == CURL_POLL_REMOVE ? 0 : what;
    foreign->want(Foreign::in, (wanted & CURL_POLL_IN) != 0);
    foreign->want(Foreign::out, (wanted & CURL_POLL_OUT) != 0);
    return 0;
  }

  static int close_socket(void* self, curl_socket_t fd) {
    auto& adapter = *static_cast<CurlAdapter*>(self);
    const auto found = adapter.sockets_.find(fd);
    if (found == adapter.sockets_.end()) return ::close(fd);
    found->second->release();
    adapter.sockets_.erase(found);
    return 0;
  }

  // Called from inside libcurl, which wants to be called back, but not now.
  static int on_timer_wanted(CURLM*, long timeout_ms, void* self) {
    auto& adapter = *static_cast<CurlAdapter*>(self);
    adapter.due_ = timeout_ms < 0 ? never : adapter.loop_.now() + timeout_ms * 1ms;
    if (timeout_ms < 0) {
      adapter.loop_.cancel(adapter.timer_);
    } else {
      (void)adapter.loop_.timer_reset(adapter.timer_, timeout_ms * 1ms, self, on_timer);
    }
    return 0;
  }
  static Action on_timer(void* self, Loop& loop, Completion&, Result result) {
    auto& adapter = *static_cast<CurlAdapter*>(self);
    if (result && adapter.due_ != never) {
      adapter.due_ = never;
      adapter.act(CURL_SOCKET_TIMEOUT, 0);
    } else if (adapter.due_ != never && adapter.timer_.state() == Completion::State::dead) {
      // Wanted again while it was being cancelled.
      loop.timer(adapter.timer_, adapter.due_ - loop.now(), self, on_timer);
    }
    return Action::disarm;
  }

  void act(curl_socket_t fd, int what) {
    int running = 0;
    EXPECT_EQ(curl_multi_socket_action(multi_, fd, what, &running), CURLM_OK);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      char* fetch = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
      end(*reinterpret_cast<Fetch*>(fetch), message->data.result);
    }
  }
  void end(Fetch& fetch, CURLcode result) {
    fetch.result = result;
    curl_easy_getinfo(fetch.easy, CURLINFO_RESPONSE_CODE, &fetch.status);
    stop(fetch);
    fetch.ended = true;
  }

  Loop& loop_;
  CURLM* multi_;
  std::map<curl_socket_t, Foreign*> sockets_;
  Completion timer_;
  Instant due_ = never;
};

constexpr int file_count = 100;

// From nothing to 300 KB, every file with bytes of its own.
std::string contents_of(int file) {
  std::string contents(static_cast<std::size_t>(file) * 3'001, '\0');
  auto state = static_cast<std::uint32_t>(file) + 1;
  for (char& byte : contents) {
    state = state * 1'664'525 + 1'013'904'223;
    byte = static_cast<char>(state >> 24);
  }
  return contents;
}

class Curl : public Adapter {
 protected:
  static void SetUpTestSuite() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  static void TearDownTestSuite() { curl_global_cleanup(); }

  void SetUp() override {
    Adapter::SetUp();
    if (IsSkipped()) return;
    const std::string program = find_program("nginx");
    if (program.empty()) GTEST_SKIP() << "nginx is not installed";
    server_ = Server::start(loop(), [&](const std::string& directory, int port) {
      prepare(directory, port);
      return std::vector<std::string>{program,
                                      "-p",
                                      directory,
                                      "-c",
                                      directory + "/nginx.conf",
                                      "-e",
                                      directory + "/error.log"};
    });
    ASSERT_NE(server_, nullptr);
    curl_ = std::make_unique<CurlAdapter>(loop());
  }
  void TearDown() override {
    curl_.reset();
    server_.reset();
    Adapter::TearDown();
  }

  static void prepare(const std::string& directory, int port) {
    std::filesystem::create_directory(directory + "/files");
    // The directories that it would make elsewhere.
    std::string temporary;
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      temporary += std::string(kind) + "_temp_path " + directory + "/" + kind + ";\n";
    }
    std::ofstream(directory + "/nginx.conf")
        << "daemon off;\nmaster_process off;\npid " << directory << "/pid;\n"
        << "events { worker_connections 512; }\nhttp {\naccess_log off;\n"
        << temporary << "server { listen 127.0.0.1:" << port << "; root " << directory
        << "/files; }\n}\n";
    for (int i = 0; i < file_count; ++i) {
      std::ofstream(directory + "/files/" + std::to_string(i)) << contents_of(i);
    }
  }

  [[nodiscard]] std::string url(const std::string& file) const {
    return "http://127.0.0.1:" + std::to_string(server_->port()) + "/" + file;
  }

  std::unique_ptr<Server> server_;
  std::unique_ptr<CurlAdapter> curl_;
};

TEST_P(Curl, AHundredFilesAtOnceArriveByteForByte) {
  std::vector<Fetch> fetches(file_count);
  for (int i = 0; i < file_count; ++i) {
    curl_->start(fetches[static_cast<std::size_t>(i)], url(std::to_string(i)));
  }
  run_until([&] { return std::ranges::all_of(fetches, &Fetch::ended); });
  for (int i = 0; i < file_count; ++i) {
    const Fetch& fetch = fetches[static_cast<std::size_t>(i)];
    EXPECT_EQ(fetch.result, CURLE_OK) << curl_easy_strerror(fetch.result);
    EXPECT_EQ(fetch.status, 200);
    EXPECT_TRUE(fetch.body == contents_of(i)) << "file " << i;
  }
}

TEST_P(Curl, AConnectionThatIsUsedAgainIsAwaitedAgain) {
  for (int i = 0; i < 20; ++i) {
    Fetch fetch;
    curl_->start(fetch, url(std::to_string(i)));
    run_until([&] { return fetch.ended; });
    EXPECT_EQ(fetch.status, 200);
    EXPECT_TRUE(fetch.body == contents_of(i)) << "file " << i;
  }
}

TEST_P(Curl, AFetchThatFailsDisturbsNoOther) {
  Fetch missing, refused, good;
  curl_->start(missing, url("missing"));
  curl_->start(refused, "http://127.0.0.1:" + std::to_string(free_port()) + "/");
  curl_->start(good, url("99"));
  run_until([&] { return missing.ended && refused.ended && good.ended; });
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(refused.result, CURLE_COULDNT_CONNECT) << curl_easy_strerror(refused.result);
  EXPECT_TRUE(good.body == contents_of(99));
}

// By libcurl's timer on the loop: nobody accepts what waits in this backlog.
TEST_P(Curl, AServerThatSaysNothingTimesOut) {
  const auto listener =
      static_cast<int>(loop().perform(op::socket(SocketFamily::ipv4, SocketType::stream)).value());
  Address address = Address::loopback();
  ASSERT_TRUE(loop().perform(op::bind(listener, address)));
  ASSERT_TRUE(loop().perform(op::listen(listener)));
  ASSERT_TRUE(loop().perform(op::local_address(listener, address)));
  Fetch silent;
  const Instant began = loop().now();
  curl_->start(silent, "http://127.0.0.1:" + std::to_string(address.port()) + "/", 50);
  run_until([&] { return silent.ended; });
  EXPECT_EQ(silent.result, CURLE_OPERATION_TIMEDOUT) << curl_easy_strerror(silent.result);
  EXPECT_GE(loop().backend().now() - began, 49ms);  // libcurl's clock, in milliseconds
  ASSERT_TRUE(loop().perform(op::close(listener)));
}

TEST_P(Curl, AFetchThatIsStoppedLeavesNothing) {
  std::vector<Fetch> fetches(20);
  for (Fetch& fetch : fetches) curl_->start(fetch, url("99"));
  run_until(
      [&] { return std::ranges::any_of(fetches, [](const Fetch& f) { return !f.body.empty(); }); });
  for (Fetch& fetch : fetches) {
    if (!fetch.ended) curl_->stop(fetch);
  }
  curl_.reset();
  ASSERT_TRUE(loop().run());
  EXPECT_EQ(loop().active(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Native, Curl, native_backends, name_of_backend);

}  // namespace
}  // namespace wev::test
