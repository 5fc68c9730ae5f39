// wasi_fuzz: random programs on the WASI backend over fake hosts, against a
// naive model.
//
//   wasi_fuzz [--seeds N] [--first SEED] [--canary]
//
// By its seed a program adds timers, reads, writes and waits, with and without
// deadlines, cancels, closes and notifies, on a host with the quirks of a real
// one or a random mixture, while the world outside feeds and drains its pipes.
// The model knows how often each operation must end, how early a timer may fire
// and which byte comes next in each pipe.
//
// --canary runs a backend that loses bytes when it is cancelled, and succeeds
// only if that is found within the seeds.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "backend/wasi_poll.hpp"
#include "fake/fake_host.hpp"
#include "sim/random.hpp"
#include "wev/loop/loop.hpp"

namespace wev::test {
namespace {

using namespace std::chrono_literals;

// Forwards to the real backend, but for one bug.
class Canary final : public Backend {
 public:
  Expected<void> know(Descriptor& descriptor, const Operation& operation) override {
    return real_.know(descriptor, operation);
  }
  std::optional<Result> start(Completion& completion) override { return real_.start(completion); }
  std::optional<Result> cancel(Completion& completion) override {
    const Operation& operation = completion.operation();
    if (operation.kind() == OperationKind::read) (void)operation.perform();
    return real_.cancel(completion);
  }
  Expected<void> collect(CompletionQueue& done) override { return real_.collect(done); }
  Expected<void> sleep(Instant until) override { return real_.sleep(until); }
  void wake() noexcept override { real_.wake(); }
  [[nodiscard]] Instant now() const override { return real_.now(); }
  void release(Descriptor& descriptor) noexcept override { real_.release(descriptor); }

 private:
  WasiPoll real_;
};

// Byte i of stream s.
std::byte byte_of(std::size_t stream, std::size_t i) {
  return static_cast<std::byte>((stream * 37 + i * 11 + i / 256) & 0xff);
}

class Program;

struct Op {
  enum class Kind : std::uint8_t { timer, read, write, wait, close, noop };

  Program* program;
  Kind kind;
  std::size_t stream = 0;
  bool has_deadline = false;
  Instant earliest;  // of a timer
  bool lent = false;
  std::size_t adds = 0;
  std::size_t endings = 0;
  std::vector<std::byte> buffer;
  Completion completion;
};

// A pipe between the program and the world.
struct Stream {
  int inner = -1;  // the program's end
  int outer = -1;
  bool inbound = false;
  bool closed = false;  // by the program
  bool closing = false;
  std::size_t sent = 0;  // bytes that went in, and came out
  std::size_t received = 0;
};

class Program {
 public:
  Program(std::uint64_t seed, bool canary)
      : random_(seed),
        host_(quirks_of(seed), {.seed = seed,
                                .short_transfers = random_.one_in(2),
                                .capacity = 4096 + random_.below(3) * 4096}),
        loop_(backend(canary)),
        async_(loop_) {}

  // What is wrong; empty: nothing.
  std::string run() {
    const Quirks& quirks = host_.quirks();
    writes_ = quirks.refuses_nonblocking == 0 || quirks.pipe_write_poll == Quirks::Poll::honest;
    const std::size_t streams = 1 + random_.below(4);
    for (std::size_t i = 0; i < streams; ++i) make_stream(i);
    start_ = host_.now();
    for (std::size_t i = 0; i < 6; ++i) step();
    // A pulse that keeps the program stepping.
    loop_.timer(pulse_, 7ms, this, on_pulse);
    if (const auto ran = loop_.run(); !ran) wrong("run() failed");
    if (const auto drained = loop_.drain(); !drained) wrong("drain() failed");
    loop_.detach(async_);
    finish();
    return problem_;
  }

 private:
  static Quirks quirks_of(std::uint64_t seed) {
    const auto known = all_quirks();
    const std::size_t choice = seed % (known.size() * 2);
    return choice < known.size() ? known[choice] : hostile_host(seed);
  }

  Backend& backend(bool canary) {
    if (canary) return canary_;
    return real_;
  }

  void wrong(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
  }

  void make_stream(std::size_t i) {
    Stream& stream = streams_.emplace_back();
    stream.inbound = !writes_ || random_.one_in(2);
    const auto [reader, writer] = host_.world().pipe(host_.capacity());
    stream.inner = stream.inbound ? reader : writer;
    stream.outer = stream.inbound ? writer : reader;
    for (Instant at = host_.now(); at < host_.now() + 400ms;) {
      at += Duration(static_cast<Duration::rep>(random_.below(30'000'000)));
      host_.plan(at, [this, i] { act_outside(i); });
    }
    // In the end whatever blocks is let go.
    host_.plan(host_.now() + 2s, [this, i] { act_outside(i); });
  }

