# Builds the presets of CMakePresets.json. Uses setup.sh.

ahead=  # what says, line by line, which of the commands of work_ahead are done

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
  await_ahead "build $1"  # what that could not build is told below
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

# Carries out commands one after another while the tests go on, most of which keep one core busy.
# Whether they succeed is found out when they are wanted: then nothing is left to do, or to repeat.
work_ahead() {  # COMMAND...
  exec {ahead}< <(
    ahead=
    for command in "$@"; do
      ($command) > /dev/null 2>&1 || true
      say "$command"
    done
  )
}

# Waits until a command is done that was given to work_ahead, and those before it.
await_ahead() {  # COMMAND
  local command
  [ -n "$ahead" ] || return 0
  while read -r -u "$ahead" command && [ "$command" != "$1" ]; do :; done
}
