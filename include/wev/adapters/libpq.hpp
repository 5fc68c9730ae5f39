// libpq.hpp: connections to PostgreSQL, driven by a loop.
//
//   wev::PgConnection database(loop);
//   co_await wev::ok(database.connect("host=/run/postgresql dbname=shop"));
//   const std::array parameters{"17"};
//   wev::PgResult found = co_await wev::ok(
//       database.query("select name from items where id = $1", parameters).within(5s));
//   if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) ... PQresultErrorMessage(found.get())
//
// Link       The program is linked with libpq (-lpq), 12 or later; wev is not.
// Queries    One statement each. Those of one connection are carried out one after the
//            other, in the order in which they begin.
// Text       Statements, parameters and connection strings are the caller's, alive until the
//            operation has ended. A parameter is text, or nullptr for NULL.
// Results    What the server says of a statement is a PgResult, errors included. An error of
//            the operation is one of the connection: operation_canceled, timed_out,
//            not_connected (it was never made, or is lost), connection_refused (it could not
//            be made), operation_not_supported (a COPY, which loses the connection); message()
//            has libpq's words. Then connect() may begin anew.
// Cancel     A query that is cancelled, or whose deadline has passed, ends at once. If it was
//            sent, the server is asked to drop it until it does, on a thread (PQcancel
//            blocks), and those behind it wait for its answer. If it cannot be asked, or the
//            loop is drained meanwhile, the connection is lost. A connect that is cancelled
//            is given up.
// Blocking   connect() looks a host's name up, on the loop's thread: give an address, a path
//            or hostaddr where that matters.
// Lifetime   Destroying it closes the connection and ends what is under way with
//            operation_canceled. The loop outlives it, by a run() or drain().
// Thread     The loop's.
#pragma once

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "wev/io/watcher.hpp"

namespace wev {

struct PgClear {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using PgResult = std::unique_ptr<PGresult, PgClear>;

class PgConnection {
  struct Job;

 public:
  explicit PgConnection(Loop& loop) noexcept : loop_(loop) {}
  ~PgConnection() {
    lose(Errc::operation_canceled);
    for (Job* job : jobs_) job->connection = nullptr;
  }
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  struct ToResult {
    static Expected<void> prepare(RequestBase& request, Operation& operation) {
      auto& self = *static_cast<PgConnection*>(request.context());
      const Operation::Io& io = operation.io;  // as connect() and query() have left it
      auto* job = new (std::nothrow) Job{{},
                                         &self,
                                         reinterpret_cast<const char*>(io.data),
                                         {reinterpret_cast<const char* const*>(io.offset), io.size},
                                         io.flags != 0};
      if (job == nullptr) return std::unexpected(std::errc::not_enough_memory);
      self.jobs_.push_back(job);
      operation = op::foreign(begin, cancel, job);
      return {};
    }
    Expected<PgResult> operator()(RequestBase& request, Result result) const {
      if (request.operation().kind() != OperationKind::foreign) {  // prepare() failed
        return std::unexpected(result.error());
      }
      const std::unique_ptr<Job> job(static_cast<Job*>(request.operation().foreign.context));
      if (job->connection != nullptr) std::erase(job->connection->jobs_, job.get());
      if (!result) return std::unexpected(result.error());
      return std::move(job->result);
    }
  };
  struct ToConnected : ToResult {
    Expected<void> operator()(RequestBase& request, Result result) const {
      const Expected<PgResult> ended = ToResult::operator()(request, result);
      if (!ended) return std::unexpected(ended.error());
      return {};
    }
  };

  /// Ends with nothing, and queries can begin. What was before, is closed.
  Awaitable<ToConnected> connect(const char* conninfo) noexcept {
    return {loop_, packed(conninfo, {}, 1), nullptr, this};
  }
  /// Ends with a PgResult.
  Awaitable<ToResult> query(const char* statement,
                            std::span<const char* const> parameters = {}) noexcept {
    return {loop_, packed(statement, parameters, 0), nullptr, this};
  }

