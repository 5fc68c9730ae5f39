// foreign: a thread of the program's own answers questions, and tasks ask it.
//
// Each question is an operation of the loop, so it can have a deadline and be cancelled. One
// that the thread has not begun leaves at once, the others last until their answer.
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>

#include "wev/task.hpp"

using namespace std::chrono_literals;

namespace {

class Oracle {
 public:
  ~Oracle() {
    put(nullptr);
    thread_.join();
  }

  wev::Task<wev::Expected<std::size_t>> square(std::size_t number, wev::Duration limit) {
    Question question{*this, number};  // stays in this frame until it has ended
    co_return co_await wev::Awaitable<>(wev::op::foreign(ask, leave, &question)).within(limit);
  }

 private:
  struct Question {
    Oracle& oracle;
    std::size_t number;
    wev::Ticket ticket = {};
  };

  // On the loop's thread.
  static void ask(void* context, wev::Ticket ticket) noexcept {
    auto* question = static_cast<Question*>(context);
    question->ticket = ticket;
    question->oracle.put(question);
  }
  static bool leave(void* context, wev::Ticket) noexcept {
    auto* question = static_cast<Question*>(context);
    const std::lock_guard lock(question->oracle.mutex_);
    return std::erase(question->oracle.waiting_, question) > 0;
  }

  void put(Question* question) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(question);
    there_is_one_.notify_one();
  }

  // On its own thread.
  void answer() {
    for (;;) {
      std::unique_lock lock(mutex_);
      there_is_one_.wait(lock, [this] { return !waiting_.empty(); });
      const Question* question = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      if (question == nullptr) return;
      std::this_thread::sleep_for(50ms);  // thinks
      question->ticket.complete(question->number * question->number);
    }
  }

  std::mutex mutex_;
  std::condition_variable there_is_one_;
  std::deque<Question*> waiting_;  // nullptr: no more will come
  std::thread thread_{[this] { answer(); }};
};

wev::Task<> ask(Oracle& oracle) {
  const auto [first, hasty, other] =
      co_await wev::when_all(oracle.square(7, 1min), oracle.square(8, 1ms),
                             wev::when_any(oracle.square(9, 1min), wev::sleep(1ms)));
  std::printf("7: %zu\n", first.value_or(0));
  std::printf("8: %s\n", hasty ? "answered" : "too late");
  std::printf("9: %s\n", other.index() == 0 ? "answered" : "cancelled");
}

}  // namespace

int main() {
  wev::Loop loop;
  Oracle oracle;
  const auto asked = wev::run(loop, ask(oracle));
  if (!asked) std::fprintf(stderr, "foreign: %s\n", asked.error().message().c_str());
  if (std::fflush(stdout) != 0) {
    std::perror("foreign: printing");
    return 1;
  }
  return asked ? 0 : 1;
}
