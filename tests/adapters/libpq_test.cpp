// A PostgreSQL client that knows nothing of this loop, driven by it.
#include "wev/adapters/libpq.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adapters/server.hpp"
#include "wev/base/address.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"

namespace wev::test {

namespace {

namespace fs = std::filesystem;

const std::string user = "nobody";  // PostgreSQL refuses root

// The newest that is installed; empty: none is.
std::string find_postgres(const std::string& name) {
  std::string found;
  std::error_code none;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", none)) {
    const std::string program = version.path() / "bin" / name;
    if (::access(program.c_str(), X_OK) == 0) found = std::max(found, program);
  }
  return found;
}

// As the server's user.
bool run_to_its_end(std::vector<std::string> arguments) {
  std::vector<char*> raw;
  for (std::string& argument : arguments) raw.push_back(argument.data());
  raw.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (become(user) && ::chdir("/") == 0 && ::freopen("/dev/null", "w", stdout) != nullptr) {
      ::execv(raw[0], raw.data());
    }
    ::_exit(127);
  }
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

std::unique_ptr<Server> start_server() {
  Loop loop;
  const auto arguments = [](const std::string& directory, int port) {
    EXPECT_TRUE(run_to_its_end({find_postgres("initdb"), "-D", directory + "/data", "-U", "wev",
                                "--auth=trust", "--no-sync", "--no-locale", "-E", "UTF8"}));
    return std::vector<std::string>{find_postgres("postgres"),
                                    "-D",
                                    directory + "/data",
                                    "-k",
                                    directory,
                                    "-p",
                                    std::to_string(port),
                                    "-c",
                                    "listen_addresses=127.0.0.1",
                                    "-c",
                                    "fsync=off",
                                    "-c",
                                    "shared_buffers=16MB",
                                    "-c",
                                    "autovacuum=off"};
  };
  // At once, and without leaving memory that is shared.
  return Server::start(loop, arguments, {.user = user, .end_signal = SIGQUIT});
}

std::string over_tcp(const Server& server) {
  return "host=127.0.0.1 dbname=postgres user=wev port=" + std::to_string(server.port());
}
std::string over_unix(const Server& server) {
  return "host=" + server.directory() +
         " dbname=postgres user=wev port=" + std::to_string(server.port());
}

std::string text_of(const PgResult& result, int column = 0) {
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) {
    const char* code = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    return code == nullptr ? "done" : std::string("error ") + code;
  }
  if (PQntuples(result.get()) == 0) return "nothing";
  return PQgetisnull(result.get(), 0, column) != 0 ? "null" : PQgetvalue(result.get(), 0, column);
}

// A query by callback.
struct Query {
  void start(PgConnection& connection, const char* text, Duration limit = Duration::max()) {
    request.start(connection.query(text).within(limit), [this](Expected<PgResult> result) {
      ended = result ? text_of(*result) : "failed";
      if (!result) error = result.error();
    });
  }
  Request request;
  std::optional<std::string> ended;
  std::optional<Error> error;
};

bool all_ended(const std::deque<Query>& queries) {
  return std::ranges::all_of(queries, [](const Query& each) { return each.ended.has_value(); });
}

class Libpq : public Adapter {
 protected:
  static void SetUpTestSuite() {
    if (!find_postgres("postgres").empty()) server = start_server();
  }
  static void TearDownTestSuite() { server.reset(); }

  void SetUp() override {
    Adapter::SetUp();
    if (IsSkipped()) return;
    if (find_postgres("postgres").empty()) GTEST_SKIP() << "postgresql is not installed";
    ASSERT_NE(server, nullptr);
    // It takes connections before it lets anybody in.
    for (int tries = 0; PQping(over_tcp(*server).c_str()) != PQPING_OK && tries < 1'000; ++tries) {
      ::usleep(10'000);
    }
    connection_ = std::make_unique<PgConnection>(loop());
  }
  void TearDown() override {
    connection_.reset();
    Adapter::TearDown();
  }

  PgConnection& connection() { return *connection_; }
  Expected<void> connect(PgConnection& it, const std::string& conninfo) {
    const auto task = [](PgConnection& its, const char* text) -> Task<Expected<void>> {
      co_return co_await its.connect(text);
    };
    return wev::run(loop(), task(it, conninfo.c_str()));
  }
  Expected<void> connect() { return connect(connection(), over_tcp(*server)); }
  std::string ask(PgConnection& it, const char* text) {
    Query query;
    query.start(it, text);
    run_until([&] { return query.ended.has_value(); });
    return query.ended.value_or("nothing came");
  }

  static inline std::unique_ptr<Server> server;

 private:
  std::unique_ptr<PgConnection> connection_;
};

// Connects, asks, and looks at what comes; the answers of some are large.
Task<Expected<int>> client(Loop& loop, std::string conninfo, int number) {
  PgConnection database(loop);
  co_await ok(database.connect(conninfo.c_str()));
  int right = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string factor = std::to_string(number);
    const std::string other = std::to_string(i);
    const std::array parameters{factor.c_str(), other.c_str(), static_cast<const char*>(nullptr)};
    const PgResult result = co_await ok(database.query(
        "select $1::text::int * 100 + $2::int, $3::text, repeat($1, 1000 * $2::int)", parameters));
    std::string repeated;
    for (int n = 0; n < 1'000 * i; ++n) repeated += factor;
    right += text_of(result) == std::to_string(number * 100 + i) && text_of(result, 1) == "null" &&
                     text_of(result, 2) == repeated
                 ? 1
                 : 0;
  }
  co_return right;
}

TEST_P(Libpq, FiftyConnectionsAtOnceEachHaveTheirOwnAnswers) {
  std::deque<Root<Expected<int>>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.emplace_back(
        loop(), client(loop(), i % 2 == 0 ? over_tcp(*server) : over_unix(*server), i + 1));
  }
  run_until([&] { return std::ranges::all_of(clients, [](auto& each) { return each.done(); }); });
  for (auto& each : clients) EXPECT_EQ(each.take(), 20);
}