  /// For what changes nothing that is under way: PQparameterStatus, PQnotifies. nullptr: it
  /// is not connected.
  [[nodiscard]] PGconn* get() const noexcept { return connection_; }
  /// What libpq said when the connection was lost or could not be made.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  struct Job : Allocated {
    PgConnection* connection;  // nullptr: it is gone
    const char* text;
    std::span<const char* const> parameters;
    bool connects;
    enum : std::uint8_t { adding, waiting, sent, over } state = adding;
    Ticket ticket{};
    PgResult result{};
  };
  // Asks the server until it has answered. Lives on until the thread has come back.
  struct Canceling : Allocated {
    PgConnection* connection;
    PGcancel* request;
    bool pauses = false;
    Completion completion{};

    ~Canceling() { PQfreeCancel(request); }
    void ask(Loop& loop) {
      constexpr auto call = [](void* request) noexcept -> Result {
        std::array<char, 256> why;
        return PQcancel(static_cast<PGcancel*>(request), why.data(), why.size()) == 1 ? 1 : 0;
      };
      loop.add(completion, op::run_blocking(call, request), this, on_asked);
    }
  };

  // Until it begins.
  static Operation packed(const char* text, std::span<const char* const> parameters,
                          std::uint32_t connects) noexcept {
    Operation operation = op::noop();
    operation.io = {-1,
                    connects,
                    reinterpret_cast<std::byte*>(const_cast<char*>(text)),
                    parameters.size(),
                    {reinterpret_cast<std::uintptr_t>(parameters.data())}};
    return operation;
  }

  static void begin(void* context, Ticket ticket) noexcept {
    auto& job = *static_cast<Job*>(context);
    job.ticket = ticket;
    if (job.connection == nullptr) return end(job, std::unexpected(Errc::operation_canceled));
    if (job.connects) return job.connection->start_connecting(job);
    job.state = Job::waiting;
    job.connection->send_next();
  }
  static bool cancel(void* context, Ticket) noexcept {
    auto& job = *static_cast<Job*>(context);
    const bool sent = std::exchange(job.state, Job::over) == Job::sent;
    if (!sent) return true;
    PgConnection& self = *job.connection;
    self.sent_ = nullptr;
    job.connects ? self.lose(std::errc::not_connected) : self.ask_to_cancel();
    return true;
  }
  static void end(Job& job, Result result) {
    job.state = Job::over;
    job.ticket.complete(result);
  }

  // Connecting -------------------------------------------------------------------

  void start_connecting(Job& job) {
    lose(std::errc::not_connected);
    job.state = Job::sent;
    sent_ = &job;
    busy_ = connecting_ = true;
    connection_ = PQconnectStart(job.text);
    PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);  // it would print them
    if (PQstatus(connection_) == CONNECTION_BAD) return lose(std::errc::connection_refused);
    watch(writable);
  }
  void go_on_connecting() {
    switch (PQconnectPoll(connection_)) {
      case PGRES_POLLING_READING: return watch(readable);
      case PGRES_POLLING_WRITING: return watch(writable);
      case PGRES_POLLING_OK: break;
      default: return lose(std::errc::connection_refused);
    }
    connecting_ = false;
    PQsetnonblocking(connection_, 1);
    watch(0);
    end_sent();
  }
  // Anew: libpq takes another socket for the next address, often of the same number.
  void watch(std::size_t bits) {
    auto opened = Watcher::open(loop_, PQsocket(connection_));
    if (!opened) return lose(opened.error());
    watcher_ = std::move(*opened);
    watcher_.on_ready([this](std::size_t) { connecting_ ? go_on_connecting() : go_on(); });
    watcher_.want(bits);
  }

  // Queries ----------------------------------------------------------------------

