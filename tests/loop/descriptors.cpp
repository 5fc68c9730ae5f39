// Files, pipes and sockets; what is wrong with one descriptor.
#include <algorithm>
#include <array>
#include <vector>

#include "rig/contract.hpp"

namespace wev::test {

namespace {

// Reads `fd` through the loop up to its end.
class Reader {
 public:
  Reader(Probe& probe, int fd) : fd_(fd) {
    probe.then = [this](Probe& self) {
      if (!self.result() || *self.result() == 0) return Action::disarm;
      received += buffer_.text(*self.result());
      return Action::rearm;
    };
  }
  [[nodiscard]] Operation operation() { return op::read(fd_, buffer_.bytes); }

  std::string received;

 private:
  int fd_;
  Buffer<4096> buffer_;
};

}  // namespace

// Files -----------------------------------------------------------------------------

TEST_P(Contract, AFileIsReadToItsEnd) {
  NEEDS(files);
  std::string contents;
  for (int i = 0; i < 3000; ++i) contents += std::to_string(i) + "\n";
  const int fd = file(contents);
  Probe& p = probe("p");
  Reader reader(p, fd);
  add(p, reader.operation());
  run();
  EXPECT_EQ(reader.received, contents);
  EXPECT_END(p, Result(0));
}

TEST_P(Contract, WritesToAFileAreReadBack) {
  NEEDS(files);
  const int fd = file();
  std::string_view left = "one two three four five";
  Probe& w = probe("w", [&](Probe& self) {
    EXPECT_TRUE(self.result());
    left.remove_prefix(self.result().value_or(left.size()));
    if (!left.empty()) add(self, op::write(fd, bytes_of(left)));
    return Action::disarm;
  });
  add(w, op::write(fd, bytes_of(left)));
  run();
  Probe& synced = start("synced", op::fsync(fd));
  run();
  EXPECT_END(synced, Result(0));
  auto& buffer = make_buffer<64>();
  Probe& r = start("r", op::pread(fd, buffer.bytes, 0));
  run();
  ASSERT_TRUE(r.result());
  EXPECT_EQ(buffer.text(*r.result()), "one two three four five");
}

TEST_P(Contract, PositionalOperationsLeaveThePositionAlone) {
  NEEDS(files);
  const int fd = file("abcdefghij");
  auto& middle = make_buffer<4>();
  auto& first = make_buffer<2>();
  Probe& a = start("a", op::pread(fd, middle.bytes, 3));
  Probe& b = start("b", op::pwrite(fd, bytes_of("XY"), 8));
  Probe& c = start("c", op::pread(fd, middle.bytes, 100));
  run();
  EXPECT_END(a, Result(4));
  EXPECT_EQ(middle.text(4), "defg");
  EXPECT_END(b, Result(2));
  EXPECT_END(c, Result(0));  // past the end
  Probe& d = start("d", op::read(fd, first.bytes));
  run();
  ASSERT_TRUE(d.result());
  EXPECT_EQ(first.text(*d.result()), std::string_view("ab").substr(0, *d.result()));
  auto& all = make_buffer<10>();
  Probe& e = start("e", op::pread(fd, all.bytes, 0));
  run();
  EXPECT_END(e, Result(10));
  EXPECT_EQ(all.text(10), "abcdefghXY");
}

// Such as come of a difference below zero, or of a search that has found nothing.
TEST_P(Contract, OffsetsThatNoFileHasAreRefused) {
  NEEDS(files);
  const int fd = file("abcdefghij");
  auto& buffer = make_buffer<4>();
  for (const std::uint64_t offset : {most_offset + 1, ~std::uint64_t{0}}) {
    for (const Operation& operation :
         {op::pread(fd, buffer.bytes, offset), op::pwrite(fd, bytes_of("XY"), offset)}) {
      Probe& p = start("p", operation);
      run();
      EXPECT_END(p, std::errc::invalid_argument);
      EXPECT_EQ(loop().perform(operation), Result(std::unexpected(std::errc::invalid_argument)));
    }
  }
  auto& all = make_buffer<16>();
  Probe& r = start("r", op::read(fd, all.bytes));
  run();
  ASSERT_TRUE(r.result());
  EXPECT_EQ(all.text(*r.result()), std::string_view("abcdefghij").substr(0, *r.result()));
}

TEST_P(Contract, AFileIsAlwaysReady) {
  NEEDS(files);
  const int fd = file("x");
  Probe& in = start("in", op::poll_readable(fd));
  Probe& out = start("out", op::poll_writable(fd));
  run();
  EXPECT_END(in, Result(readable));
  EXPECT_END(out, Result(writable));
}

TEST_P(Contract, AFileIsOpenedByItsPath) {
  NEEDS(files);
  constexpr const char* path = "wev-test-file";
  Probe& made = start("made", op::open(op::working_directory, path,
                                       open_read | open_write | open_create | open_truncate));
  run();
  ASSERT_TRUE(made.result()) << describe(made.result());
  const int fd = owned(static_cast<int>(*made.result()));
  Probe& w = start("w", op::pwrite(fd, bytes_of("hello"), 0));
  run();
  EXPECT_END(w, Result(5));
  Probe& s = start("s", op::size(fd));
  Probe& again = start(
      "again", op::open(op::working_directory, path, open_write | open_create | open_exclusive));
  Probe& missing = start("missing", op::open(op::working_directory, "wev-test-missing", open_read));
  Probe& read_only = start("read_only", op::open(op::working_directory, path, open_read));
  run();
  EXPECT_END(s, Result(5));
  EXPECT_END(again, std::errc::file_exists);
  EXPECT_END(missing, std::errc::no_such_file_or_directory);
  ASSERT_TRUE(read_only.result());
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::pread(owned(static_cast<int>(*read_only.result())), buffer.bytes, 0));
  run();
  EXPECT_END(r, Result(5));
  EXPECT_EQ(buffer.text(5), "hello");
}

