#include "wev/io/process.hpp"

#include <algorithm>

#include "wev/base/array.hpp"

namespace wev {

namespace {

// Strings as systems take them: each with a zero behind it, and pointers to them
// with a nullptr behind.
class Strings {
 public:
  using List = std::span<const std::string_view>;

  /// Takes `first`, then `rest`.
  std::expected<const char* const*, Error> take(std::optional<std::string_view> first, List rest) {
    std::size_t size = first ? first->size() + 1 : 0;
    for (const std::string_view text : rest) size += text.size() + 1;
    // All of it before the first, since pointers into it are made.
    if (!text_.reserve(size) || !pointers_.reserve(rest.size() + 2)) {
      return std::unexpected(std::errc::not_enough_memory);
    }
    if ((first && !take_one(*first)) ||
        !std::ranges::all_of(rest, [this](std::string_view text) { return take_one(text); })) {
      return std::unexpected(std::errc::invalid_argument);
    }
    (void)pointers_.push_back(nullptr);
    return pointers_.data();
  }

 private:
  // Room is there. false: it has a zero inside.
  bool take_one(std::string_view text) {
    if (text.contains('\0')) return false;
    const std::size_t at = text_.size();
    for (const char c : text) (void)text_.push_back(c);
    (void)text_.push_back('\0');
    (void)pointers_.push_back(text_.data() + at);
    return true;
  }

  Array<char> text_;
  Array<const char*> pointers_;
};

}  // namespace

Expected<Process> Process::spawn(Loop& loop, const ProcessOptions& options) {
  Strings arguments;
  Strings environment;
  Strings directory;
  Spawn spawn{nullptr, nullptr, nullptr, nullptr, options.stdio};
  const auto taken = arguments.take(options.program, options.arguments);
  if (!taken) return std::unexpected(taken.error());
  spawn.program = (*taken)[0];
  spawn.arguments = *taken;
  if (options.environment) {
    const auto own = environment.take({}, *options.environment);
    if (!own) return std::unexpected(own.error());
    spawn.environment = *own;
  }
  if (!options.directory.empty()) {
    const auto there = directory.take(options.directory, {});
    if (!there) return std::unexpected(there.error());
    spawn.directory = (*there)[0];
  }
  const Result fd = loop.perform(op::spawn(spawn));
  if (!fd) return std::unexpected(fd.error());
  return Process(loop, static_cast<int>(*fd), spawn);
}

Process::Process(Loop& loop, int fd, const Spawn& spawn) noexcept
    : Handle(loop, fd), pid_(spawn.pid) {
  for (std::size_t i = 0; i < pipes_.size(); ++i) {
    const ChildStdio& stdio = spawn.stdio[i];
    if (stdio.kind == ChildStdio::Kind::pipe) pipes_[i] = Stream(loop, stdio.fd);
  }
}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    let_go();
    pid_ = other.pid_;
    pipes_ = std::move(other.pipes_);
    Handle::operator=(std::move(other));
  }
  return *this;
}

// The handle closes the descriptor, after this.
void Process::let_go() noexcept {
  if (is_open()) (void)perform(op::release_process(fd(), pid_));
}

}  // namespace wev
