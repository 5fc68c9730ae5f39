// A Redis client that knows nothing of this loop, driven by it.
#include "wev/adapters/hiredis.hpp"

#include <string>
#include <vector>

#include "adapters/server.hpp"

namespace wev::test {

namespace {

// One connection and what came of it.
class Client {
 public:
  Client(Loop& loop, int port) : context_(redisAsyncConnect("127.0.0.1", port)) {
    context_->data = this;
    EXPECT_TRUE(attach(loop, *context_));
    redisAsyncSetConnectCallback(context_, [](const redisAsyncContext* context, int status) {
      static_cast<Client*>(context->data)->connect_status = status;
    });
    redisAsyncSetDisconnectCallback(context_, [](const redisAsyncContext* context, int status) {
      static_cast<Client*>(context->data)->disconnect_status = status;
    });
  }
  ~Client() {
    if (!over()) redisAsyncFree(context_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void command(const std::string& text) {
    EXPECT_EQ(redisAsyncCommand(context_, on_reply, this, text.c_str()), REDIS_OK);
  }
#if HIREDIS_MAJOR >= 1
  void set_timeout(timeval timeout) { redisAsyncSetTimeout(context_, timeout); }
#endif
  /// After what was asked.
  void disconnect() { redisAsyncDisconnect(context_); }
  /// hiredis has freed its side.
  [[nodiscard]] bool over() const {
    return connect_status == REDIS_ERR || disconnect_status != pending;
  }

  static constexpr int pending = 4711;
  int connect_status = pending;
  int disconnect_status = pending;
  std::vector<std::string> replies;

 private:
  static std::string text_of(const redisReply* reply) {
    if (reply == nullptr) return "none";
    switch (reply->type) {
      case REDIS_REPLY_INTEGER: return std::to_string(reply->integer);
      case REDIS_REPLY_ERROR: return "error " + std::string(reply->str, reply->len);
      case REDIS_REPLY_NIL: return "nil";
      case REDIS_REPLY_ARRAY: {
        std::string text;
        for (std::size_t i = 0; i < reply->elements; ++i) {
          text += (i == 0 ? "" : " ") + text_of(reply->element[i]);
        }
        return text;
      }
      default: return {reply->str, reply->len};
    }
  }
  static void on_reply(redisAsyncContext*, void* reply, void* self) {
    static_cast<Client*>(self)->replies.push_back(text_of(static_cast<redisReply*>(reply)));
  }

  redisAsyncContext* context_;
};

class Hiredis : public Adapter {
 protected:
  void SetUp() override {
    Adapter::SetUp();
    if (IsSkipped()) return;
    const std::string program = find_program("redis-server");
    if (program.empty()) GTEST_SKIP() << "redis-server is not installed";
    server_ = Server::start(loop(), [&](const std::string& directory, int port) {
      return std::vector<std::string>{
          program,  "--port", std::to_string(port), "--bind", "127.0.0.1",   "--dir", directory,
          "--save", "",       "--appendonly",       "no",     "--daemonize", "no",    "--databases",
          "1"};
    });
    ASSERT_NE(server_, nullptr);
  }
  void TearDown() override {
    server_.reset();
    Adapter::TearDown();
  }

  std::unique_ptr<Server> server_;
};

TEST_P(Hiredis, TenThousandPipelinedCommandsAreAnsweredInOrder) {
  constexpr int count = 10'000;
  Client client(loop(), server_->port());
  for (int i = 0; i < count; i += 2) {
    client.command("INCR counter");
    client.command("ECHO reply-" + std::to_string(i + 1));
  }
  client.disconnect();
  run_until([&] { return client.over(); });
  EXPECT_EQ(client.connect_status, REDIS_OK);
  EXPECT_EQ(client.disconnect_status, REDIS_OK);
  ASSERT_EQ(client.replies.size(), static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < count; i += 2) {
    ASSERT_EQ(client.replies[i], std::to_string(i / 2 + 1));
    ASSERT_EQ(client.replies[i + 1], "reply-" + std::to_string(i + 1));
  }
}

TEST_P(Hiredis, ValuesOfAMegabyteGoThereAndBack) {
  const std::string large(1 << 20, 'x');
  Client client(loop(), server_->port());
  client.command("SET large " + large);
  client.command("GET large");
  client.disconnect();
  run_until([&] { return client.over(); });
  EXPECT_EQ(client.replies, (std::vector<std::string>{"OK", large}));
}

TEST_P(Hiredis, ACommandThatFailsIsAnsweredAndOthersGoOn) {
  Client client(loop(), server_->port());
  for (const char* text : {"SET name text", "INCR name", "NOSUCHCOMMAND", "GET name", "GET none"}) {
    client.command(text);
  }
  client.disconnect();
  run_until([&] { return client.over(); });
  ASSERT_EQ(client.replies.size(), 5u);
  EXPECT_EQ(client.replies[0], "OK");
  EXPECT_TRUE(client.replies[1].starts_with("error ERR value is not an integer"));
  EXPECT_TRUE(client.replies[2].starts_with("error ERR unknown command"));
  EXPECT_EQ(client.replies[3], "text");
  EXPECT_EQ(client.replies[4], "nil");
}

TEST_P(Hiredis, WhatIsPublishedReachesASubscriberInOrder) {
  constexpr int count = 500;
  Client subscriber(loop(), server_->port());
  Client publisher(loop(), server_->port());
  subscriber.command("SUBSCRIBE news");
  run_until([&] { return subscriber.replies.size() == 1; });
  EXPECT_EQ(subscriber.replies[0], "subscribe news 1");
  for (int i = 0; i < count; ++i) publisher.command("PUBLISH news item-" + std::to_string(i));
  run_until([&] { return subscriber.replies.size() == count + 1; });
  publisher.disconnect();
  run_until([&] { return publisher.over(); });
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(subscriber.replies[i + 1], "message news item-" + std::to_string(i));
    ASSERT_EQ(publisher.replies[i], "1");
  }
}

TEST_P(Hiredis, TheEndOfTheServerIsToldAndWhatWasAskedHasNoReply) {
  Client client(loop(), server_->port());
  client.command("PING");
  run_until([&] { return client.replies.size() == 1; });
  client.command("BLPOP nothing 0");
  client.command("PING");
  // Sent, and read by the server or not.
  ASSERT_TRUE(loop().run(RunMode::once));
  server_->kill();
  run_until([&] { return client.over(); });
  EXPECT_EQ(client.disconnect_status, REDIS_ERR);
  EXPECT_EQ(client.replies, (std::vector<std::string>{"PONG", "none", "none"}));
}

TEST_P(Hiredis, ARefusedConnectionIsTold) {
  Client client(loop(), free_port());
  run_until([&] { return client.over(); });
  EXPECT_EQ(client.connect_status, REDIS_ERR);
}

TEST_P(Hiredis, FreedWithRepliesOutstandingItLeavesNothing) {
  {
    Client client(loop(), server_->port());
    for (int i = 0; i < 100; ++i) client.command("PING");
    run_until([&] { return !client.replies.empty(); });
  }
  ASSERT_TRUE(loop().run());
  EXPECT_EQ(loop().active(), 0u);
}

TEST_P(Hiredis, DrainedWithRepliesOutstandingItCanStillBeFreed) {
  Client client(loop(), server_->port());
  for (int i = 0; i < 100; ++i) client.command("PING");
  run_until([&] { return !client.replies.empty(); });
  ASSERT_TRUE(loop().drain());
  EXPECT_EQ(loop().active(), 0u);
}

TEST_P(Hiredis, WhatHasNoDescriptorIsNotAttached) {
  redisAsyncContext* context = redisAsyncConnectUnix("/nowhere/at/all");
  ASSERT_NE(context->err, 0);
  EXPECT_EQ(attach(loop(), *context), std::unexpected(Error(std::errc::bad_file_descriptor)));
  redisAsyncFree(context);
}

#if HIREDIS_MAJOR >= 1
TEST_P(Hiredis, ACommandThatIsNotAnsweredTimesOut) {
  Client client(loop(), server_->port());
  client.command("PING");
  run_until([&] { return client.replies.size() == 1; });
  client.set_timeout({0, 50'000});
  client.command("BLPOP nothing 0");
  const Instant began = loop().backend().now();
  run_until([&] { return client.over(); });
  EXPECT_GE(loop().backend().now() - began, 50ms);
  EXPECT_EQ(client.disconnect_status, REDIS_ERR);
  EXPECT_EQ(client.replies, (std::vector<std::string>{"PONG", "none"}));
}
#endif

INSTANTIATE_TEST_SUITE_P(Native, Hiredis, native_backends, name_of_backend);

}  // namespace
}  // namespace wev::test