// Also where another descriptor has made it longer meanwhile.
TEST_P(Contract, WhatIsAppendedGoesToTheEndWhereverThatIsByThen) {
  NEEDS(files);
  constexpr const char* path = "wev-test-appended";
  const auto write = [&](int fd, std::string_view text) {
    Probe& written = start({}, op::whole(op::write(fd, bytes_of(text))));
    run();
    EXPECT_END(written, Result(text.size()));
  };
  const int fd = open(path, open_read | open_write | open_create | open_truncate);
  write(fd, "abc");
  const int appending = open(path, open_write | open_append);
  write(fd, "XYZ");
  write(appending, "d");
  write(fd, "?");  // at its own position, over what was appended
  write(appending, "ef");
  auto& buffer = make_buffer<32>();
  Probe& all = start("all", op::pread(fd, buffer.bytes, 0));
  run();
  ASSERT_EQ(all.result(), Result(9));
  EXPECT_EQ(buffer.text(9), "abcXYZ?ef");
}

TEST_P(Contract, AFileIsReadAndWrittenOnlyAsItWasOpened) {
  NEEDS(files);
  constexpr const char* path = "wev-test-one-way";
  const int writing = open(path, open_write | open_create | open_truncate);
  const int reading = open(path, open_read);
  auto& buffer = make_buffer<8>();
  const std::array<IoVec, 2> in = {std::span(buffer.bytes).first(4),
                                   std::span(buffer.bytes).subspan(4)};
  const std::array<IoVec, 2> out = {bytes_of("a"), bytes_of("b")};
  const Operation wrong[] = {op::write(reading, bytes_of("x")),
                             op::writev(reading, out),
                             op::pwrite(reading, bytes_of("x"), 0),
                             op::read(writing, buffer.bytes),
                             op::readv(writing, in),
                             op::pread(writing, buffer.bytes, 0)};
  for (const Operation& operation : wrong) {
    Probe& p = start(std::to_string(static_cast<int>(operation.kind())), operation);
    run();
    EXPECT_END(p, std::errc::bad_file_descriptor);
  }
  Probe& w = start("w", op::write(writing, bytes_of("x")));
  Probe& r = start("r", op::read(reading, std::span(buffer.bytes).first(1)));
  run();
  EXPECT_END(w, Result(1));
  EXPECT_LE(r.result().value_or(9), 1u);
}

TEST_P(Contract, SeveralBuffersAreOneReadAndOneWriteOfAFile) {
  NEEDS(files);
  const int fd = file();
  const std::array<IoVec, 3> out = {bytes_of("ab"), bytes_of(""), bytes_of("cdef")};
  Probe& w = start("w", op::writev(fd, out));
  run();
  ASSERT_TRUE(w.result());
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::pread(fd, buffer.bytes, 0));
  run();
  EXPECT_EQ(buffer.text(r.result().value_or(0)), std::string_view("abcdef").substr(0, *w.result()));
  const int other = file("123456");
  auto& first = make_buffer<2>();
  auto& second = make_buffer<8>();
  const std::array<IoVec, 2> in = {first.bytes, second.bytes};
  Probe& v = start("v", op::readv(other, in));
  run();
  ASSERT_TRUE(v.result());
  const std::size_t size = *v.result();
  EXPECT_EQ(std::string(first.text(std::min<std::size_t>(size, 2))) +
                std::string(second.text(size - std::min<std::size_t>(size, 2))),
            std::string_view("123456").substr(0, size));
}

