# The tests of one native preset. Uses build.sh and results.sh.

# The test programs that need nothing but to be run. `native` is run for each backend instead.
test_programs=(contract tasks_plain contract_on_fake unit resolve adapters wasi bsd
  native_on_kqueue)

# With a filter that is not empty only the test programs, which know their tests' names.
test_native() {  # PRESET FILTER
  local preset=$1 filter=$2 tests=build/$1/tests program backend
  build "$preset" || { count_failed_build "$preset"; return 0; }
  for program in "${test_programs[@]}"; do
    count_tests "$preset: $program" "$filter" in_scratch "$tests/$program"
  done
  if [ -n "$filter" ]; then
    count_tests "$preset: native" "$filter" in_scratch "$tests/native"
    return 0
  fi
  for backend in "${native_backends[@]}"; do test_backend "$preset" "$backend"; done
  test_benchmarks "$preset"
  count "$preset: wasi_fuzz" "$tests/wasi_fuzz" --seeds 2000
  count "$preset: wasi_fuzz, canary" "$tests/wasi_fuzz" --seeds 1000 --canary
}

# The contract and the network suite on a backend in all its forms, and programs driven from outside.
test_backend() {  # PRESET BACKEND
  local name="$1, $2" tests=build/$1/tests examples=build/$1/examples program
  local driven=(hosts/native "$2")
  if refuses "$1" "$2"; then
    skip "$name" "this system refuses it"
    return 0
  fi
  count "$name: contract, network" in_scratch "$tests/native" --gtest_filter="*/$2*"
  count "$name: stdio" python3 tests/runtimes/stdio_test.py "${driven[@]}" "$tests/stdio"
  count "$name: examples" python3 tests/runtimes/examples_test.py "${driven[@]}" -- \
    "$examples"/{heartbeat,completions,tasks,foreign,nested,glib,meter,tail,echo}
  for program in meter tail echo; do
    count "$name: $program" python3 "tests/runtimes/${program}_test.py" "${driven[@]}" \
      "$examples/$program"
  done
}

# Where the files that it makes are nobody else's.
in_scratch() {  # PROGRAM ARGUMENT...
  local program=$PWD/$1
  cd "$scratch" && "$program" "${@:2}"
}

# Whether this system refuses a backend, and prints why.
refuses() {  # PRESET BACKEND
  [ "$2" = io_uring ] && "build/$1/tests/native" --gtest_filter=IoUring.WorksHere | grep skipped:
}

# Whether the benchmarks run and find their results right; most presets do not build them.
test_benchmarks() {  # PRESET
  local program
  [ -d "build/$1/bench" ] || return 0
  for program in "${benchmarks[@]}"; do
    check "$1: bench_$program --tiny" "build/$1/bench/bench_$program" --tiny
  done
}
