# Installs what is missing: packages by apt, hosts by the functions of hosts/hosts.sh.

# Debian's packages, and the file by which each is known to be there.
packages=(
  cmake:/usr/bin/cmake
  ninja-build:/usr/bin/ninja
  liburing-dev:/usr/include/liburing.h
  g++:/usr/bin/g++
  git:/usr/bin/git
  googletest:/usr/src/googletest/googletest/src/gtest-all.cc
  clang-22:/usr/bin/clang++-22
  lld-22:/usr/bin/wasm-ld-22
  libc++-22-dev-wasm32:/usr/lib/llvm-22/include/wasm32-wasi/c++/v1/expected
  libc++abi-22-dev-wasm32:/usr/lib/llvm-22/lib/wasm32-wasi/libc++abi.a
  libclang-rt-22-dev-wasm32:/usr/lib/llvm-22/lib/clang/22/lib/wasi/libclang_rt.builtins-wasm32.a
  libclang-rt-22-dev:/usr/lib/llvm-22/lib/clang/22/lib/linux/libclang_rt.asan-x86_64.a
  wasi-libc:/usr/lib/wasm32-wasi/libc.a
  clang-format-22:/usr/bin/clang-format-22
  clang-tidy-22:/usr/bin/clang-tidy-22
  wabt:/usr/bin/wasm-objdump
  python3:/usr/bin/python3
  python3-venv:/usr/share/doc/python3-venv
)
# Single tests and benchmarks need these, and are skipped without them.
optional_packages=(
  libc-ares-dev:/usr/include/ares.h
  libhiredis-dev:/usr/include/hiredis/async.h
  redis-server:/usr/bin/redis-server
  libcurl4-openssl-dev:/usr/include/x86_64-linux-gnu/curl/multi.h
  nginx-light:/usr/sbin/nginx
  libpq-dev:/usr/include/postgresql/libpq-fe.h
  postgresql-15:/usr/lib/postgresql/15/bin/postgres
  libuv1-dev:/usr/include/uv.h
  libasio-dev:/usr/include/asio.hpp
  libglib2.0-dev:/usr/include/glib-2.0/glib.h
)
# The tests install these hosts; they run on others that are there. `./dev hosts` installs all.
usual_hosts=("${required_hosts[@]}" node20)
apt_log=/tmp/wev-apt.log

setup() {
  setup_packages
  setup_hosts "${usual_hosts[@]}"
}

# Fails where a package is missing that cannot be done without, and only root could install it.
setup_packages() {
  local required optional missing
  mapfile -t required < <(missing_required)
  mapfile -t optional < <(missing_of "${optional_packages[@]}")
  missing=("${required[@]}" "${optional[@]}")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing from apt: ${missing[*]}"
  if [ "$(id -u)" = 0 ]; then
    install_packages "${missing[@]}"
  else
    say "  not root: please run 'apt-get install ${missing[*]}' and come back"
    [ ${#required[@]} -eq 0 ]
  fi
}

missing_required() {
  missing_of "${packages[@]}"
  # Often comes with a Node that is not Debian's.
  command -v npm > /dev/null || echo npm
}

missing_of() {  # PACKAGE:FILE...
  local entry
  for entry in "$@"; do
    [ -e "${entry#*:}" ] || dpkg -s "${entry%%:*}" > /dev/null 2>&1 || echo "${entry%%:*}"
  done
}

install_packages() {  # PACKAGE...
  local package
  apt-get update -qq || say "  the package lists cannot be brought up to date"
  : > "$apt_log"
  apt_install "$@" && return
  # One that cannot be had must not keep the others away.
  for package in "$@"; do
    apt_install "$package" || say "  $package cannot be installed (see $apt_log)"
  done
}

# The tests start servers of their own. Those that packages bring stay off, which Debian's packages
# are told by this file (invoke-rc.d(8)).
apt_install() {  # PACKAGE...
  local policy=/usr/sbin/policy-rc.d made='' status=0
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy && made=1
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
    >> "$apt_log" 2>&1 || status=$?
  [ -z "$made" ] || rm -f $policy
  return $status
}

# Prints why for each host that cannot be had.
setup_hosts() {  # HOST...
  local host reason
  mkdir -p "$tools"
  for host in "$@"; do
    reason=$("install_$host") || say "host $host is missing: ${reason:-it cannot be installed}"
  done
}
