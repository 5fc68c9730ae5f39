# Builds the presets of CMakePresets.json. Uses setup.sh.

ahead=  # the process that builds ahead

# The command: one preset, or those that most people need.
build_command() {  # [PRESET]
  setup_packages
  if [ $# -gt 0 ]; then
    build "$1"
  else
    build native
    ! have_wasi || build wasi
  fi
}

# Prints nothing but errors, the first of them; the rest is in a log.
build() {  # PRESET [TARGET...]
  local preset=$1 log=build/$1.log
  shift
  mkdir -p build
  [ -z "$ahead" ] || wait "$ahead" || true  # what it could not build is told below
  ahead=
  [ -e "build/$preset/build.ninja" ] || say "configuring $preset"
  if ! { cmake --preset "$preset" && cmake --build --preset "$preset" ${1:+--target "$@"}; } \
      > "$log" 2>&1; then
    grep -E -A 12 'error|FAILED|Error' "$log" | head -n 60 || true  # a log may lack these words
    say "building $preset failed: see $log"
    return 1
  fi
}

# Builds a preset while the tests of another run, most of which keep one core busy.
build_ahead() {  # PRESET
  have_clang || return 0
  build "$1" > /dev/null &
  ahead=$!
}