  void act_outside(std::size_t i) {
    Stream& stream = streams_[i];
    ++outside_;
    std::byte bytes[512];
    if (!stream.inbound) {
      for (;;) {
        const Result read = host_.world().perform(op::read(stream.outer, bytes));
        if (!read || *read == 0) return;
        check_bytes(i, {bytes, *read});
      }
    }
    if (stream.closed) return;
    const std::size_t count = 1 + random_.below(sizeof bytes);
    for (std::size_t k = 0; k < count; ++k) bytes[k] = byte_of(i, stream.sent + k);
    const Result written = host_.world().perform(op::write(stream.outer, {bytes, count}));
    if (written) stream.sent += *written;
  }

  void check_bytes(std::size_t i, std::span<const std::byte> bytes) {
    Stream& stream = streams_[i];
    for (const std::byte byte : bytes) {
      if (byte != byte_of(i, stream.received)) {
        return wrong("stream " + std::to_string(i) + ": byte " + std::to_string(stream.received) +
                     " is lost, doubled or another's");
      }
      ++stream.received;
    }
  }

  // One thing that a program might do.
  void step() {
    ++steps_;
    const std::size_t i = random_.below(streams_.size());
    Stream& stream = streams_[i];
    switch (random_.below(10)) {
      case 0:
      case 1: return add_timer();
      case 2:
      case 3:
      case 4: return add_io(i);
      case 5: return add(obtain(Op::Kind::wait, 0), op::async_wait(async_));
      case 6: async_.notify(); return;
      case 7:
      case 8: return cancel_any();
      default: break;
    }
    if (!stream.closed && !stream.closing && random_.one_in(8)) {
      stream.closing = true;
      return add(obtain(Op::Kind::close, i), op::close(stream.inner));
    }
    add(obtain(Op::Kind::noop, 0), op::noop());
  }

  void add_timer() {
    Op& op = obtain(Op::Kind::timer, 0);
    const auto delay = Duration(static_cast<Duration::rep>(random_.below(20'000'000)));
    op.earliest = loop_.now() + delay;
    add(op, op::timer(delay));
  }

  void add_io(std::size_t i) {
    Stream& stream = streams_[i];
    if (stream.closed || stream.closing) return;
    Op& op = obtain(stream.inbound ? Op::Kind::read : Op::Kind::write, i);
    op.buffer.resize(1 + random_.below(300));
    if (stream.inbound) return add(op, op::read(stream.inner, op.buffer));
    // Only the next one of a stream knows what to write.
    for (const auto& other : ops_) {
      if (&*other != &op && other->lent && other->kind == Op::Kind::write && other->stream == i) {
        return;
      }
    }
    for (std::size_t k = 0; k < op.buffer.size(); ++k) op.buffer[k] = byte_of(i, stream.sent + k);
    add(op, op::write(stream.inner, op.buffer));
  }

  void cancel_any() {
    if (ops_.empty()) return;
    Op& op = *ops_[random_.below(ops_.size())];
    loop_.cancel(op.completion);
  }

  Op& obtain(Op::Kind kind, std::size_t stream) {
    for (auto& op : ops_) {
      if (op->lent || random_.one_in(4)) continue;
      op->kind = kind;
      op->stream = stream;
      return *op;
    }
    Op& op = *ops_.emplace_back(std::make_unique<Op>());
    op.program = this;
    op.kind = kind;
    op.stream = stream;
    return op;
  }

  void add(Op& op, const Operation& operation) {
    op.lent = true;
    ++op.adds;
    op.has_deadline = op.kind != Op::Kind::timer && op.kind != Op::Kind::close && random_.one_in(3);
    const Instant deadline =
        op.has_deadline
            ? loop_.now() + Duration(static_cast<Duration::rep>(random_.below(15'000'000)))
            : never;
    if (op.has_deadline) op.earliest = deadline;
    loop_.add(op.completion, operation, &op, on_end, deadline);
  }

  static Action on_end(void* userdata, Loop&, Completion& completion, Result result) {
    Op& op = *static_cast<Op*>(userdata);
    if (&completion != &op.completion) op.program->wrong("a callback with another's completion");
    op.program->ended(op, result);
    return Action::disarm;
  }