TEST_P(Libpq, QueriesOfOneConnectionAreAnsweredInOrder) {
  ASSERT_TRUE(connect());
  ASSERT_EQ(ask(connection(), "create temporary sequence n"), "done");
  std::deque<Query> queries(200);
  std::vector<std::string> order;
  for (Query& query : queries) query.start(connection(), "select nextval('n')");
  run_until([&] { return all_ended(queries); });
  for (std::size_t i = 0; i < queries.size(); ++i) {
    EXPECT_EQ(queries[i].ended, std::to_string(i + 1));
  }
}

TEST_P(Libpq, AStatementThatFailsIsAnsweredAndOthersGoOn) {
  ASSERT_TRUE(connect());
  EXPECT_EQ(ask(connection(), "select nonsense from"), "error 42601");
  EXPECT_EQ(ask(connection(), "select 1/0"), "error 22012");
  EXPECT_EQ(ask(connection(), "select 'fine'"), "fine");
}

TEST_P(Libpq, SleepingQueriesTimeOutAndTheirConnectionsAreUsableAfterwards) {
  std::deque<PgConnection> connections;
  std::deque<Query> sleeping(10);
  std::deque<Query> next(10);
  const Instant began = loop().backend().now();
  for (std::size_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(connect(connections.emplace_back(loop()), over_tcp(*server)));
    sleeping[i].start(connections[i], "select pg_sleep(60)", 20ms + i * 10ms);
    next[i].start(connections[i], "select 'awake'");  // waits behind it
  }
  run_until([&] { return all_ended(sleeping) && all_ended(next); });
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(sleeping[i].error, Error(Errc::timed_out));
    EXPECT_EQ(next[i].ended, "awake");
  }
  EXPECT_LT(loop().backend().now() - began, 40s);
}

TEST_P(Libpq, CancelledAtAnyMomentAQueryHarmsNoOther) {
  ASSERT_TRUE(connect());
  for (int round = 0; round < 40; ++round) {
    Query canceled;
    Query queued;
    Query last;
    // A server that has not read it yet ignores that it is to be cancelled.
    canceled.start(connection(), round % 3 == 0 ? "select pg_sleep(60)" : "select pg_sleep(0.003)");
    queued.start(connection(), "select 'never'");
    for (int ticks = 0; ticks < round % 8; ++ticks) ASSERT_TRUE(loop().tick(RunMode::no_wait));
    if (round % 2 == 1) ::usleep(static_cast<unsigned>(round) * 100);
    canceled.request.cancel();
    queued.request.cancel();
    last.start(connection(), "select 'last'");
    run_until([&] { return canceled.ended && queued.ended && last.ended; });
    EXPECT_TRUE(canceled.ended == "" || canceled.error == Error(Errc::operation_canceled));
    EXPECT_TRUE(queued.ended == "never" || queued.error == Error(Errc::operation_canceled));
    ASSERT_EQ(last.ended, "last") << connection().message();
  }
}

TEST_P(Libpq, DestroyedWithQueriesUnderWayItEndsThem) {
  for (int ticks = 0; ticks < 4; ++ticks) {
    auto brief = std::make_unique<PgConnection>(loop());
    ASSERT_TRUE(connect(*brief, over_tcp(*server)));
    std::deque<Query> queries(3);
    for (Query& query : queries) query.start(*brief, "select pg_sleep(60)");
    for (int i = 0; i < ticks; ++i) ASSERT_TRUE(loop().tick(RunMode::no_wait));
    if (ticks == 3) queries[0].request.cancel();  // the server is being asked
    brief.reset();
    run_until([&] { return all_ended(queries); });
    for (const Query& query : queries) EXPECT_EQ(query.error, Error(Errc::operation_canceled));
  }
}

