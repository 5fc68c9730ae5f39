// FIFOs: pipes with a name, which may have no other end yet.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "rig/native.hpp"
#include "wev/io/file.hpp"

namespace wev::test {

class FifoContract : public NativeContract {
 protected:
  void SetUp() override {
    NativeContract::SetUp();
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/fifo";
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
    NativeContract::TearDown();
  }

  Probe& start_open(std::uint32_t flags) {
    return start("open", op::open(op::working_directory, path_.c_str(), flags));
  }
  int opened(std::uint32_t flags) {
    const Probe& probe = start_open(flags);
    run_until([&] { return probe.calls() > 0; });
    EXPECT_TRUE(probe.result());
    return owned(static_cast<int>(probe.result().value_or(0)));
  }

  std::string path_;

 private:
  std::string directory_ = testing::TempDir() + "wev-XXXXXX";
};

// Before there is a writer its end is not there either.
TEST_P(FifoContract, OpenedForReadingItIsReadOnceSomebodyWrites) {
  const int reader = opened(open_read);
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(reader, buffer.bytes));
  const std::array<IoVec, 1> pieces = {buffer.bytes};
  Probe& v = start("v", op::readv(reader, pieces));
  Probe& end = start("end", op::read(reader, buffer.bytes));
  for (int i = 0; i < 5; ++i) look();
  EXPECT_EQ(r.calls(), 0u) << "it has ended before it began";
  const int writer = opened(open_write);
  Probe& w = start("w", op::write(writer, bytes_of("abc")));
  run_until([&] { return r.calls() > 0; });
  EXPECT_END(w, Result(3));
  EXPECT_END(r, Result(3));
  EXPECT_EQ(v.calls(), 0u);
  Probe& more = start("more", op::write(writer, bytes_of("d")));
  run_until([&] { return v.calls() > 0; });
  EXPECT_END(more, Result(1));
  EXPECT_END(v, Result(1));
  Probe& c = start("c", op::close(writer));
  run();
  EXPECT_END(c, Result(0));
  EXPECT_END(end, Result(0));
}

TEST_P(FifoContract, AWriterThatLeavesWithoutAWordIsTheEnd) {
  const int reader = opened(open_read);
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(reader, buffer.bytes));
  look();
  EXPECT_EQ(r.calls(), 0u);
  ::close(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  run();
  EXPECT_END(r, Result(0));
}

TEST_P(FifoContract, AReadBeforeThereIsAWriterHasItsDeadlineAndCanBeCancelled) {
  const int reader = opened(open_read);
  auto& buffer = make_buffer<8>();
  Probe& late = start("late", op::read(reader, buffer.bytes), loop().now() + 2ms);
  run();
  EXPECT_END(late, Errc::timed_out);
  Probe& r = start("r", op::read(reader, buffer.bytes));
  look();
  cancel(r);
  run();
  EXPECT_END(r, Errc::operation_canceled);
}

// To wait for a reader would keep a thread.
TEST_P(FifoContract, OpenedForWritingWhereNobodyReadsItSaysSo) {
  const Probe& o = start_open(open_write);
  run();
  EXPECT_END(o, std::errc::no_such_device_or_address);
}

// More of them than there are threads.
TEST_P(FifoContract, OnesWithoutAnotherEndKeepNoOtherFileWaiting) {
  const int other = file("abc");
  auto& buffer = make_buffer<8>();
  std::vector<Probe*> opens;
  for (int i = 0; i < 8; ++i) opens.push_back(&start_open(i % 2 == 0 ? open_read : open_write));
  Probe& r = start("r", op::pread(other, buffer.bytes, 0));
  run();
  EXPECT_END(r, Result(3));
  for (const Probe* open : opens) {
    if (open->result()) owned(static_cast<int>(*open->result()));
  }
  (void)start_open(open_read | open_write);
  EXPECT_TRUE(loop().drain());
}

// What is opened blocks, as a child is used to it that is given it.
TEST_P(FifoContract, WhatWasOpenedHasNoFlagThatNobodyAskedFor) {
  EXPECT_EQ(::fcntl(opened(open_read), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(opened(open_write), F_GETFL) & O_NONBLOCK, 0);
}

namespace {

INSTANTIATE_TEST_SUITE_P(Native, FifoContract, testing::ValuesIn(native_rigs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace

}  // namespace wev::test