TEST_P(Contract, AClosedFileIsABadDescriptor) {
  NEEDS(files);
  const int fd = file("x");
  Probe& closed = start("closed", op::close(fd));
  run();
  EXPECT_END(closed, Result(0));
  auto& buffer = make_buffer<1>();
  Probe& p = start("p", op::read(fd, buffer.bytes));
  Probe& again = start("again", op::close(fd));
  run();
  EXPECT_END(p, std::errc::bad_file_descriptor);
  EXPECT_END(again, std::errc::bad_file_descriptor);
}

// Pipes -----------------------------------------------------------------------------

TEST_P(Contract, AReadWaitsForBytes) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<16>();
  Probe& r = start("r", op::read(reader, buffer.bytes));
  Probe& t = probe("t", [&, writer = writer](Probe&) {
    EXPECT_EQ(rig().write(writer, "hello"), Result(5));
    return Action::disarm;
  });
  timer(t, 3ms);
  run();
  EXPECT_EQ(log(), "t r");
  ASSERT_TRUE(r.result());
  EXPECT_EQ(std::string(buffer.text(*r.result())) + rig().read_all(reader), "hello");
}

TEST_P(Contract, BytesThatAreThereAreReadAtOnceOrSoon) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  EXPECT_EQ(rig().write(writer, "hello"), Result(5));
  auto& buffer = make_buffer<16>();
  Probe& r = start("r", op::read(reader, buffer.bytes));
  run();
  ASSERT_TRUE(r.result());
  EXPECT_EQ(std::string(buffer.text(*r.result())) + rig().read_all(reader), "hello");
}

TEST_P(Contract, AReadOfAClosedPipeEndsWithZeroAfterItsBytes) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  EXPECT_EQ(rig().write(writer, "last words"), Result(10));
  EXPECT_EQ(rig().close(writer), Result(0));
  Probe& p = probe("p");
  Reader all(p, reader);
  add(p, all.operation());
  run();
  EXPECT_EQ(all.received, "last words");
  EXPECT_END(p, Result(0));
}

TEST_P(Contract, AReadInFlightEndsWhenTheWriterCloses) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<16>();
  Probe& r = start("r", op::read(reader, buffer.bytes));
  Probe& t = probe("t", [&, writer = writer](Probe&) {
    EXPECT_EQ(rig().close(writer), Result(0));
    return Action::disarm;
  });
  timer(t, 2ms);
  run();
  EXPECT_END(r, Result(0));
}

TEST_P(Contract, AWriteToAFullPipeWaitsForRoom) {
  NEEDS(full_pipes);
  const auto [reader, writer] = pipe();
  const std::string held = fill(writer);
  Probe& w = start("w", op::write(writer, bytes_of("more")));
  look();
  EXPECT_EQ(w.calls(), 0u);
  std::string drained;
  Probe& t = probe("t", [&, reader = reader](Probe&) {
    drained += rig().read_all(reader);
    return Action::disarm;
  });
  timer(t, 2ms);
  run();
  ASSERT_TRUE(w.result());
  drained += rig().read_all(reader);
  EXPECT_EQ(drained, held + std::string("more").substr(0, *w.result()));
}

TEST_P(Contract, WritingWhatNobodyWillReadIsAnError) {
  NEEDS(broken_pipes);
  const auto [reader, writer] = pipe();
  EXPECT_EQ(rig().close(reader), Result(0));
  Probe& w = start("w", op::write(writer, bytes_of("x")));
  run();
  EXPECT_END(w, std::errc::broken_pipe);
}

TEST_P(Contract, AWriteInFlightFailsWhenTheReaderGoes) {
  NEEDS(full_pipes);
  NEEDS(broken_pipes);
  const auto [reader, writer] = pipe();
  fill(writer);
  Probe& w = start("w", op::write(writer, bytes_of("x")));
  Probe& t = probe("t", [&, reader = reader](Probe&) {
    EXPECT_EQ(rig().close(reader), Result(0));
    return Action::disarm;
  });
  timer(t, 2ms);
  run();
  EXPECT_END(w, std::errc::broken_pipe);
}

TEST_P(Contract, PollTellsReadinessAndTakesNothing) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  Probe& in = start("in", op::poll_readable(reader));
  look();
  EXPECT_EQ(in.calls(), 0u);
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  run();
  EXPECT_END(in, Result(readable));
  EXPECT_EQ(rig().read_all(reader), "x");
}

