# ./dev cross: compiles and links everything for the systems that nobody here runs. Uses setup.sh,
# build.sh and results.sh.

# The toolchains cmake/zig-NAME.cmake, and what each compiles for.
cross_systems=(macos freebsd)
declare -A cross_targets=([macos]=aarch64-macos [freebsd]=x86_64-freebsd)
zig_version=0.17.1
zig_python=$tools/zig/bin/python

cross() {  # [NAME]
  local name reason failed=0
  setup_packages
  reason=$(install_zig) || { say "$reason"; return 1; }
  for name in "${@:-${cross_systems[@]}}"; do
    say "for ${cross_targets[$name]:?}"
    build_for "$name" || failed=1
  done
  return $failed
}

# Each system is one test.
check_cross() {
  local name reason
  for name in "${cross_systems[@]}"; do
    await_ahead "cross $name"
    if reason=$(install_zig); then
      check "cross: ${cross_targets[$name]}" ./dev cross "$name"
    else
      skip "cross: ${cross_targets[$name]}" "$reason"
    fi
  done
}

# Prints why where it cannot be had.
install_zig() {
  [ -x "$zig_python" ] && return
  echo "installing from PyPI: ziglang $zig_version" >&2
  rm -rf "$tools/zig" "$tools/zig.new"
  mkdir -p "$tools"
  python3 -m venv "$tools/zig.new" > /dev/null || { echo "python3 has no venv"; return 1; }
  "$tools/zig.new/bin/pip" install --quiet --disable-pip-version-check "ziglang==$zig_version" ||
    { echo "pip could not install ziglang"; return 1; }
  mv "$tools/zig.new" "$tools/zig"
}

# Not optimized: nothing runs, and that takes longer. WEV_RESOLVE is off since what is installed
# is for this system.
build_for() {  # NAME
  local -x WEV_ZIG=$zig_python ZIG_GLOBAL_CACHE_DIR=$tools/zig-cache
  logged "build/cross-$1.log" configure_and_build_for "$1"
}

configure_and_build_for() {  # NAME
  cmake -S . -B "build/cross-$1" -G Ninja --toolchain "cmake/zig-$1.cmake" \
    -DCMAKE_BUILD_TYPE=Debug '-DCMAKE_CXX_FLAGS_DEBUG=-O0 -fno-sanitize=undefined' \
    -DWEV_RESOLVE=OFF &&
    cmake --build "build/cross-$1"
}