  void ended(Op& op, Result result) {
    ++op.endings;
    if (!op.lent) return wrong("an operation ended twice");
    op.lent = false;
    const bool timed_out = !result && result.error() == Errc::timed_out;
    if (timed_out && !op.has_deadline) wrong("timed out without a deadline");
    if ((timed_out || (op.kind == Op::Kind::timer && result)) && host_.now() < op.earliest) {
      wrong("a timer or a deadline fired early");
    }
    Stream& stream = streams_[op.stream];
    if (op.kind == Op::Kind::read && result) {
      check_bytes(op.stream, std::span(op.buffer).first(*result));
    } else if (op.kind == Op::Kind::write && result) {
      stream.sent += *result;
    } else if (op.kind == Op::Kind::close) {
      // Before it has begun it can be cancelled.
      stream.closing = stream.closed = result.has_value();
      if (!result && result.error() != Errc::operation_canceled) wrong("a close failed");
    } else if (!result && result.error() != Errc::operation_canceled && !timed_out &&
               !(stream.closing && result.error() == std::errc::bad_file_descriptor)) {
      wrong("an operation failed with code " + std::to_string(result.error().code()));
    }
    if (steps_ < 150) step();
  }

  static Action on_pulse(void* userdata, Loop&, Completion&, Result) {
    auto& program = *static_cast<Program*>(userdata);
    program.step();
    if (program.steps_ < 150) return Action::rearm;
    // What waits for nothing that will come.
    for (auto& op : program.ops_) {
      if (op->lent && op->kind != Op::Kind::close) program.loop_.cancel(op->completion);
    }
    return Action::disarm;
  }

  void finish() {
    std::size_t endings = 0;
    for (const auto& op : ops_) {
      endings += op->endings;
      if (op->lent || op->adds != op->endings) wrong("an operation was lost");
    }
    for (std::size_t i = 0; i < streams_.size(); ++i) settle(i);
    for (const std::string& violation : host_.violations()) wrong(violation);
    // Each event is worth some calls, and so is each millisecond of waiting; a
    // program that spins makes a million in a second.
    const auto ms = static_cast<std::size_t>((host_.now() - start_) / 1ms);
    const std::size_t bound = (endings + outside_ + steps_) * 100 + ms * 8 * (1 + streams_.size());
    const bool can_sleep = host_.quirks().clock_error == 0;  // else it has to spin
    if (can_sleep && host_.calls() > bound) {
      wrong("it spins: " + std::to_string(host_.calls()) + " host calls in " + std::to_string(ms) +
            " ms with " + std::to_string(endings) + " endings");
    }
  }

  // What is left in a pipe is what was sent and not received.
  void settle(std::size_t i) {
    Stream& stream = streams_[i];
    if (stream.closed && stream.inbound) return;
    const int reader = stream.inbound ? stream.inner : stream.outer;
    std::byte bytes[512];
    for (;;) {
      const Result read = host_.world().perform(op::read(reader, bytes));
      if (!read || *read == 0) break;
      check_bytes(i, {bytes, *read});
    }
    if (stream.sent != stream.received) {
      wrong("stream " + std::to_string(i) + ": " + std::to_string(stream.sent) +
            " bytes were sent and " + std::to_string(stream.received) + " received");
    }
  }

  Random random_;
  FakeHost host_;
  WasiPoll real_;
  Canary canary_;
  Loop loop_;
  Async async_;
  bool writes_ = true;
  std::deque<Stream> streams_;
  std::vector<std::unique_ptr<Op>> ops_;
  Completion pulse_;
  Instant start_;
  std::size_t steps_ = 0;
  std::size_t outside_ = 0;
  std::string problem_;
};

}  // namespace
}  // namespace wev::test

int main(int argc, char** argv) {
  std::uint64_t seeds = 1'000;
  std::uint64_t first = 1;
  bool canary = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--canary") == 0) {
      canary = true;
    } else if (std::strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
      seeds = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--first") == 0 && i + 1 < argc) {
      first = std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: wasi_fuzz [--seeds N] [--first SEED] [--canary]\n");
      return 2;
    }
  }
  std::uint64_t found = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    const std::string problem = wev::test::Program(seed, canary).run();
    if (problem.empty()) continue;
    ++found;
    if (canary) {
      std::printf("the canary was caught by seed %llu: %s\n", static_cast<unsigned long long>(seed),
                  problem.c_str());
      break;
    }
    std::printf("seed %llu: %s\nto repeat: ./dev fuzz wasi --first %llu --seeds 1\n",
                static_cast<unsigned long long>(seed), problem.c_str(),
                static_cast<unsigned long long>(seed));
    if (found == 10) break;
  }
  if (!canary) std::printf("%llu seeds\n", static_cast<unsigned long long>(seeds));
  const bool passed = canary ? found > 0 : found == 0;
  std::printf("RESULT passed=%d failed=%d skipped=0\n", passed ? 1 : 0, passed ? 0 : 1);
  return passed ? 0 : 1;
}