TEST_P(Contract, PollIsWritableWhereThereIsRoom) {
  NEEDS(pipes);
  NEEDS(polls);
  const auto [reader, writer] = pipe();
  Probe& out = start("out", op::poll_writable(writer));
  run();
  EXPECT_END(out, Result(writable));
}

TEST_P(Contract, PollIsReadableAtTheEnd) {
  NEEDS(pipes);
  NEEDS(poll_readable);
  const auto [reader, writer] = pipe();
  EXPECT_EQ(rig().close(writer), Result(0));
  Probe& in = start("in", op::poll_readable(reader));
  run();
  EXPECT_END(in, Result(readable));
}

TEST_P(Contract, ATransferOfNoBytesEndsWithZero) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  Probe& r = start("r", op::read(reader, {}));
  Probe& w = start("w", op::write(writer, {}));
  run();
  EXPECT_END(r, Result(0));
  EXPECT_END(w, Result(0));
}

// A large transfer through a small pipe, both ends on one loop.
TEST_P(Contract, EveryByteArrivesOnceAndInOrder) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  std::string sent;
  for (int i = 0; sent.size() < 200'000; ++i) sent += std::to_string(i) + ",";
  std::string_view left = sent;
  Probe& w = probe({}, [&, writer = writer](Probe& self) {
    EXPECT_TRUE(self.result());
    left.remove_prefix(self.result().value_or(left.size()));
    if (left.empty()) {
      EXPECT_EQ(rig().close(writer), Result(0));
      EXPECT_TRUE(loop().forget(writer));
    } else {
      add(self, op::write(writer, bytes_of(left.substr(0, 3000))));
    }
    return Action::disarm;
  });
  add(w, op::write(writer, bytes_of(left.substr(0, 3000))));
  Probe& r = probe("r");
  Reader all(r, reader);
  add(r, all.operation());
  run();
  EXPECT_TRUE(all.received == sent) << all.received.size() << " of " << sent.size();
}

// A whole transfer ----------------------------------------------------------------------

