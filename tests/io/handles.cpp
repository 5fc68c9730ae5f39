// Handles that need no network: timers, streams, files, queued writes.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "rig/contract.hpp"
#include "wev/io/file.hpp"
#include "wev/io/timer.hpp"
#include "wev/io/write_queue.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/when.hpp"

namespace wev::test {

namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

// Timers ------------------------------------------------------------------------------

TEST_P(Contract, ATimerHandleFiresOnceOrAgainAndAgain) {
  Timer once(loop());
  Timer often(loop());
  std::string fired;
  struct State {
    Timer& timer;
    std::string& fired;
    int left = 3;
  } state{often, fired};
  often.every(2ms, [&state](std::size_t periods) {
    state.left -= static_cast<int>(periods);
    state.fired += 'e';
    if (state.left <= 0) state.timer.stop();
  });
  once.after(3ms, [&fired](std::size_t) { fired += 'o'; });
  EXPECT_TRUE(once.armed());
  run();
  EXPECT_FALSE(once.armed());
  EXPECT_FALSE(often.armed());
  EXPECT_EQ(std::ranges::count(fired, 'o'), 1);
  if (traits().no_still_clock == nullptr) {
    EXPECT_EQ(fired.front(), 'e');
  }
  EXPECT_LE(state.left, 0);
}

TEST_P(Contract, ATimerHandlesCallbackNeedNotTakeThePeriods) {
  Timer once(loop());
  Timer often(loop());
  int fired = 0;
  int left = 2;
  once.after(1ms, [&fired] { ++fired; });
  often.every(1ms, [&] {
    if (--left == 0) often.stop();
  });
  run();
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(left, 0);
}

TEST_P(Contract, ATimerHandleThatIsStoppedOrDestroyedDoesNotFire) {
  int fired = 0;
  const auto count = [&fired](std::size_t) { ++fired; };
  Timer stopped(loop());
  stopped.after(1h, count);
  auto destroyed = std::make_unique<Timer>(loop());
  destroyed->every(1h, count);
  look();
  stopped.stop();
  EXPECT_FALSE(stopped.armed());
  destroyed.reset();
  stopped.stop();  // harmless
  run();
  EXPECT_EQ(fired, 0);
}

TEST_P(Contract, ATimerHandleThatIsArmedAnewFiresByItsNewTime) {
  std::string fired;
  Timer timer(loop());
  Timer other(loop());
  timer.after(1h, [&fired](std::size_t) { fired += 'x'; });
  look();
  other.after(4ms, [&fired](std::size_t) { fired += 'a'; });
  timer.after(8ms, [&fired](std::size_t) { fired += 'b'; });  // while it is armed
  run();
  EXPECT_EQ(fired, "ab");
  timer.after(1h, [&fired](std::size_t) { fired += 'x'; });
  look();
  timer.stop();
  timer.after(1ms, [&fired](std::size_t) { fired += 'c'; });  // while its cancel is under way
  EXPECT_TRUE(timer.armed());
  run();
  EXPECT_EQ(fired, "abc");
}

TEST_P(Contract, ATimerHandleMayBeDestroyedAndSetAnewByItsCallback) {
  auto timer = std::make_unique<Timer>(loop());
  struct State {
    std::unique_ptr<Timer>& timer;
    int fired = 0;
  } state{timer};
  timer->every(1ms, [&state](std::size_t) {
    if (++state.fired == 1) {
      state.timer->after(2ms, [&state](std::size_t) {
        ++state.fired;
        state.timer.reset();
      });
    }
  });
  run();
  EXPECT_EQ(state.fired, 2);
  EXPECT_EQ(timer, nullptr);
}

TEST_P(Contract, ATimerHandleThatIsUnreferencedHoldsNothingOpen) {
  Timer timer(loop());
  int fired = 0;
  timer.every(1ms, [&fired](std::size_t) { ++fired; });
  timer.unref();
  run();
  Timer other(loop());
  other.after(4ms, [](std::size_t) {});
  run();
  EXPECT_GE(fired, 1);
  timer.stop();
  EXPECT_TRUE(loop().drain());
}

TEST_P(Contract, DrainingEndsTimerHandlesForGood) {
  Timer timer(loop());
  int fired = 0;
  timer.every(1h, [&fired](std::size_t) { ++fired; });
  EXPECT_TRUE(loop().drain());
  EXPECT_FALSE(timer.armed());
  EXPECT_EQ(fired, 0);
}

// Streams -----------------------------------------------------------------------------

TEST_P(Contract, AStreamIsReadAndWrittenWhole) {
  NEEDS(full_pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream reader(loop(), reader_fd);
  Stream writer(loop(), writer_fd);
  std::string sent;
  for (int i = 0; sent.size() < 100'000; ++i) sent += std::to_string(i) + ",";
  std::vector<std::byte> received(sent.size());
  Request writing;
  Request reading;
  Expected<std::size_t> written = 0;
  Expected<std::size_t> read = 0;
  writing.start(writer.write_all(bytes_of(sent)),
                [&](Expected<std::size_t> size) { written = size; });
  reading.start(reader.read_exactly(received), [&](Expected<std::size_t> size) { read = size; });
  EXPECT_TRUE(writing.active());
  run();
  EXPECT_EQ(written, sent.size());
  EXPECT_EQ(read, sent.size());
  EXPECT_TRUE(text_of(received) == sent);
}

TEST_P(Contract, ReadExactlyFailsAtTheEndAndSaysHowFarItCame) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream reader(loop(), reader_fd);
  EXPECT_EQ(rig().write(writer_fd, "short"), Result(5));
  EXPECT_EQ(rig().close(writer_fd), Result(0));
  std::array<std::byte, 100> buffer{};
  Request request;
  std::expected<std::size_t, TransferError> read = 99;
  request.start(reader.read_exactly(buffer),
                [&](std::expected<std::size_t, TransferError> size) { read = size; });
  run();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error(), Errc::end_of_stream);
  EXPECT_EQ(read.error().moved, 5u);
}

TEST_P(Contract, LinesAreReadOneByOneAndTheLastWithoutItsEnd) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream reader(loop(), reader_fd);
  EXPECT_EQ(rig().write(writer_fd, "one\n\nthree is longer\nlast"), Result(25));
  EXPECT_EQ(rig().close(writer_fd), Result(0));
  std::array<std::byte, 20> storage{};
  struct Lines {
    Stream& stream;
    ReadBuffer buffer;
    Request request;
    std::string seen;
    void next() {
      request.start(stream.read_until(buffer, '\n'), [this](Expected<std::span<std::byte>> line) {
        ASSERT_TRUE(line);
        seen += "[" + text_of(*line) + "]";
        if (!line->empty()) next();
      });
    }
  } lines{reader, ReadBuffer(storage), {}, {}};
  lines.next();
  run();
  EXPECT_EQ(lines.seen, "[one\n][\n][three is longer\n][last][]");
}