TEST_P(Libpq, DrainingEndsQueriesAndNothingIsLeft) {
  ASSERT_TRUE(connect());
  Query query;
  query.start(connection(), "select pg_sleep(60)");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(loop().tick(RunMode::no_wait));
  const Instant began = loop().backend().now();
  ASSERT_TRUE(loop().drain());
  EXPECT_LT(loop().backend().now() - began, 30s);
  EXPECT_EQ(query.error, Error(Errc::operation_canceled));
  // The server was asked in time, or the connection was given up.
  const std::string next = ask(connection(), "select 'still there'");
  EXPECT_TRUE(next == "still there" || connection().get() == nullptr) << next;
  ASSERT_TRUE(connect());
  EXPECT_EQ(ask(connection(), "select 'again'"), "again");
}

TEST_P(Libpq, ACopyIsRefusedAndTheConnectionCanBeMadeAnew) {
  ASSERT_TRUE(connect());
  Query query;
  query.start(connection(), "copy (select 1) to stdout");
  run_until([&] { return query.ended.has_value(); });
  EXPECT_EQ(query.error, Error(std::errc::operation_not_supported));
  EXPECT_EQ(ask(connection(), "select 1"), "failed");
  ASSERT_TRUE(connect());
  EXPECT_EQ(ask(connection(), "select 1"), "1");
}

TEST_P(Libpq, WhatCannotBeConnectedToIsTold) {
  Query query;
  query.start(connection(), "select 1");
  run_until([&] { return query.ended.has_value(); });
  EXPECT_EQ(query.error, Error(std::errc::not_connected));
  const std::string nobody = "host=127.0.0.1 dbname=postgres port=" + std::to_string(free_port());
  EXPECT_EQ(connect(connection(), nobody), std::unexpected(Error(std::errc::connection_refused)));
  EXPECT_NE(connection().message(), "");
  EXPECT_EQ(connect(connection(), over_tcp(*server) + " dbname=nowhere"),
            std::unexpected(Error(std::errc::connection_refused)));
  EXPECT_NE(connection().message().find("nowhere"), std::string::npos);
  EXPECT_EQ(connect(connection(), "this is no conninfo"),
            std::unexpected(Error(std::errc::connection_refused)));
  // The first address refuses, the second is the server.
  const std::string port = std::to_string(server->port());
  ASSERT_TRUE(connect(connection(), "host=127.0.0.1,127.0.0.1 dbname=postgres user=wev port=" +
                                        std::to_string(free_port()) + "," + port));
  EXPECT_EQ(ask(connection(), "select 1"), "1");
}

// What is in the backlog of a listener that never accepts is never answered.
TEST_P(Libpq, AConnectThatTimesOutIsGivenUp) {
  const auto listener =
      static_cast<int>(loop().perform(op::socket(SocketFamily::ipv4, SocketType::stream)).value());
  Address address = Address::loopback();
  ASSERT_TRUE(loop().perform(op::bind(listener, address)));
  ASSERT_TRUE(loop().perform(op::listen(listener)));
  ASSERT_TRUE(loop().perform(op::local_address(listener, address)));
  const std::string silent = "host=127.0.0.1 port=" + std::to_string(address.port());
  Request connecting;
  std::optional<Expected<void>> ended;
  connecting.start(connection().connect(silent.c_str()).within(30ms),
                   [&](Expected<void> how) { ended = how; });
  run_until([&] { return ended.has_value(); });
  EXPECT_EQ(*ended, std::unexpected(Error(Errc::timed_out)));
  EXPECT_EQ(connection().get(), nullptr);
  ASSERT_TRUE(connect());
  EXPECT_EQ(ask(connection(), "select 1"), "1");
  ASSERT_TRUE(loop().perform(op::close(listener)));
}

TEST_P(Libpq, AServerThatGoesAwayIsTold) {
  std::unique_ptr<Server> brief = start_server();
  ASSERT_NE(brief, nullptr);
  while (PQping(over_tcp(*brief).c_str()) != PQPING_OK) ::usleep(10'000);
  ASSERT_TRUE(connect(connection(), over_tcp(*brief)));
  std::deque<Query> queries(3);
  for (Query& query : queries) query.start(connection(), "select pg_sleep(60)");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(loop().tick(RunMode::no_wait));
  brief->kill();
  run_until([&] { return all_ended(queries); });
  // The first may have been told why.
  EXPECT_TRUE(queries[0].ended == "failed" || queries[0].ended->starts_with("error 57P"));
  EXPECT_EQ(queries[1].error, Error(std::errc::not_connected));
  EXPECT_EQ(queries[2].error, Error(std::errc::not_connected));
  EXPECT_EQ(ask(connection(), "select 1"), "failed");
  EXPECT_EQ(connect(connection(), over_tcp(*brief)),
            std::unexpected(Error(std::errc::connection_refused)));
  ASSERT_TRUE(connect());
  EXPECT_EQ(ask(connection(), "select 1"), "1");
}

INSTANTIATE_TEST_SUITE_P(Native, Libpq, native_backends, name_of_backend);

}  // namespace
}  // namespace wev::test
