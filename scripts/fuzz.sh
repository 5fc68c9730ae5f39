# ./dev fuzz wasi: random programs on fake WASI hosts, under the sanitizers. Uses setup.sh and
# build.sh.

fuzz_wasi() {  # OPTION...
  setup_packages
  build asan wasi_fuzz
  build/asan/tests/wasi_fuzz "$@"
}