  void send_next() {
    // Where the loop was drained meanwhile, nobody waits for the answer any more.
    if (busy_ && !connecting_) return flush();
    if (busy_ || canceling_ != nullptr) return;
    const auto next = std::ranges::find(jobs_, Job::waiting, &Job::state);
    if (next == jobs_.end()) return;
    Job& job = **next;
    if (connection_ == nullptr) return end(job, std::unexpected(std::errc::not_connected));
    job.state = Job::sent;
    sent_ = &job;
    busy_ = true;
    if (PQsendQueryParams(connection_, job.text, static_cast<int>(job.parameters.size()), nullptr,
                          job.parameters.data(), nullptr, nullptr, 0) == 0) {
      return lose(std::errc::not_connected);
    }
    flush();
  }
  void flush() {
    const int left = PQflush(connection_);
    if (left < 0) return lose(std::errc::not_connected);
    watcher_.want(left > 0 ? readable | writable : readable);
  }
  void go_on() {
    if (PQconsumeInput(connection_) == 0) return lose(std::errc::not_connected);
    while (PQisBusy(connection_) == 0) {
      PgResult result(PQgetResult(connection_));
      if (result == nullptr) {
        watcher_.want(0);
        return end_sent();
      }
      const ExecStatusType status = PQresultStatus(result.get());
      if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
        return lose(std::errc::operation_not_supported);
      }
      if (sent_ != nullptr) sent_->result = std::move(result);
    }
    flush();
  }
  void end_sent() {
    busy_ = false;
    if (canceling_ != nullptr && canceling_->pauses) loop_.cancel(canceling_->completion);
    if (Job* job = std::exchange(sent_, nullptr)) end(*job, 0);
    send_next();
  }

  // The next query is not sent before this has come back, or it could be the one that is
  // cancelled.
  void ask_to_cancel() {
    canceling_ = new (std::nothrow) Canceling{{}, this, PQgetCancel(connection_)};
    if (canceling_ != nullptr && canceling_->request != nullptr) return canceling_->ask(loop_);
    delete std::exchange(canceling_, nullptr);
    lose(std::errc::not_connected);
  }
  static Action on_asked(void* context, Loop& loop, Completion&, Result result) {
    auto& canceling = *static_cast<Canceling*>(context);
    PgConnection* self = canceling.connection;
    if (self != nullptr && self->busy_ && result.value_or(0) != 0) {
      // A server that had not read the query yet ignores it.
      canceling.pauses = !canceling.pauses;
      canceling.pauses
          ? loop.timer(canceling.completion, std::chrono::milliseconds(100), &canceling, on_asked)
          : canceling.ask(loop);
      return Action::disarm;
    }
    delete &canceling;
    if (self == nullptr) return Action::disarm;
    self->canceling_ = nullptr;
    if (self->busy_) self->lose(std::errc::not_connected);
    self->send_next();
    return Action::disarm;
  }

  void lose(Error error) {
    if (connection_ != nullptr) message_ = PQerrorMessage(connection_);
    watcher_ = Watcher();
    PQfinish(std::exchange(connection_, nullptr));
    busy_ = connecting_ = false;
    sent_ = nullptr;
    if (canceling_ != nullptr) {
      canceling_->connection = nullptr;
      loop_.cancel(std::exchange(canceling_, nullptr)->completion);
    }
    for (Job* job : jobs_) {
      if (job->state == Job::waiting || job->state == Job::sent) end(*job, std::unexpected(error));
    }
  }

  Loop& loop_;
  PGconn* connection_ = nullptr;
  Watcher watcher_;
  std::vector<Job*> jobs_;  // all that have begun and whose end was not told yet, in order
  Job* sent_ = nullptr;     // what the server works on; nullptr: nothing, or it was cancelled
  Canceling* canceling_ = nullptr;
  std::string message_;
  bool busy_ = false;  // the server has not answered all
  bool connecting_ = false;
};

}  // namespace wev