TEST_P(Contract, TextIsWrittenAndReadAsText) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  const Stream reader(loop(), reader_fd);
  Stream writer(loop(), writer_fd);
  Request writing;
  Request reading;
  writing.start(writer.write_all("one\r\n\ntwo\nlast"), [&](Expected<std::size_t> size) {
    EXPECT_EQ(size, 14u);
    writer = {};
  });
  char storage[8];
  ReadBuffer buffer(storage);
  std::vector<std::string> lines;
  const auto reads = [&]() -> Task<Expected<void>> {
    while (const auto line = co_await ok(reader.read_line(buffer))) lines.emplace_back(*line);
    co_return {};
  };
  EXPECT_TRUE(wev::run(loop(), reads()));
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "", "two", "last"}));
}

TEST_P(Contract, WhatHoldsCharactersIsABuffer) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  const Stream reader(loop(), reader_fd);
  const Stream writer(loop(), writer_fd);
  const std::string text = "string, ";
  const char letters[] = {'a', ',', ' '};
  const std::array<unsigned char, 2> bytes = {'b', '.'};
  char into[6];
  std::string rest(8, '?');
  const auto all = [&]() -> Task<Expected<void>> {
    co_await ok(writer.write_all(text));
    co_await ok(writer.write_all(letters));
    co_await ok(writer.write_all(bytes));
    co_await ok(writer.write_all(std::string("x") + text));
    co_await ok(reader.read_exactly(into));
    co_await ok(reader.read_exactly(rest));
    co_return {};
  };
  EXPECT_TRUE(wev::run(loop(), all()));
  EXPECT_EQ(std::string_view(into, sizeof into), "string");
  EXPECT_EQ(rest, ", a, b.x");
  std::vector<char> last(text.size());
  EXPECT_TRUE(wev::run(loop(), reader.read_exactly(last)));
  EXPECT_EQ(std::string_view(last.data(), last.size()), text);
  EXPECT_EQ(as_text(std::as_bytes(std::span(last))), text);
  const IoVec parts[] = {text, letters, into, std::string_view("xy")};
  EXPECT_EQ(parts[0].size + parts[1].size + parts[2].size + parts[3].size, 8u + 3 + 6 + 2);
}

