// curl.hpp: transfers of libcurl, driven by a loop.
//
//   wev::CurlMulti curl(loop);
//   CURL* easy = curl_easy_init();
//   curl_easy_setopt(easy, CURLOPT_URL, "https://example.org/");
//   ...
//   wev::Expected<CURLcode> ended = co_await curl.perform(easy).within(10s);
//
// Link       The program is linked with libcurl (-lcurl), 7.32 or later; wev is not.
// Transfer   An easy handle of the caller's, set up as for curl_easy_perform. It may be
//            performed again, or freed, when that has ended. libcurl's callbacks are
//            called by the loop.
// Connections  are kept and used again among the transfers of one CurlMulti, as libcurl
//            does. get() is for its options, for example CURLMOPT_MAX_HOST_CONNECTIONS.
// Cancel     A transfer that is cancelled, or whose deadline has passed, is taken out at once;
//            from inside one of libcurl's callbacks, when that has returned.
// Names      Where libcurl was built with threads or c-ares for them, nothing blocks.
// Lifetime   Transfers have ended when it is destroyed (drain the loop, or cancel them), and
//            it is not destroyed in a callback of libcurl. The loop outlives it, by a run()
//            or drain().
// Thread     The loop's. curl_global_init comes first.
#pragma once

#include <curl/curl.h>

#include <map>

#include "wev/io/timer.hpp"
#include "wev/io/watcher.hpp"

namespace wev {

class CurlMulti {
 public:
  explicit CurlMulti(Loop& loop) : loop_(loop), timer_(loop), multi_(curl_multi_init()) {
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  }
  ~CurlMulti() {
    WEV_ASSERT(transfers_.empty(), "~CurlMulti: a transfer is still under way");
    curl_multi_cleanup(multi_);
  }
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;

  /// nullptr: there was no memory, and every transfer ends with not_enough_memory. Sockets,
  /// timers and easy handles are the adapter's.
  [[nodiscard]] CURLM* get() const noexcept { return multi_; }

  struct ToCode {
    static Expected<void> prepare(RequestBase& request, Operation& operation) {
      auto* easy = static_cast<CURL*>(operation.foreign.context);
      const CURLcode set = curl_easy_setopt(easy, CURLOPT_PRIVATE, request.context());
      if (set != CURLE_OK) return std::unexpected(std::errc::invalid_argument);
      return {};
    }
    Expected<CURLcode> operator()(RequestBase&, Result result) const noexcept {
      if (!result) return std::unexpected(result.error());
      return static_cast<CURLcode>(*result);
    }
  };
  /// Carries a transfer out. Ends with libcurl's own code; as an error only with
  /// operation_canceled, timed_out, not_enough_memory, or invalid_argument where the handle
  /// is none or under way. CURLOPT_PRIVATE is the adapter's until then.
  Awaitable<ToCode> perform(CURL* easy) noexcept {
    return {loop_, op::foreign(begin, cancel, easy), nullptr, this};
  }

 private:
  struct Transfer {
    Ticket ticket;
    bool canceled = false;  // to be taken out
  };

  static CurlMulti& of(CURL* easy) {
    char* self = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &self);
    return *reinterpret_cast<CurlMulti*>(self);
  }

  static void begin(void* context, Ticket ticket) noexcept {
    auto* easy = static_cast<CURL*>(context);
    CurlMulti& self = of(easy);
    const CURLMcode added = curl_multi_add_handle(self.multi_, easy);
    if (added == CURLM_OK) {
      self.transfers_[easy] = {ticket};
    } else {
      const bool memory = added == CURLM_OUT_OF_MEMORY || self.multi_ == nullptr;
      ticket.complete(
          std::unexpected(memory ? std::errc::not_enough_memory : std::errc::invalid_argument));
    }
  }

  static bool cancel(void* context, Ticket) noexcept {
    auto* easy = static_cast<CURL*>(context);
    CurlMulti& self = of(easy);
    if (self.inside_) {  // libcurl would refuse
      self.transfers_[easy].canceled = true;
      return false;
    }
    self.transfers_.erase(easy);
    curl_multi_remove_handle(self.multi_, easy);
    return true;
  }

  static int on_socket(CURL*, curl_socket_t fd, int what, void* context, void*) {
    auto& self = *static_cast<CurlMulti*>(context);
    if (what == CURL_POLL_REMOVE) {  // before it is closed, or to be used again
      self.watchers_.erase(fd);
      return 0;
    }
    Watcher& watcher = self.watchers_[fd];
    if (!watcher.is_open()) {
      auto opened = Watcher::open(self.loop_, fd);
      if (!opened) return -1;
      watcher = std::move(*opened);
      watcher.on_ready([&self, fd](std::size_t bits) {
        self.act(fd, ((bits & readable) != 0 ? CURL_CSELECT_IN : 0) |
                         ((bits & writable) != 0 ? CURL_CSELECT_OUT : 0));
      });
    }
    watcher.want(((what & CURL_POLL_IN) != 0 ? readable : std::size_t{0}) |
                 ((what & CURL_POLL_OUT) != 0 ? writable : std::size_t{0}));
    return 0;
  }

  // Called from inside libcurl, which wants to be called back, but not now.
  static int on_timeout_wanted(CURLM*, long milliseconds, void* self) {
    static_cast<CurlMulti*>(self)->set_timer(milliseconds);
    return 0;
  }
  void set_timer(long milliseconds) {
    if (milliseconds < 0) return timer_.stop();
    timer_.after(std::chrono::milliseconds(milliseconds), [this](std::size_t) {
      act(CURL_SOCKET_TIMEOUT, 0);
      // libcurl asks for no other where it found this one to be a little early.
      long left = -1;
      if (!timer_.armed() && curl_multi_timeout(multi_, &left) == CURLM_OK) set_timer(left);
    });
  }

  void act(curl_socket_t fd, int what) {
    inside_ = true;
    int running = 0;
    (void)curl_multi_socket_action(multi_, fd, what, &running);
    inside_ = false;
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) end(message->easy_handle, message->data.result);
    }
    std::erase_if(transfers_, [this](const auto& each) {
      if (!each.second.canceled) return false;
      curl_multi_remove_handle(multi_, each.first);
      each.second.ticket.complete(std::unexpected(std::errc::operation_canceled));
      return true;
    });
  }
  void end(CURL* easy, CURLcode code) {
    const auto transfer = transfers_.extract(easy);
    curl_multi_remove_handle(multi_, easy);
    if (transfer) transfer.mapped().ticket.complete(static_cast<std::size_t>(code));
  }

  Loop& loop_;
  Timer timer_;
  std::map<curl_socket_t, Watcher> watchers_;
  std::map<CURL*, Transfer> transfers_;
  CURLM* multi_;
  bool inside_ = false;  // of curl_multi_socket_action
};

}  // namespace wev
