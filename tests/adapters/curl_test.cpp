// libcurl's transfers, driven by the loop through its multi-socket interface.
#include "wev/adapters/curl.hpp"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "adapters/server.hpp"
#include "wev/base/address.hpp"
#include "wev/task/run.hpp"

namespace wev::test {

namespace {

// One transfer.
struct Fetch {
  Fetch(CurlMulti& curl, const std::string& url, long timeout_ms = 0) : easy(curl_easy_init()) {
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    transfer = curl.perform(easy);
  }
  ~Fetch() { curl_easy_cleanup(easy); }
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  void start(Duration limit = Duration::max()) {
    request.start(transfer->within(limit), [this](Expected<CURLcode> how) {
      ended = how;
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    });
  }

  CURL* easy;
  std::optional<Awaitable<CurlMulti::ToCode>> transfer;
  Request request;
  std::string body;
  std::optional<Expected<CURLcode>> ended;
  long status = 0;
  bool cancels = false;  // itself, when bytes come

 private:
  static std::size_t on_bytes(char* data, std::size_t size, std::size_t count, void* context) {
    auto& self = *static_cast<Fetch*>(context);
    self.body.append(data, size * count);
    if (self.cancels) self.request.cancel();
    return size * count;
  }
};

using Fetches = std::deque<Fetch>;

bool all_ended(const Fetches& fetches) {
  return std::ranges::all_of(fetches, [](const Fetch& each) { return each.ended.has_value(); });
}

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
    curl_ = std::make_unique<CurlMulti>(loop());
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
  std::unique_ptr<CurlMulti> curl_;
};

TEST_P(Curl, AHundredFilesAtOnceArriveByteForByte) {
  Fetches fetches;
  for (int i = 0; i < file_count; ++i) fetches.emplace_back(*curl_, url(std::to_string(i))).start();
  run_until([&] { return all_ended(fetches); });
  for (int i = 0; i < file_count; ++i) {
    const Fetch& fetch = fetches[static_cast<std::size_t>(i)];
    EXPECT_EQ(fetch.ended, CURLE_OK);
    EXPECT_EQ(fetch.status, 200);
    EXPECT_TRUE(fetch.body == contents_of(i)) << "file " << i;
  }
}

TEST_P(Curl, AConnectionThatIsUsedAgainIsAwaitedAgain) {
  long connections = 0;
  for (int i = 0; i < 20; ++i) {
    Fetch fetch(*curl_, url(std::to_string(i)));
    fetch.start();
    run_until([&] { return fetch.ended.has_value(); });
    EXPECT_EQ(fetch.status, 200);
    EXPECT_TRUE(fetch.body == contents_of(i)) << "file " << i;
    long made = 0;
    curl_easy_getinfo(fetch.easy, CURLINFO_NUM_CONNECTS, &made);
    connections += made;
  }
  EXPECT_EQ(connections, 1);
}

TEST_P(Curl, ATransferIsAwaitedByATask) {
  const auto fetch = [](CurlMulti& curl, Fetch& its) -> Task<Expected<CURLcode>> {
    co_return co_await curl.perform(its.easy).within(1min);
  };
  Fetch good(*curl_, url("50"));
  EXPECT_EQ(wev::run(loop(), fetch(*curl_, good)), CURLE_OK);
  EXPECT_TRUE(good.body == contents_of(50));
  // A handle is free again when its transfer has ended.
  good.body.clear();
  EXPECT_EQ(wev::run(loop(), fetch(*curl_, good)), CURLE_OK);
  EXPECT_TRUE(good.body == contents_of(50));
}

TEST_P(Curl, AFetchThatFailsDisturbsNoOther) {
  Fetches fetches;
  fetches.emplace_back(*curl_, url("missing"));
  fetches.emplace_back(*curl_, "http://127.0.0.1:" + std::to_string(free_port()) + "/");
  fetches.emplace_back(*curl_, url("99"));
  for (Fetch& fetch : fetches) fetch.start();
  run_until([&] { return all_ended(fetches); });
  EXPECT_EQ(fetches[0].status, 404);
  EXPECT_EQ(fetches[1].ended, CURLE_COULDNT_CONNECT);
  EXPECT_TRUE(fetches[2].body == contents_of(99));
}

// Nobody accepts what waits in this backlog. By libcurl's timer on the loop, and by a
// deadline of the loop.
TEST_P(Curl, AServerThatSaysNothingTimesOut) {
  const auto listener =
      static_cast<int>(loop().perform(op::socket(SocketFamily::ipv4, SocketType::stream)).value());
  Address address = Address::loopback();
  ASSERT_TRUE(loop().perform(op::bind(listener, address)));
  ASSERT_TRUE(loop().perform(op::listen(listener)));
  ASSERT_TRUE(loop().perform(op::local_address(listener, address)));
  const std::string silent = "http://127.0.0.1:" + std::to_string(address.port()) + "/";
  Fetch theirs(*curl_, silent, 50);
  Fetch ours(*curl_, silent);
  const Instant began = loop().now();
  theirs.start();
  ours.start(60ms);
  run_until([&] { return theirs.ended && ours.ended; });
  EXPECT_EQ(theirs.ended, CURLE_OPERATION_TIMEDOUT);
  EXPECT_EQ(ours.ended, std::unexpected(Error(Errc::timed_out)));
  EXPECT_GE(loop().backend().now() - began, 59ms);
  ASSERT_TRUE(loop().perform(op::close(listener)));
}

TEST_P(Curl, AFetchThatIsCancelledLeavesNothing) {
  Fetches fetches;
  for (int i = 0; i < 20; ++i) fetches.emplace_back(*curl_, url("99")).start();
  // From inside of libcurl, which refuses to drop what it works on.
  for (int i = 0; i < 10; ++i) fetches[static_cast<std::size_t>(i)].cancels = true;
  run_until([&] {
    return std::ranges::any_of(fetches, [](const Fetch& each) { return !each.body.empty(); });
  });
  for (Fetch& fetch : fetches) fetch.request.cancel();
  run_until([&] { return all_ended(fetches); });
  for (const Fetch& fetch : fetches) {
    EXPECT_TRUE(fetch.ended == CURLE_OK ||
                fetch.ended == std::unexpected(Error(Errc::operation_canceled)));
  }
  Fetch next(*curl_, url("98"));
  next.start();
  run_until([&] { return next.ended.has_value(); });
  EXPECT_TRUE(next.body == contents_of(98));
  curl_.reset();
  ASSERT_TRUE(loop().run());
  EXPECT_EQ(loop().active(), 0u);
}

TEST_P(Curl, DrainingEndsTransfers) {
  Fetches fetches;
  for (int i = 0; i < 5; ++i) fetches.emplace_back(*curl_, url("99")).start();
  ASSERT_TRUE(loop().tick());
  ASSERT_TRUE(loop().drain());
  EXPECT_TRUE(all_ended(fetches));
}

TEST_P(Curl, AHandleThatIsUnderWayIsNotBegunTwice) {
  Fetch fetch(*curl_, url("1"));
  fetch.start();
  Request again;
  std::optional<Expected<CURLcode>> second;
  again.start(curl_->perform(fetch.easy), [&](Expected<CURLcode> how) { second = how; });
  run_until([&] { return fetch.ended && second; });
  EXPECT_EQ(fetch.ended, CURLE_OK);
  EXPECT_EQ(second, std::unexpected(Error(std::errc::invalid_argument)));
}

INSTANTIATE_TEST_SUITE_P(Native, Curl, native_backends, name_of_backend);

}  // namespace
}  // namespace wev::test