TEST_P(Contract, ALineThatDoesNotFitIsAnErrorAndNothingIsLost) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream reader(loop(), reader_fd);
  EXPECT_EQ(rig().write(writer_fd, "far too long\nrest\n"), Result(18));
  std::array<std::byte, 8> storage{};
  ReadBuffer buffer(storage);
  Request request;
  Expected<std::span<std::byte>> line;
  const auto keep = [&line](Expected<std::span<std::byte>> got) { line = got; };
  request.start(reader.read_until(buffer, '\n'), keep);
  run();
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error(), std::errc::no_buffer_space);
  EXPECT_EQ(text_of(buffer.unused()), "far too ");
  buffer.use(buffer.unused().size());
  request.start(reader.read_until(buffer, '\n'), keep);
  run();
  ASSERT_TRUE(line);
  EXPECT_EQ(text_of(*line), "long\n");
}

TEST_P(Contract, AReadOfAStreamHasADeadlineAndCanBeCanceled) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  (void)writer_fd;
  Stream reader(loop(), reader_fd);
  std::array<std::byte, 8> first{};
  std::array<std::byte, 8> second{};
  Request late;
  Request canceled;
  Expected<std::size_t> late_result = 1;
  Expected<std::size_t> canceled_result = 1;
  late.start(reader.read_some(first).deadline(loop().now() + 3ms),
             [&](Expected<std::size_t> size) { late_result = size; });
  canceled.start(reader.read_exactly(second),
                 [&](Expected<std::size_t> size) { canceled_result = size; });
  look();
  canceled.cancel();
  canceled.cancel();
  run();
  ASSERT_FALSE(late_result);
  EXPECT_EQ(late_result.error(), Errc::timed_out);
  ASSERT_FALSE(canceled_result);
  EXPECT_EQ(canceled_result.error(), Errc::operation_canceled);
  late.cancel();  // harmless
}

// A program that goes on after the real result ends all the same.
TEST_P(Contract, ACancelThatComesTooLateEndsWhatIsBegunNext) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream reader(loop(), reader_fd);
  std::array<std::byte, 1> buffer{};
  struct Reading {
    Stream& stream;
    std::span<std::byte> buffer;
    Request request{};
    std::vector<Expected<std::size_t>> results{};

    void start() {
      request.start(stream.read_some(buffer), [this](Expected<std::size_t> size) {
        results.push_back(size);
        if (!size) return;
        EXPECT_EQ(request.canceled(), results.size() == 1);
        start();
      });
    }
  } reading{reader, buffer};
  Request& request = reading.request;
  const auto& results = reading.results;
  EXPECT_EQ(rig().write(writer_fd, "a"), Result(1));
  // Called back before the read is, which may have ended by then.
  Probe& first = probe("first", [&](Probe&) {
    request.cancel();
    return Action::disarm;
  });
  add(first, op::noop());
  reading.start();
  run();
  ASSERT_FALSE(results.empty());
  EXPECT_LE(results.size(), 2u);
  if (results.size() == 2) {
    EXPECT_EQ(results.front(), 1u);
  }
  EXPECT_EQ(results.back(), Expected<std::size_t>(std::unexpected(Errc::operation_canceled)));
  // It has been heard.
  EXPECT_FALSE(request.canceled());
  const bool left = results.size() == 1;
  if (!left) {
    EXPECT_EQ(rig().write(writer_fd, "b"), Result(1));
  }
  Expected<std::size_t> again = 0;
  request.start(reader.read_some(buffer), [&](Expected<std::size_t> size) { again = size; });
  run();
  EXPECT_EQ(again, 1u);
}

