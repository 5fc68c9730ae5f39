# ./dev bench: runs the benchmarks of a release build and writes docs/benchmarks.md. Uses setup.sh.

bench() {  # ROUNDS
  local page=build/benchmarks.md log=build/benchmark.log program
  setup_packages
  build_release
  benchmarks_head > "$page"
  for program in "${benchmarks[@]}"; do
    "build/release/bench/bench_$program" --rounds "$1" | tee "$log"
    benchmark_section "$program" "$log" >> "$page"
  done
  # Not earlier: a run that is given up leaves the figures of the last one.
  mv "$page" docs/benchmarks.md
}

# As users build the library, which no preset does.
build_release() {
  cmake -S . -B build/release -G Ninja -DCMAKE_BUILD_TYPE=Release -DWEV_BUILD_TESTS=OFF \
    -DWEV_BUILD_EXAMPLES=OFF > /dev/null
  cmake --build build/release > build/release.log || { say "see build/release.log"; return 1; }
}

benchmarks_head() {
  local processor
  processor=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)
  cat << 'END'
# Benchmarks

Written by `./dev bench`: release builds, everybody in turn in each round, medians. A ratio is to the
competitor that is named behind it. Both ends of a connection are in one process, so the kernel's
share is large in what goes through it. [`bench/`](../bench) has the programs; each checks its result.

END
  printf 'On %s, %s cores, Linux %s, %s.\n' "$processor" "$(nproc)" "$(uname -r)" \
    "$(c++ --version | head -n 1)"
}

benchmark_section() {  # PROGRAM LOG
  printf '\n## %s\n\n```\n' "$1"
  sed '/^$/d' "$2"
  printf '```\n'
}
