# The tests of the wasi preset on the hosts that are installed. Uses build.sh and results.sh.

# With a filter that is not empty only the contract suite.
test_wasi() {  # FILTER
  local host
  have_wasi || { skip "wasi" "the compiler for WASI is not installed"; return 0; }
  build wasi || { count_failed_build wasi; return 0; }
  for host in "${all_hosts[@]}"; do
    if version_of "$host" > /dev/null; then
      test_host "$host" "$1"
    else
      skip "$host" "it is not installed (./dev hosts installs all that can be had)"
    fi
  done
  [ -z "$1" ] || return 0
  count "wasi: imports" python3 tests/runtimes/imports_test.py build/wasi/tests/timer_only.wasm \
    README.md
  check "package, for WASI" tests/package/check wasi
}

test_host() {  # HOST FILTER
  local host=$1 tests=build/wasi/tests examples=build/wasi/examples
  local driven=(hosts/run "$host")
  count_tests "$host: contract" "$2" run_contract "$host" "$tests/contract.wasm"
  [ -z "$2" ] || return 0
  count "$host: stdio" python3 tests/runtimes/stdio_test.py "${driven[@]}" "$tests/stdio.wasm"
  count "$host: tail" python3 tests/runtimes/tail_test.py "${driven[@]}" "$examples/tail.wasm"
  count "$host: examples" python3 tests/runtimes/examples_test.py "${driven[@]}" -- \
    "$examples"/{heartbeat,completions,tasks}.wasm
  count "$host: meter" python3 tests/runtimes/meter_test.py "${driven[@]}" "$examples/meter.wasm"
  [ -z "${has_sockets[$host]:-}" ] ||
    count "$host: sockets" python3 tests/runtimes/sockets_test.py "$host" "$tests/sockets.wasm"
}

# In a directory that is the guest's "/": FIFOs, and room for files.
run_contract() {  # HOST PROGRAM ARGUMENT...
  [ -n "${no_fifos[$1]:-}" ] || (cd "$scratch" && seq -f 'pipe%g' 0 1099 | xargs mkfifo)
  timeout 300 hosts/run "$1" --dir "$scratch" "${@:2}"
}