// The part of a line that has come is not the last of it.
TEST_P(Contract, WhatIsReadBehindALineIsWhatComesBehindIt) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream reader(loop(), reader_fd);
  std::string line;
  std::array<char, 4> rest{};
  Request first;
  Request second;
  std::string order;
  // As large as the line, so that nothing more is read into it.
  std::array<std::byte, 4> small{};
  ReadBuffer narrow(small);
  first.start(reader.read_until(narrow, '\n'), [&](Expected<std::span<std::byte>> part) {
    if (part) line = as_text(*part);
    order += '1';
  });
  second.start(reader.read_exactly(rest), [&](const auto& size) {
    EXPECT_TRUE(size);
    order += '2';
  });
  look();
  EXPECT_EQ(rig().write(writer_fd, "HE"), Result(2));
  for (int i = 0; i < 5; ++i) look();
  EXPECT_EQ(rig().write(writer_fd, "A\n"), Result(2));
  run_until([&] { return !first.active(); });
  EXPECT_EQ(rig().write(writer_fd, "BODY"), Result(4));
  run();
  EXPECT_EQ(line, "HEA\n");
  EXPECT_EQ(std::string_view(rest.data(), 4), "BODY");
  EXPECT_EQ(order, "12");
}

TEST_P(Contract, ALineIsCancelledWithItsHandleWhereverItStands) {
  NEEDS(pipes);
  for (const int way : {0, 1, 2}) {
    const auto [reader_fd, writer_fd] = rig().pipe();
    owned(writer_fd);
    auto reader = std::make_unique<Stream>(loop(), reader_fd);
    std::array<std::byte, 64> memory{};
    ReadBuffer lines(memory);
    Request reading;
    Error error{std::errc{}};
    reading.start(reader->read_until(lines, '\n'),
                  [&](const auto& part) { error = part ? Error(std::errc{}) : part.error(); });
    // Before the part that has come is delivered.
    Probe& first = probe("first", [&](Probe&) {
      if (way == 0) reader->cancel();
      if (way == 1) reader.reset();
      if (way == 2) reading.unref();
      return Action::disarm;
    });
    EXPECT_EQ(rig().write(writer_fd, "ab"), Result(2));
    add(first, op::noop());
    run();
    if (way == 2) {
      EXPECT_TRUE(reading.active());
      reading.cancel();
      run();
      EXPECT_TRUE(loop().drain());
    }
    EXPECT_EQ(error, Errc::operation_canceled);
  }
}

TEST_P(Contract, AQueueThatIsCancelledGoesOnWithNothing) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream writer(loop(), writer_fd);
  WriteQueue queue(writer);
  Error error{std::errc{}};
  queue.on_error([&](Error why) { error = why; });
  // Called back before the first write is, which has ended by then.
  Probe& first = probe("first", [&](Probe&) {
    queue.cancel();
    return Action::disarm;
  });
  add(first, op::noop());
  EXPECT_TRUE(queue.write("a"));
  EXPECT_TRUE(queue.write("b"));
  run();
  EXPECT_TRUE(queue.idle());
  EXPECT_EQ(error, Errc::operation_canceled);
  EXPECT_FALSE(queue.write("c"));
  EXPECT_EQ(rig().close(writer.release()), Result(0));
  const std::string all = rig().read_all(reader_fd);
  EXPECT_TRUE(all.empty() || all == "a") << all;
}

TEST_P(Contract, AHandleIsCancelledWithAllThatIsOnIt) {
  NEEDS(full_pipes);
  const auto [reader_fd, writer_fd] = pipe();
  const auto [blocked_reader, blocked_fd] = pipe();
  (void)writer_fd;
  (void)blocked_reader;
  fill(blocked_fd);
  Stream reader(loop(), reader_fd);
  Stream writer(loop(), blocked_fd);
  std::array<std::byte, 8> buffer{};
  Request first;
  Request second;
  Request writing;
  std::vector<Error> errors;
  const auto keep = [&errors](const auto& result) {
    errors.push_back(result ? Error(std::errc{}) : Error(result.error()));
  };
  first.start(reader.read_exactly(buffer), keep);
  second.start(reader.read_some(buffer), keep);
  writing.start(writer.write_all("x"), keep);
  look();
  reader.cancel();
  writer.cancel();
  run();
  EXPECT_EQ(errors, std::vector<Error>(3, Errc::operation_canceled));
  EXPECT_TRUE(reader.is_open());
  const Stream closed;
  closed.cancel();  // harmless
}

