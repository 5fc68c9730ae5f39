// bench.hpp: runs competitors against each other and prints what each costs.
//
//   int main(int argc, char** argv) {
//     const bench::Options options(argc, argv, {.size = 200'000, .tiny_size = 200});
//     bench::Contest contest("ping-pong over TCP", "round trip", options);
//     contest.add("raw epoll", raw_epoll);
//     contest.add("wev epoll", wev_epoll, "raw epoll");
//     return contest.run() ? 0 : 1;
//   }
//
//   --size N     operations in each run
//   --rounds N   runs of each competitor, besides a short one to warm up
//   --only NAME  one competitor alone, for a profiler
//   --tiny       so little that it shows only that everything works
//
// Rounds     Each round runs every competitor once, and each round begins with
//            another one: what the machine does meanwhile hits them alike.
// Figures    Nanoseconds of one operation, by the wall and by the CPU time of all
//            threads of the process: median and min..max of the rounds, and how
//            many times the median of its baseline a competitor takes.
// Checks     Each run says whether its result was right. A wrong one fails the
//            program, however fast it was; a slow one never does.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace bench {

struct Defaults {
  std::size_t size;
  std::size_t tiny_size;
};

/// The command line. What it cannot read ends the program with its usage and 2.
class Options {
 public:
  Options(int argc, char** argv, Defaults defaults) : size_(defaults.size) {
    for (int i = 1; i < argc; ++i) {
      const bool has_value = i + 1 < argc;
      if (std::strcmp(argv[i], "--tiny") == 0) {
        tiny_ = true;
        size_ = defaults.tiny_size;
        rounds_ = 2;
      } else if (std::strcmp(argv[i], "--size") == 0 && has_value) {
        size_ = number(argv[0], argv[++i]);
      } else if (std::strcmp(argv[i], "--rounds") == 0 && has_value) {
        rounds_ = number(argv[0], argv[++i]);
      } else if (std::strcmp(argv[i], "--only") == 0 && has_value) {
        only_ = argv[++i];
      } else {
        usage(argv[0]);
      }
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t rounds() const noexcept { return rounds_; }
  [[nodiscard]] bool tiny() const noexcept { return tiny_; }
  [[nodiscard]] bool wants(const std::string& competitor) const {
    return only_.empty() || only_ == competitor;
  }

 private:
  [[noreturn]] static void usage(const char* program) {
    std::fprintf(stderr, "usage: %s [--tiny] [--size N] [--rounds N] [--only NAME]\n", program);
    std::exit(2);
  }
  static std::size_t number(const char* program, const char* text) {
    char* end = nullptr;
    const unsigned long long value = std::strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value == 0 || value > 1'000'000'000) {
      usage(program);
    }
    return static_cast<std::size_t>(value);
  }

  std::size_t size_;
  std::size_t rounds_ = 5;
  bool tiny_ = false;
  std::string only_;
};

/// Nanoseconds.
struct Times {
  double wall = 0;
  double cpu = 0;
};

/// One run of one competitor: how much it has to do, and how long that took.
class Trial {
 public:
  Trial(std::size_t size, bool tiny) noexcept : size_(size), tiny_(tiny) {}

  /// How many operations to make.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool tiny() const noexcept { return tiny_; }

  /// What lies between them is measured; several such pieces add up.
  void start() noexcept { began_ = now(); }
  void stop() noexcept {
    const Times ended = now();
    taken_.wall += ended.wall - began_.wall;
    taken_.cpu += ended.cpu - began_.cpu;
  }

  /// Where it made not size() of them.
  void made(std::size_t operations) noexcept { made_ = operations; }

  [[nodiscard]] Times per_operation() const noexcept {
    const auto operations = static_cast<double>(made_);
    return {taken_.wall / operations, taken_.cpu / operations};
  }

 private:
  static double read(clockid_t clock) noexcept {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
  }
  static Times now() noexcept { return {read(CLOCK_MONOTONIC), read(CLOCK_PROCESS_CPUTIME_ID)}; }

  std::size_t size_;
  std::size_t made_ = size_;
  bool tiny_;
  Times began_;
  Times taken_;
};

enum class Outcome : std::uint8_t {
  right,
  wrong,
  unavailable,  ///< this system does not let it run
};

using Run = Outcome (*)(Trial& trial);

/// The Run of a rival that the build did not find.
inline constexpr Run not_built = nullptr;

/// The table of one benchmark.
class Contest {
 public:
  /// `operation`: what the times are of, "round trip" for example.
  Contest(std::string title, std::string operation, const Options& options)
      : title_(std::move(title)), operation_(std::move(operation)), options_(options) {}

