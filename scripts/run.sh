# ./dev run: copies a file through the pipe meter, natively and on every host. Uses setup.sh and
# build.sh.

run_meter() {  # [FILE]
  local file=${1:-} size sum failed=0
  if [ -n "$file" ] && [ ! -r "$file" ]; then
    say "./dev run: cannot read $file"
    return 1
  fi
  setup
  build native meter
  ! have_wasi || build wasi meter meter_adapted
  scratch=$(mktemp -d)  # not local: the trap comes later
  trap 'rm -rf "$scratch"' EXIT
  if [ -z "$file" ]; then
    file=$scratch/input
    say "making a file of 100 MiB"
    head -c 104857600 /dev/urandom > "$file"
  fi
  size=$(stat -L -c %s "$file")
  sum=$(sum_of "$file")
  say "$size bytes, SHA-256 $sum"
  meter_natively "$file" "$size" "$sum" || failed=1
  meter_on_hosts "$file" "$size" "$sum" || failed=1
  return $failed
}

meter_natively() {  # FILE SIZE SUM
  local backend failed=0
  for backend in "${native_backends[@]}"; do
    say "native, $backend"
    copies "$1" "$3" hosts/native "$backend" build/native/examples/meter --size "$2" || failed=1
  done
  return $failed
}

meter_on_hosts() {  # FILE SIZE SUM
  local host version arguments failed=0 ran=0
  have_wasi || { say "the hosts are skipped: the compiler for WASI is missing"; return 0; }
  for host in "${all_hosts[@]}"; do
    version=$(version_of "$host") || continue
    say "$host $version"
    arguments=(--size "$2")
    [ -z "${no_arguments[$host]:-}" ] || arguments=()
    copies "$1" "$3" hosts/run "$host" build/wasi/examples/meter.wasm "${arguments[@]}" || failed=1
    ran=$((ran + 1))
  done
  [ "$ran" -gt 0 ] || { say "no host is installed"; return 1; }
  return $failed
}

# Whether a command copies a file, whose SHA-256 is known, from stdin to stdout.
copies() {  # FILE SUM COMMAND...
  local file=$1 expected=$2 sum
  shift 2
  if ! "$@" < "$file" > "$scratch/output"; then
    say "  FAILED: meter's exit code tells why"
    return 1
  fi
  sum=$(sum_of "$scratch/output")
  if [ "$sum" != "$expected" ]; then
    say "  FAILED: $sum came out"
    return 1
  fi
  say "  the same SHA-256 came out"
}

sum_of() { sha256sum < "$1" | cut -d ' ' -f 1; }  # FILE