TEST_P(Contract, AReadWithinADurationTimesOutNotBeforeItHasPassedSinceItBegan) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  (void)writer_fd;
  Stream reader(loop(), reader_fd);
  std::array<std::byte, 8> buffer{};
  const auto within = reader.read_some(buffer).within(5ms);
  rig().busy(loop(), 6ms);  // before it begins
  look();
  Request request;
  Expected<std::size_t> read = 1;
  const Instant deadline = loop().now() + 5ms;
  request.start(within, [&read](Expected<std::size_t> size) { read = size; });
  run();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error(), Errc::timed_out);
  EXPECT_GE(loop().backend().now(), deadline);
}

TEST_P(Contract, AHandleThatIsDestroyedEndsWhatIsInFlightAndCloses) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  std::array<std::byte, 8> buffer{};
  Request request;
  Expected<std::size_t> read = 1;
  std::optional<Stream> reader(std::in_place, loop(), reader_fd);
  request.start(reader->read_some(buffer), [&](Expected<std::size_t> size) { read = size; });
  look();
  Stream moved = std::move(*reader);
  reader.reset();  // owns nothing any more
  look();
  EXPECT_TRUE(request.active());
  moved = Stream();
  run();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error(), Errc::operation_canceled);
  EXPECT_EQ(rig().close(reader_fd), Result(std::unexpected(Error(std::errc::bad_file_descriptor))));
}

TEST_P(Contract, AHandleIsClosedByHandAndReleased) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream reader(loop(), reader_fd);
  Stream writer(loop(), writer_fd);
  Request request;
  bool closed = false;
  request.start(reader.close(), [&closed](Expected<void> result) { closed = result.has_value(); });
  EXPECT_FALSE(reader.is_open());
  run();
  EXPECT_TRUE(closed);
  EXPECT_EQ(writer.release(), writer_fd);
  EXPECT_FALSE(writer.is_open());
  EXPECT_EQ(rig().close(writer_fd), Result(0));
}

// Queued writes --------------------------------------------------------------------------

TEST_P(Contract, QueuedWritesArriveInOrderAndSayWhenTheyAreThrough) {
  NEEDS(full_pipes);
  const auto [reader_fd, writer_fd] = pipe();
  Stream writer(loop(), writer_fd);
  WriteQueue queue(writer, {.high_water = 1'000, .limit = 200'000});
  int drained = 0;
  queue.on_drained([&drained] { ++drained; });
  std::string expected;
  for (int i = 0; i < 5'000; ++i) {
    const std::string piece = std::to_string(i) + " ";
    ASSERT_TRUE(queue.write(bytes_of(piece)));
    expected += piece;
  }
  EXPECT_TRUE(queue.above_high_water());
  EXPECT_EQ(queue.queued(), expected.size());
  std::vector<std::byte> received(expected.size());
  Stream reader(loop(), reader_fd);
  Request reading;
  reading.start(reader.read_exactly(received), [](Expected<std::size_t>) {});
  run();
  EXPECT_TRUE(text_of(received) == expected);
  EXPECT_EQ(drained, 1);
  EXPECT_TRUE(queue.idle());
  EXPECT_EQ(queue.queued(), 0u);
}

TEST_P(Contract, AQueueThatIsFullTakesAllOrNothing) {
  NEEDS(full_pipes);
  const auto [reader_fd, writer_fd] = pipe();
  fill(writer_fd);
  Stream writer(loop(), writer_fd);
  WriteQueue queue(writer, {.high_water = 10, .limit = 20});
  Expected<void> failed;
  queue.on_error([&failed](Error error) { failed = std::unexpected(error); });
  EXPECT_TRUE(queue.write(bytes_of("0123456789")));
  const auto refused = queue.write(bytes_of("0123456789x"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), std::errc::no_buffer_space);
  EXPECT_TRUE(queue.write(bytes_of("0123456789")));
  EXPECT_EQ(queue.queued(), 20u);
  look();
  queue.cancel();
  run();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error(), Errc::operation_canceled);
  EXPECT_FALSE(queue.write(bytes_of("x")));
}

