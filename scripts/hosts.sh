# ./dev hosts: tests on every host that can be had, and writes docs/hosts.md. Uses setup.sh,
# build.sh, results.sh and test_wasi.sh.

test_hosts() {
  local host version rows=()
  setup_packages
  setup_hosts "${all_hosts[@]}"
  have_wasi || { say "the compiler for WASI is missing"; return 1; }
  build wasi
  for host in "${all_hosts[@]}"; do
    if version=$(version_of "$host"); then
      add_row_of "$host" "$version"
    else
      rows+=("| $host | missing | | | | | | it could not be installed on the machine of this run |")
    fi
  done
  hosts_page "${rows[@]}" > docs/hosts.md
  heading "docs/hosts.md"
  printf '%s\n' "${rows[@]}"
  print_total
  [ "$failed" -eq 0 ]
}

# Tests on a host and adds to test_hosts's rows.
add_row_of() {  # HOST VERSION
  local host=$1 p=$passed f=$failed s=$skipped counts idle found
  test_host "$host" ''
  tell_all
  counts="$((passed - p)) | $((failed - f)) | $((skipped - s))"
  idle=$(idle_cpu_on "$host") || idle="not measured"
  found=$(finding_out_on "$host") || found="not measured"
  say "$host: idle CPU $idle, finding out $found"
  rows+=("| $host | $2 | $counts | $idle | $found | ${limits[$host]} |")
}

idle_cpu_on() {  # HOST
  python3 tests/runtimes/idle.py "$1" build/wasi/tests/stdio.wasm build/wasi/tests/bare_idle.wasm
}

finding_out_on() {  # HOST
  hosts/run "$1" build/wasi/tests/finding_out.wasm < /dev/null |
    awk '{ printf "%.1f us (%.1f us)", $1 / 1000, $2 / 1000 }'
}

hosts_page() {  # ROW...
  cat << 'END'
# WASI hosts

Written by `./dev hosts`, which runs the contract suite and the tests of stdio, `meter` and `tail` on every
host of [`hosts/hosts.sh`](../hosts/hosts.sh). Skipped tests print their reasons there. Idle CPU is
what a program costs that waits for an idle stdin and a timer, in percent of a core, start-up not
counted; in brackets what one bare `poll_oneoff` of the same costs. Finding out is the time that the
first operation on a descriptor spends on asking what it is, the very first one in a program and, in
brackets, the median.

| host | version | passed | failed | skipped | idle CPU | finding out | known limits |
|---|---|---|---|---|---|---|---|
END
  printf '%s\n' "$@"
}
