# Runs tests one after another and adds up their results.

passed=0 failed=0 skipped=0
table=() failures=()
result_line='^RESULT passed=([0-9]+) failed=([0-9]+) skipped=([0-9]+)'

# Runs a test program, whose last line is a RESULT, and adds that up under a name.
count() {  # NAME COMMAND...
  local name=$1 log status=0 p=0 f=1 s=0
  shift
  log=$(mktemp)
  heading "$name"
  { "$@" < /dev/null; } 2>&1 | tee "$log" | { grep -a -v '^RESULT ' || true; } || status=$?
  if [[ $(grep -a '^RESULT ' "$log" | tail -n 1) =~ $result_line ]]; then
    p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[3]}
  else
    say "$name ended without a result"
  fi
  # What crashes behind its last test has failed, too.
  if [ "$f" = 0 ] && [ "$status" != 0 ]; then
    say "$name ended with status $status behind its result"
    f=1
  fi
  [ "$f" = 0 ] || failures+=("$name:" "$(what_failed "$log")")
  rm -f "$log"
  say "$p passed, $f failed, $s skipped"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  table+=("$(row "$name" "$p" "$f" "$s")")
}

# Of a GoogleTest program all tests, or those whose names contain a filter that is not empty.
count_tests() {  # NAME FILTER COMMAND...
  count "$1" "${@:3}" ${2:+"--gtest_filter=*$2*"}
}

# A check that is one test.
check() {  # NAME COMMAND...
  count "$1" bash -c '"$@" && echo "RESULT passed=1 failed=0 skipped=0" ||
    echo "RESULT passed=0 failed=1 skipped=0"' check "${@:2}"
}

skip() {  # NAME REASON
  heading "$1"
  say "skipped: $2"
  skipped=$((skipped + 1))
  table+=("$(row "$1" - - skipped)")
}

# A preset that cannot be built counts as one test.
count_failed_build() { failed=$((failed + 1)); }

row() { printf '%-34s %8s %8s %8s\n' "$@"; }  # NAME PASSED FAILED SKIPPED

# The failed tests in a log, or its last lines where the program crashed or names none so.
what_failed() {  # LOG
  { grep -a -B 8 -A 4 '^to repeat:' "$1" || grep -a -v '^RESULT ' "$1" | tail -n 20; } |
    head -n 60 || true  # head may end before grep
}

print_summary() {
  heading "summary"
  row "" passed failed skipped
  printf '%s\n' "${table[@]}"
  if [ "${#failures[@]}" -gt 0 ]; then
    heading "failed"
    printf '%s\n' "${failures[@]}"
  fi
}

print_total() {
  say ""
  say "$passed passed, $failed failed, $skipped skipped"
}