TEST_P(Contract, ATaskPausesWhereAQueueIsAboveItsHighWaterAndGoesOnAtTheLow) {
  NEEDS(full_pipes);
  const auto [reader_fd, writer_fd] = pipe();
  const std::size_t before = fill(writer_fd).size();
  Stream writer(loop(), writer_fd);
  const Stream reader(loop(), reader_fd);
  WriteQueue queue(writer, {.high_water = 10, .low_water = 3});
  std::string log;
  queue.on_low_water([&log] { log += 'l'; });
  const auto writes = [&]() -> Task<Expected<void>> {
    co_await ok(queue.ready());  // nothing is queued
    co_await ok(queue.drained());
    co_await ok(queue.write("0123456789"));
    log += 'w';
    co_await ok(queue.ready());
    log += 'r';
    EXPECT_LE(queue.queued(), 3u);
    co_await ok(queue.write("a"));
    co_await ok(queue.drained());
    EXPECT_EQ(queue.queued(), 0u);
    log += 'd';
    co_return {};
  };
  const auto reads = [&]() -> Task<Expected<void>> {
    std::string all(before + 11, ' ');
    while (log != "w") co_await ok(yield());
    co_await ok(reader.read_exactly(all));
    EXPECT_EQ(all.substr(before), "0123456789a");
    co_return {};
  };
  const auto ended = wev::run(loop(), when_all(writes(), reads()));
  ASSERT_TRUE(ended);
  EXPECT_TRUE(std::get<0>(*ended));
  EXPECT_TRUE(std::get<1>(*ended));
  EXPECT_EQ(log, "wlrd");
}

TEST_P(Contract, WhoWaitsForAQueueHasADeadlineAndIsToldWhenItEnds) {
  NEEDS(full_pipes);
  const auto [reader_fd, writer_fd] = pipe();
  fill(writer_fd);
  Stream writer(loop(), writer_fd);
  WriteQueue queue(writer, {.high_water = 10});
  EXPECT_TRUE(queue.write("0123456789"));
  Request hasty;
  Request patient;
  Request late;
  Expected<void> hurried;
  Expected<void> waited;
  Expected<void> came_late;
  hasty.start(queue.ready().within(1ms), [&](Expected<void> result) {
    hurried = result;
    queue.cancel();
  });
  patient.start(queue.drained(), [&](Expected<void> result) {
    waited = result;
    late.start(queue.ready(), [&](Expected<void> again) { came_late = again; });
  });
  run();
  ASSERT_FALSE(hurried);
  EXPECT_EQ(hurried.error(), Errc::timed_out);
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error(), Errc::operation_canceled);
  ASSERT_FALSE(came_late);
  EXPECT_EQ(came_late.error(), Errc::operation_canceled);
}

TEST_P(Contract, AQueueOnAStreamThatNobodyReadsSaysSo) {
  NEEDS(broken_pipes);
  const auto [reader_fd, writer_fd] = pipe();
  EXPECT_EQ(rig().close(reader_fd), Result(0));
  Stream writer(loop(), writer_fd);
  WriteQueue queue(writer);
  Error failed = std::errc{};
  queue.on_error([&failed](Error error) { failed = error; });
  EXPECT_TRUE(queue.write(bytes_of("x")));
  run();
  EXPECT_EQ(failed, std::errc::broken_pipe);
}

// Files -----------------------------------------------------------------------------------

TEST_P(Contract, AFileHandleIsOpenedWrittenReadAndMeasured) {
  NEEDS(files);
  constexpr const char* path = "wev-test-handle";
  Request request;
  Expected<File> opened = std::unexpected(Error(std::errc::no_link));
  request.start(File::open(loop(), path, open_read | open_write | open_create | open_truncate),
                [&opened](Expected<File> file) { opened = std::move(file); });
  run();
  ASSERT_TRUE(opened) << opened.error().code();
  File file = std::move(*opened);
  Expected<std::size_t> size = 0;
  const auto keep = [&size](Expected<std::size_t> got) { size = got; };
  request.start(file.write_all(bytes_of("hello world")), keep);
  run();
  EXPECT_EQ(size, 11u);
  request.start(file.write_at(bytes_of("W"), 6), keep);
  run();
  bool synced = false;
  request.start(file.sync(), [&synced](Expected<void> result) { synced = result.has_value(); });
  run();
  EXPECT_TRUE(synced);
  request.start(file.size(), keep);
  run();
  EXPECT_EQ(size, 11u);
  std::array<std::byte, 32> buffer{};
  request.start(file.read_at(buffer, 6), keep);
  run();
  EXPECT_EQ(text_of(std::span(buffer).first(size.value_or(0))), "World");
}

