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

build() {  # PRESET [TARGET...]
  [ -z "$ahead" ] || wait "$ahead" || true  # what it could not build is told below
  ahead=
  [ -e "build/$1/build.ninja" ] || say "configuring $1"
  logged "build/$1.log" configure_and_build "$@"
}

configure_and_build() {  # PRESET [TARGET...]
  cmake --preset "$1" && cmake --build --preset "$1" ${2:+--target "${@:2}"}
}

# Prints nothing but errors, the first of them; the rest is in a log.
logged() {  # LOG COMMAND...
  mkdir -p build
  if ! "${@:2}" > "$1" 2>&1; then
    grep -E -A 12 'error|FAILED|Error' "$1" | head -n 60 || true  # a log may lack these words
    say "building failed: see $1"
    return 1
  fi
}

# Builds a preset while the tests of another run, most of which keep one core busy.
build_ahead() {  # PRESET
  have_clang || return 0
  build "$1" > /dev/null &
  ahead=$!
}