  /// `baseline`: the name of one that was added before.
  void add(std::string name, Run run, std::string baseline = {}) {
    if (!options_.wants(name)) return;
    competitors_.push_back({std::move(name), std::move(baseline), run, Outcome::right, {}});
  }

  /// Runs all rounds and prints the table. false: a result was wrong.
  [[nodiscard]] bool run() {
    print_head();
    for (Competitor& competitor : competitors_) warm_up(competitor);
    for (std::size_t round = 0; round < options_.rounds(); ++round) {
      for (std::size_t i = 0; i < competitors_.size(); ++i) {
        measure(competitors_[(round + i) % competitors_.size()]);
      }
    }
    for (const Competitor& competitor : competitors_) print(competitor);
    std::printf("\n");
    return std::ranges::none_of(
        competitors_, [](const Competitor& each) { return each.outcome == Outcome::wrong; });
  }

 private:
  struct Competitor {
    std::string name;
    std::string baseline;
    Run run;
    Outcome outcome;
    std::vector<Times> rounds;
  };

  struct Spread {
    double least = 0;
    double median = 0;
    double most = 0;
  };

  // Running.

  void warm_up(Competitor& competitor) const {
    if (competitor.run == not_built) return;
    Trial trial(std::max<std::size_t>(options_.size() / 20, 1), options_.tiny());
    competitor.outcome = competitor.run(trial);
  }

  void measure(Competitor& competitor) const {
    if (competitor.run == not_built || competitor.outcome != Outcome::right) return;
    Trial trial(options_.size(), options_.tiny());
    competitor.outcome = competitor.run(trial);
    competitor.rounds.push_back(trial.per_operation());
  }

  // Figures.

  static Spread spread(const std::vector<Times>& rounds, double Times::* which) {
    std::vector<double> values;
    values.reserve(rounds.size());
    for (const Times& times : rounds) values.push_back(times.*which);
    if (values.empty()) return {};
    std::ranges::sort(values);
    const double upper = values[values.size() / 2];
    const double lower = values[(values.size() - 1) / 2];
    return {values.front(), (lower + upper) / 2, values.back()};
  }

  // nullptr: it has none, or there is nothing to compare.
  const Competitor* baseline_of(const Competitor& competitor) const {
    const auto found = std::ranges::find(competitors_, competitor.baseline, &Competitor::name);
    return found == competitors_.end() || found->rounds.empty() ? nullptr : &*found;
  }

  // Printing.

  void print_head() const {
    std::printf("%s\n", title_.c_str());
    std::printf("size %zu, %zu rounds in turn; ns for each %s\n", options_.size(),
                options_.rounds(), operation_.c_str());
    std::printf("  %-18s %9s %20s %9s %20s  %s\n", "", "wall", "(min..max)", "CPU", "(min..max)",
                "times its baseline, wall and CPU");
    std::fflush(stdout);
  }

  static void print(const Spread& spread) {
    char range[48];
    std::snprintf(range, sizeof range, "(%.1f..%.1f)", spread.least, spread.most);
    std::printf(" %9.1f %20s", spread.median, range);
  }

  // What stands in place of figures; nullptr where there are some.
  static const char* excuse_of(const Competitor& competitor) {
    if (competitor.run == not_built) return "missing: the build did not find it";
    switch (competitor.outcome) {
      case Outcome::wrong: return "WRONG RESULT";
      case Outcome::unavailable: return "not available on this system";
      case Outcome::right: break;
    }
    return nullptr;
  }

  void print(const Competitor& competitor) const {
    if (const char* excuse = excuse_of(competitor)) {
      std::printf("  %-18s %s\n", competitor.name.c_str(), excuse);
      return;
    }
    const Spread wall = spread(competitor.rounds, &Times::wall);
    const Spread cpu = spread(competitor.rounds, &Times::cpu);
    std::printf("  %-18s", competitor.name.c_str());
    print(wall);
    print(cpu);
    if (const Competitor* baseline = baseline_of(competitor)) {
      std::printf("  %.2f %.2f of %s", wall.median / spread(baseline->rounds, &Times::wall).median,
                  cpu.median / spread(baseline->rounds, &Times::cpu).median,
                  baseline->name.c_str());
    }
    std::printf("\n");
  }

  std::string title_;
  std::string operation_;
  Options options_;
  std::vector<Competitor> competitors_;
};

}  // namespace bench