TEST_P(Contract, WholeTransfersDoNotMixAndAreRepeatedByRearm) {
  NEEDS(full_pipes);
  const auto [reader, writer] = pipe();
  const std::string first(30'000, 'a');
  const std::string second(30'000, 'b');
  Probe& a =
      probe("a", [](Probe& self) { return self.calls() < 2 ? Action::rearm : Action::disarm; });
  add(a, op::whole(op::write(writer, bytes_of(first))));
  Probe& b = start("b", op::whole(op::write(writer, bytes_of(second))));
  auto& buffer = make_buffer<90'000>();
  Probe& r = start("r", op::whole(op::read(reader, buffer.bytes)));
  run();
  EXPECT_EQ(a.results, (std::vector<Result>{30'000, 30'000}));
  EXPECT_END(b, Result(30'000));
  EXPECT_END(r, Result(90'000));
  EXPECT_TRUE(buffer.text(90'000) == first + second + first);
}

TEST_P(Contract, AWholeTransferThatIsCancelledIsNotRepeated) {
  NEEDS(full_pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<100>();
  Probe& read = probe("read", [](Probe&) { return Action::rearm; });
  add(read, op::whole(op::read(reader, buffer.bytes)));
  EXPECT_EQ(rig().write(writer, "some"), Result(4));
  Probe& late = timer("late", 50ms);
  run_until([&] { return late.calls() > 0; });
  Probe& canceled = probe("canceled");
  cancel(canceled, read);
  run();
  EXPECT_END(read, Result(4));
  EXPECT_EQ(read.completion.cut_short_by(), Errc::operation_canceled);
  EXPECT_END(canceled, Result(0));
}

TEST_P(Contract, AWholeTransferThatIsEndedEarlySaysHowFarItCame) {
  NEEDS(full_pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<100>();
  Probe& late = start("late", op::whole(op::read(reader, buffer.bytes)), loop().now() + 50ms);
  Probe& nothing = start("nothing", op::whole(op::read(reader, buffer.bytes)));
  look();
  EXPECT_EQ(rig().write(writer, "some"), Result(4));
  run_until([&] { return late.calls() > 0; });
  EXPECT_END(late, Result(4));
  EXPECT_EQ(late.completion.cut_short_by(), Errc::timed_out);
  cancel(nothing);
  run();
  EXPECT_END(nothing, Errc::operation_canceled);
  EXPECT_EQ(rig().write(writer, "the end"), Result(7));
  EXPECT_EQ(rig().close(writer), Result(0));
  Probe& end = start("end", op::whole(op::read(reader, buffer.bytes)));
  run();
  EXPECT_END(end, Result(7));
  EXPECT_EQ(end.completion.cut_short_by(), Errc::end_of_stream);
  EXPECT_EQ(buffer.text(7), "the end");
  Probe& empty = start("empty", op::whole(op::read(reader, buffer.bytes)));
  run();
  EXPECT_END(empty, Result(0));
  EXPECT_EQ(empty.completion.cut_short_by(), Errc::end_of_stream);
  Probe& none = start("none", op::whole(op::read(reader, {})));
  run();
  EXPECT_END(none, Result(0));
  EXPECT_EQ(none.completion.cut_short_by(), std::nullopt);
}

// In parts that end anywhere in them.
TEST_P(Contract, AWholeTransferTakesSeveralBuffers) {
  NEEDS(full_pipes);
  const auto [reader, writer] = pipe();
  std::string sent;
  for (int i = 0; i < 50'000; ++i) sent += static_cast<char>('a' + i % 23);
  const auto all = std::as_bytes(std::span(sent));
  const std::array<IoVec, 5> out{all.first(1), all.subspan(1, 0), all.subspan(1, 30'000),
                                 all.subspan(30'001, 19'999), all.subspan(50'000, 0)};
  std::string received(50'000, '?');
  const auto into = std::as_writable_bytes(std::span(received));
  std::vector<IoVec> in;
  for (std::size_t at = 0, size = 1; at < into.size(); at += size, size = size * 3 % 4'001 + 1) {
    size = std::min(size, into.size() - at);
    in.emplace_back(into.subspan(at, size));
  }
  Probe& writing =
      probe("w", [](Probe& self) { return self.calls() < 2 ? Action::rearm : Action::disarm; });
  add(writing, op::whole(op::writev(writer, out)));
  for (int i = 0; i < 2; ++i) {
    std::ranges::fill(received, '?');
    Probe& reading = start("r", op::whole(op::readv(reader, in)));
    run_until([&] { return reading.calls() > 0; });
    EXPECT_END(reading, Result(50'000));
    EXPECT_TRUE(received == sent);
  }
  run();
  EXPECT_EQ(writing.results, (std::vector<Result>{50'000, 50'000}));
}

TEST_P(Contract, AWholeTransferOfSeveralBuffersThatIsCutShortSaysSo) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& first = make_buffer<3>();
  auto& second = make_buffer<9>();
  const std::array<IoVec, 2> in{first.bytes, second.bytes};
  Probe& reading = start("r", op::whole(op::readv(reader, in)));
  look();
  EXPECT_EQ(rig().write(writer, "abcde"), Result(5));
  EXPECT_EQ(rig().close(writer), Result(0));
  run();
  EXPECT_END(reading, Result(5));
  EXPECT_EQ(reading.completion.cut_short_by(), Errc::end_of_stream);
  EXPECT_EQ(reading.completion.operation().io.size, in.size());
  EXPECT_EQ(std::string(first.text(3)).append(second.text(2)), "abcde");
}

TEST_P(Contract, AWholeTransferAtAnOffsetIsWhole) {
  NEEDS(files);
  const int fd = file("0123456789");
  auto& buffer = make_buffer<6>();
  Probe& read = start("read", op::whole(op::pread(fd, buffer.bytes, 2)));
  run();
  EXPECT_END(read, Result(6));
  EXPECT_EQ(buffer.text(6), "234567");
  Probe& end = start("end", op::whole(op::pread(fd, buffer.bytes, 7)));
  run();
  EXPECT_END(end, Result(3));
  EXPECT_EQ(end.completion.cut_short_by(), Errc::end_of_stream);
  EXPECT_EQ(end.completion.operation().io.offset, 7u);
  const std::string text(5'000, 'x');
  Probe& written = start("written", op::whole(op::pwrite(fd, bytes_of(text), 5)));
  run();
  EXPECT_END(written, Result(5'000));
}

// Numbers that leave the loop -----------------------------------------------------------

TEST_P(Contract, ACloseThatIsCanceledBeforeItBeganClosesAllTheSame) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  Probe& closing = start("closing", op::close(reader));
  cancel(closing);
  Probe& told = probe("told");
  cancel(told, closing);
  run();
  EXPECT_END(closing, Result(0));
  EXPECT_END(told, Errc::too_late);
  EXPECT_FALSE(rig().close(reader)) << "it is closed";
  EXPECT_EQ(rig().close(writer), Result(0));
}

TEST_P(Contract, WhatIsClosedByPerformIsForgotten) {
  NEEDS(pipes);
  for (int i = 0; i < 3; ++i) {
    const auto [reader, writer] = pipe();
    auto& buffer = make_buffer<4>();
    Probe& reading = start("reading", op::read(reader, buffer.bytes));
    look();
    EXPECT_EQ(loop().perform(op::close(reader)),
              Result(std::unexpected(std::errc::device_or_resource_busy)));
    EXPECT_EQ(rig().write(writer, "x"), Result(1));
    run();
    EXPECT_END(reading, Result(1));
    EXPECT_EQ(loop().perform(op::close(reader)), Result(0));
    EXPECT_EQ(loop().perform(op::close(writer)), Result(0));
  }
}

// Several operations on one descriptor ------------------------------------------------

TEST_P(Contract, ReadsOfOneDescriptorEndInTheOrderOfTheirAdds) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  const auto buffers = make_buffers<2>(20);
  std::string expected;
  std::vector<Probe*> probes;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    probes.push_back(&start(name, op::read(reader, buffers[i].bytes)));
    expected += (i == 0 ? "" : " ") + name;
  }
  look();
  EXPECT_EQ(log(), "");
  std::string all;
  for (int i = 0; i < 40; ++i) all += static_cast<char>('0' + i);
  EXPECT_EQ(rig().write(writer, all), Result(40));
  run();
  EXPECT_EQ(log(), expected);
  std::string received;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    ASSERT_TRUE(probes[i]->result());
    received += buffers[i].text(*probes[i]->result());
  }
  EXPECT_EQ(received + rig().read_all(reader), all);
}

TEST_P(Contract, ReadingAndWritingOneDescriptorDoNotWaitForEachOther) {
  NEEDS(sockets);
  const auto [first, second] = socket_pair();
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(first, buffer.bytes));
  Probe& w = start("w", op::write(first, bytes_of("ping")));
  run_until([&] { return w.calls() > 0; });
  EXPECT_EQ(r.calls(), 0u);
  EXPECT_EQ(rig().read_all(second), std::string("ping").substr(0, w.result().value_or(0)));
  const std::string held = fill(first);
  Probe& blocked = start("blocked", op::write(first, bytes_of("x")));
  look();
  EXPECT_EQ(rig().write(second, "pong"), Result(4));
  run_until([&] { return r.calls() > 0; });
  EXPECT_EQ(blocked.calls(), 0u);
  EXPECT_TRUE(r.result());
  (void)rig().read_all(second);
  run();
  EXPECT_END(blocked, Result(1));
}

TEST_P(Contract, ManyDescriptorsWaitAtOnce) {
  NEEDS(pipes);
  const std::size_t count = traits().many_descriptors;
  std::vector<Pair> pipes;
  const auto buffers = make_buffers<8>(count);
  std::vector<Probe*> probes;
  for (std::size_t i = 0; i < count; ++i) {
    pipes.push_back(pipe());
    probes.push_back(&start({}, op::read(pipes[i].reader, buffers[i].bytes)));
  }
  look();
  // From the last to the first, by sevens, and some never.
  std::size_t expected = 0;
  for (std::size_t i = count; i-- > 0;) {
    if (i % 7 != 0) continue;
    EXPECT_EQ(rig().write(pipes[i].writer, "x"), Result(1));
    ++expected;
  }
  run_until([&] { return loop().active() == count - expected; });
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(probes[i]->calls(), i % 7 == 0 ? 1u : 0u) << i;
    if (i % 7 == 0) {
      EXPECT_END(*probes[i], Result(1));
    } else if (i % 7 == 1) {
      cancel(*probes[i]);
    }
  }
  run_until([&] { return probes[1]->calls() == 1; });
  EXPECT_END(*probes[1], Errc::operation_canceled);
}

// Sockets ---------------------------------------------------------------------------

TEST_P(Contract, AcceptEndsWithEachConnectionOnce) {
  NEEDS(sockets);
  const int listener = listen();
  std::vector<int> accepted;
  Probe& a = probe("a", [&](Probe& self) {
    EXPECT_TRUE(self.result());
    accepted.push_back(owned(static_cast<int>(self.result().value_or(0))));
    return accepted.size() < 3 ? Action::rearm : Action::disarm;
  });
  add(a, op::accept(listener));
  look();
  std::vector<int> clients;
  Probe& t = probe({}, [&](Probe& self) {
    clients.push_back(connect(listener));
    EXPECT_EQ(rig().write(clients.back(), std::to_string(self.calls())), Result(1));
    return self.calls() < 3 ? Action::rearm : Action::disarm;
  });
  timer(t, 1ms);
  run();
  ASSERT_EQ(accepted.size(), 3u);
  std::string greetings;
  for (const int fd : accepted) {
    auto& buffer = make_buffer<8>();
    Probe& r = start("r", op::recv(fd, buffer.bytes));
    run();
    ASSERT_TRUE(r.result());
    greetings += buffer.text(*r.result());
  }
  EXPECT_EQ(greetings, "123");
}

TEST_P(Contract, SocketsSendReceivePeekAndShutDown) {
  NEEDS(sockets);
  const auto [first, second] = socket_pair();
  Probe& s = start("s", op::send(first, bytes_of("hello")));
  run();
  ASSERT_TRUE(s.result());
  const std::string sent = std::string("hello").substr(0, *s.result());
  auto& buffer = make_buffer<8>();
  Probe& peek = start("peek", op::recv(second, buffer.bytes, recv_peek));
  run();
  ASSERT_TRUE(peek.result());
  EXPECT_EQ(buffer.text(*peek.result()), sent.substr(0, *peek.result()));
  EXPECT_EQ(rig().read_all(second), sent);

  Probe& down = start("down", op::shutdown(first, Shutdown::send));
  run();
  EXPECT_END(down, Result(0));
  Probe& end = start("end", op::recv(second, buffer.bytes));
  run();
  EXPECT_END(end, Result(0));
  // The other direction is still open.
  EXPECT_EQ(rig().write(second, "bye"), Result(3));
  EXPECT_EQ(rig().read_all(first), "bye");
}

TEST_P(Contract, SendingToAClosedPeerIsAnError) {
  NEEDS(sockets);
  NEEDS(socket_errors);
  const auto [first, second] = socket_pair();
  EXPECT_EQ(rig().close(second), Result(0));
  Probe& s = start("s", op::send(first, bytes_of("x")));
  run();
  EXPECT_END(s, std::errc::broken_pipe);
}

TEST_P(Contract, SocketOperationsOnAPipeAreRefused) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& a = start("a", op::recv(reader, buffer.bytes));
  Probe& b = start("b", op::send(writer, bytes_of("x")));
  Probe& c = start("c", op::accept(reader));
  Probe& d = start("d", op::shutdown(writer, Shutdown::both));
  run();
  for (const Probe* p : {&a, &b, &c, &d}) EXPECT_END(*p, std::errc::not_a_socket);
}

// What is wrong with one descriptor ---------------------------------------------------

TEST_P(Contract, ABadDescriptorFailsOnlyItsOwnOperations) {
  auto& buffer = make_buffer<8>();
  Probe& t = timer("t", 5ms);
  Probe* good = nullptr;
  Pair good_pipe;
  if (traits().no_pipes == nullptr) {
    good_pipe = pipe();
    good = &start("good", op::read(good_pipe.reader, buffer.bytes));
  }
  std::vector<Probe*> bad;
  for (const int fd : {-1, 9999, 1'000'000'000}) {
    bad.push_back(&start({}, op::read(fd, buffer.bytes)));
    bad.push_back(&start({}, op::write(fd, buffer.bytes)));
    bad.push_back(&start({}, op::poll_readable(fd)));
    bad.push_back(&start({}, op::pread(fd, buffer.bytes, 0)));
    bad.push_back(&start({}, op::recv(fd, buffer.bytes)));
    bad.push_back(&start({}, op::accept(fd)));
    bad.push_back(&start({}, op::fsync(fd)));
    bad.push_back(&start({}, op::close(fd)));
  }
  run_until([&] { return t.calls() > 0; });
  for (const Probe* p : bad) EXPECT_END(*p, std::errc::bad_file_descriptor);
  if (good == nullptr) return;
  EXPECT_EQ(good->calls(), 0u);
  EXPECT_EQ(rig().write(good_pipe.writer, "x"), Result(1));
  run();
  EXPECT_END(*good, Result(1));
}

TEST_P(Contract, ReadingTheWritingEndFailsOnlyThat) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& wrong = start("wrong", op::read(writer, buffer.bytes));
  Probe& right = start("right", op::read(reader, buffer.bytes));
  run_until([&] { return wrong.calls() > 0; });
  EXPECT_FALSE(wrong.result());
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  run();
  EXPECT_END(right, Result(1));
}

// Closing -----------------------------------------------------------------------------

TEST_P(Contract, CloseEndsWhatIsInFlightFirst) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& a = start("a", op::read(reader, buffer.bytes));
  Probe& b = start("b", op::read(reader, buffer.bytes));
  Probe& p = start("p", op::poll_readable(reader), loop().now() + 1h);
  look();
  Probe& c = start("c", op::close(reader));
  run();
  for (const Probe* ended : {&a, &b, &p}) {
    EXPECT_EQ(ended->calls(), 1u);
    EXPECT_END(*ended, Errc::operation_canceled);
  }
  EXPECT_END(c, Result(0));
  EXPECT_EQ(log().back(), 'c');
}

TEST_P(Contract, OperationsAfterACloseFailUntilItIsDelivered) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& c = start("c", op::close(reader));
  Probe& late = start("late", op::read(reader, buffer.bytes));
  Probe& again = start("again", op::close(reader));
  run();
  EXPECT_END(c, Result(0));
  EXPECT_END(late, std::errc::bad_file_descriptor);
  EXPECT_END(again, std::errc::bad_file_descriptor);
}

TEST_P(Contract, RearmOnADescriptorThatIsBeingClosedIsIgnored) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  auto& buffer = make_buffer<8>();
  Probe& c = probe("c");
  Probe& r = probe("r", [&, reader = reader](Probe& self) {
    if (self.calls() > 1) return Action::disarm;
    add(c, op::close(reader));
    return Action::rearm;
  });
  add(r, op::read(reader, buffer.bytes));
  run();
  EXPECT_END(c, Result(0));
  EXPECT_GE(r.calls(), 1u);
  EXPECT_LE(r.calls(), 2u);
  EXPECT_EQ(r.results.front(), Result(1));
  EXPECT_TRUE(r.calls() == 1 || !r.result());
}

// What came for the old owner of a number never reaches the new one.
TEST_P(Contract, ANumberThatIsReusedAtOnceBelongsToItsNewOwner) {
  NEEDS(pipes);
  auto& old_buffer = make_buffer<8>();
  auto& new_buffer = make_buffer<8>();
  for (int round = 0; round < 20; ++round) {
    const auto old_pipe = pipe();
    Probe& old_read = start({}, op::read(old_pipe.reader, old_buffer.bytes));
    look();
    EXPECT_EQ(rig().write(old_pipe.writer, "old"), Result(3));
    Pair new_pipe;
    Probe* new_read = nullptr;
    Probe& c = probe({}, [&](Probe&) {
      EXPECT_EQ(old_read.calls(), 1u);
      new_pipe = pipe();  // most systems give the number out again
      new_read = &start({}, op::read(new_pipe.reader, new_buffer.bytes));
      return Action::disarm;
    });
    add(c, op::close(old_pipe.reader));
    run_until([&] { return new_read != nullptr; });
    look();
    look();
    EXPECT_EQ(new_read->calls(), 0u);
    EXPECT_EQ(rig().write(new_pipe.writer, "n"), Result(1));
    run();
    EXPECT_END(*new_read, Result(1));
    EXPECT_EQ(new_buffer.text(1), "n");
    for (const int fd : {old_pipe.writer, new_pipe.reader, new_pipe.writer}) {
      EXPECT_EQ(rig().close(fd), Result(0));
      EXPECT_TRUE(loop().forget(fd));
    }
  }
}

TEST_P(Contract, ADescriptorInUseCannotBeForgotten) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(reader, buffer.bytes));
  look();
  EXPECT_FALSE(loop().forget(reader));
  EXPECT_TRUE(loop().forget(9999));
  cancel(r);
  run();
  EXPECT_TRUE(loop().forget(reader));
}

// Fairness ----------------------------------------------------------------------------

TEST_P(Contract, ATimerThatRearmsAtZeroDoesNotStarveIo) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& spin = probe({}, [this](Probe&) {
    rig().busy(loop(), 10us);
    return Action::rearm;
  });
  timer(spin, 0ns);
  Probe& r = start("r", op::read(reader, buffer.bytes));
  look();
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  run_until([&] { return r.calls() > 0; });
  EXPECT_END(r, Result(1));
  cancel(spin);
}

TEST_P(Contract, AFloodOfIoDoesNotStarveTimers) {
  NEEDS(files);
  const int fd = file("x");
  auto& buffer = make_buffer<1>();
  Probe& flood = probe({}, [this](Probe&) {
    rig().busy(loop(), 1us);
    return Action::rearm;
  });
  add(flood, op::pread(fd, buffer.bytes, 0));
  Probe& t = timer("t", 3ms);
  run_until([&] { return t.calls() > 0 && flood.calls() > 0; });
  cancel(flood);
}

}  // namespace wev::test