TEST_P(Contract, AFileThatIsNotThereIsAnErrorInTheCallback) {
  NEEDS(files);
  Request request;
  Error error = std::errc{};
  request.start(File::open(loop(), "wev-test-missing", open_read), [&error](Expected<File> file) {
    error = file ? Error(std::errc{}) : file.error();
  });
  EXPECT_EQ(error, std::errc{});
  run();
  EXPECT_EQ(error, std::errc::no_such_file_or_directory);
}

// Ending ------------------------------------------------------------------------------

namespace {

// A stream on which a line is awaited, beside a read that ends in the same tick.
struct TwoAtOnce {
  explicit TwoAtOnce(std::unique_ptr<Stream> its_stream) : stream(std::move(its_stream)) {}

  std::unique_ptr<Stream> stream;
  std::array<std::byte, 64> memory{};
  ReadBuffer lines{memory};
  Request reading;
  int ends = 0;

  void read_line() {
    reading.start(stream->read_until(lines, '\n'),
                  [this](const Expected<std::span<std::byte>>&) { ++ends; });
  }
};

}  // namespace

// Its result is there, its callback is not: the number must not be somebody else's by then.
TEST_P(Contract, WhatADestroyedStreamWasReadingIsNobodyElses) {
  NEEDS(pipes);
  const auto [ready, make_ready] = pipe();
  const auto [reader, writer] = rig().pipe();
  owned(writer);
  TwoAtOnce two(std::make_unique<Stream>(loop(), reader));
  two.read_line();
  int fresh = -1;
  Probe& first = probe("first", [&](Probe&) {
    two.stream.reset();
    const Pair next = pipe();
    EXPECT_EQ(rig().write(next.writer, "secret\n"), Result(7));
    fresh = next.reader;
    return Action::disarm;
  });
  auto& buffer = make_buffer<1>();
  add(first, op::read(ready, buffer.bytes));
  look();
  EXPECT_EQ(rig().write(make_ready, "!"), Result(1));
  EXPECT_EQ(rig().write(writer, "ab"), Result(2));
  run_until([&] { return two.ends > 0 && first.calls() > 0; });
  run();
  EXPECT_EQ(two.ends, 1);
  EXPECT_EQ(rig().read_all(fresh), "secret\n");
}

TEST_P(Contract, ACancelThatMeetsAPartOfALineEndsTheWhole) {
  NEEDS(pipes);
  const auto [ready, make_ready] = pipe();
  const auto [reader, writer] = rig().pipe();
  owned(writer);
  TwoAtOnce two(std::make_unique<Stream>(loop(), reader));
  two.read_line();
  Probe& first = probe("first", [&](Probe&) {
    two.reading.cancel();
    return Action::disarm;
  });
  auto& buffer = make_buffer<1>();
  add(first, op::read(ready, buffer.bytes));
  look();
  EXPECT_EQ(rig().write(writer, "ab"), Result(2));
  EXPECT_EQ(rig().write(make_ready, "!"), Result(1));
  run();
  EXPECT_EQ(two.ends, 1);
}

// The number may be somebody else's by then.
TEST_P(Contract, ADescriptorThatIsReleasedIsForgotten) {
  NEEDS(pipes);
  for (int i = 0; i < 3; ++i) {
    const auto [reader, writer] = pipe();
    Stream stream(loop(), reader);
    std::array<std::byte, 4> buffer{};
    Request reading;
    Result got = 0;
    reading.start(stream.read_some(buffer), [&](Result result) { got = result; });
    look();
    EXPECT_EQ(stream.release(), reader);
    EXPECT_FALSE(stream.is_open());
    EXPECT_EQ(rig().write(writer, "x"), Result(1));
    run();
    EXPECT_EQ(got, Result(1));
    EXPECT_EQ(rig().close(reader), Result(0));
    EXPECT_EQ(rig().close(writer), Result(0));
  }
}

TEST_P(Contract, ATimerMayBeDestroyedJustBeforeItsLoop) {
  auto other = rig().loop();
  {
    Timer timer(*other);
    timer.after(1h, [] {});
    EXPECT_TRUE(other->tick(RunMode::no_wait));
    Timer adding(*other);
    adding.every(1h, [] {});
  }
  other.reset();
}

}  // namespace wev::test
