# Runs tests, as many at a time as there are processors, and adds up their results in their order.

passed=0 failed=0 skipped=0
table=() failures=()
begun=()  # directories of those whose results are not told yet, oldest first
result_line='^RESULT passed=([0-9]+) failed=([0-9]+) skipped=([0-9]+)'

# Begins a test program, whose last line is a RESULT, which is added up under a name.
count() {  # NAME COMMAND...
  local job
  job=$(mktemp -d)
  printf '%s' "$1" > "$job/name"
  mkdir "$job/scratch"
  begun+=("$job")
  run_job "$job" "${@:2}" &
  printf '%s' $! > "$job/process"
  while [ "$(running_jobs | wc -l)" -ge "$(nproc)" ]; do
    # shellcheck disable=SC2046  # numbers
    wait -n $(running_jobs) || true
    tell_ended
  done
}

run_job() {  # DIRECTORY COMMAND...
  local status=0
  scratch=$1/scratch "${@:2}" < /dev/null > "$1/log" 2>&1 || status=$?
  printf '%s' $status > "$1/status"
}

# Their processes.
running_jobs() {
  local job
  for job in "${begun[@]}"; do
    has_ended "$job" || printf '%s\n' "$(< "$job/process")"
  done
}

has_ended() { [ -e "$1/status" ] || ! kill -0 "$(< "$1/process")" 2> /dev/null; }  # DIRECTORY

# Of those that have ended, up to the first that has not.
tell_ended() {
  while [ ${#begun[@]} -gt 0 ] && has_ended "${begun[0]}"; do tell_first; done
}

tell_all() {
  while [ ${#begun[@]} -gt 0 ]; do
    wait "$(< "${begun[0]}/process")" || true
    tell_first
  done
}

tell_first() {
  local job=${begun[0]} name status p=0 f=1 s=0
  begun=("${begun[@]:1}")
  name=$(< "$job/name") status=$(cat "$job/status" 2> /dev/null || echo "killed")
  heading "$name"
  grep -a -v '^RESULT ' "$job/log" || true
  if [[ $(grep -a '^RESULT ' "$job/log" | tail -n 1) =~ $result_line ]]; then
    p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[3]}
  else
    say "$name ended without a result"
  fi
  # What crashes behind its last test has failed, too.
  if [ "$f" = 0 ] && [ "$status" != 0 ]; then
    say "$name ended with status $status behind its result"
    f=1
  fi
  [ "$f" = 0 ] || failures+=("$name:" "$(what_failed "$job/log")")
  rm -rf "$job"
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
  tell_all
  heading "$1"
  say "skipped: $2"
  skipped=$((skipped + 1))
  table+=("$(row "$1" - - skipped)")
}

# A preset that cannot be built counts as one test.
count_failed_build() {  # PRESET
  failed=$((failed + 1))
  failures+=("$1 was not built")
}

row() { printf '%-34s %8s %8s %8s\n' "$@"; }  # NAME PASSED FAILED SKIPPED

# The failed tests in a log, or its last lines where the program crashed or names none so.
what_failed() {  # LOG
  { grep -a -B 8 -A 4 '^to repeat:' "$1" || grep -a -v '^RESULT ' "$1" | tail -n 20; } |
    head -n 60 || true  # head may end before grep
}

print_summary() {
  tell_all
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
