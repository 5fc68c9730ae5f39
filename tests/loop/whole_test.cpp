// Operations in parts: an op::whole whose parts are all there at once, and a line whose parts come
// though it was cancelled.
#include <gtest/gtest.h>

#include <array>
#include <utility>

#include "wev/io/stream.hpp"
#include "wev/loop.hpp"

namespace wev::test {

namespace {

// Of each transfer it moves a byte, at once.
class ByteByByte final : public Backend {
 public:
  std::optional<Result> start(Completion&) override {
    ++started;
    return 1;
  }
  std::optional<Result> cancel(Completion&) override { return std::nullopt; }
  Expected<void> collect(CompletionQueue&) override { return {}; }
  Expected<void> sleep(Instant) override { return {}; }
  void wake() noexcept override {}
  [[nodiscard]] Instant now() const override { return {}; }

  int started = 0;
};

// What is cancelled in it has its result by then: two bytes.
class TooLate final : public Backend {
 public:
  std::optional<Result> start(Completion& completion) override {
    if (completion.operation().kind() == OperationKind::close) return 0;
    ++started;
    flight_ = &completion;
    return std::nullopt;
  }
  std::optional<Result> cancel(Completion&) override {
    canceled_ = true;
    return std::nullopt;
  }
  Expected<void> collect(CompletionQueue& done) override {
    if (std::exchange(canceled_, false)) done.push(*std::exchange(flight_, nullptr), 2);
    return {};
  }
  Expected<void> sleep(Instant) override { return {}; }
  void wake() noexcept override {}
  [[nodiscard]] Instant now() const override { return {}; }

  int started = 0;

 private:
  Completion* flight_ = nullptr;
  bool canceled_ = false;
};

struct Ended {
  static Action on_end(void* self, Loop&, Completion& completion, Result result) {
    auto& ended = *static_cast<Ended*>(self);
    ended.result = result;
    ended.why = completion.cut_short_by();
    ++ended.calls;
    return Action::disarm;
  }
  Completion completion;
  Result result = 0;
  std::optional<Error> why;
  int calls = 0;
};

}  // namespace

TEST(Whole, OthersHaveTheirTurnBetweenItsParts) {
  ByteByByte backend;
  Loop loop(backend);
  std::array<std::byte, 1'000> buffer{};
  Ended whole;
  Ended behind;
  loop.add(whole.completion, op::whole(op::read(3, buffer)), &whole, Ended::on_end);
  loop.add(behind.completion, op::read(3, buffer), &behind, Ended::on_end);
  for (int before = 0; whole.calls == 0; before = backend.started) {
    ASSERT_TRUE(loop.tick(RunMode::no_wait));
    EXPECT_LE(backend.started - before, 17);
    EXPECT_EQ(behind.calls, whole.calls) << "they keep their order";
  }
  EXPECT_EQ(whole.result, Result(1'000));
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(behind.result, Result(1));
}

TEST(Whole, OneThatIsPausedCanBeCanceledAndTimedOutAndClosed) {
  for (int way = 0; way < 3; ++way) {
    ByteByByte backend;
    Loop loop(backend);
    std::array<std::byte, 1'000> buffer{};
    Ended whole;
    Ended close;
    const auto read = op::whole(op::read(3, buffer));
    loop.add(whole.completion, read, &whole, Ended::on_end, way == 1 ? loop.now() : never);
    ASSERT_TRUE(loop.tick(RunMode::no_wait));
    if (way == 0) loop.cancel(whole.completion);
    if (way == 2) loop.add(close.completion, op::close(3), &close, Ended::on_end);
    ASSERT_TRUE(loop.run());
    EXPECT_EQ(whole.calls, 1);
    EXPECT_EQ(whole.result, Result(way == 2 ? 32 : 16)) << "a close waits for its tick";
    EXPECT_EQ(whole.why, way == 1 ? Errc::timed_out : Errc::operation_canceled);
    EXPECT_EQ(whole.completion.operation().io.size, buffer.size());
    EXPECT_EQ(close.calls, way == 2 ? 1 : 0);
  }
}

TEST(Parts, OfALineThatIsCancelledTooLateNoOtherPartIsBegun) {
  TooLate backend;
  Loop loop(backend);
  Stream stream(loop, 3);
  std::array<std::byte, 16> storage{};
  ReadBuffer lines(storage);
  Request reading;
  Error error{std::errc{}};
  reading.start(stream.read_line(lines),
                [&error](const auto& line) { error = line ? Error(std::errc{}) : line.error(); });
  ASSERT_TRUE(loop.tick(RunMode::no_wait));
  stream.cancel();
  for (int ticks = 0; reading.active() && ticks < 10; ++ticks) {
    ASSERT_TRUE(loop.tick(RunMode::no_wait));
  }
  EXPECT_EQ(error, Errc::operation_canceled);
  EXPECT_EQ(backend.started, 1);
  reading.cancel();
  ASSERT_TRUE(loop.drain());
  EXPECT_EQ(lines.unused().size(), 2u) << "what has come is kept";
}

}  // namespace wev::test
