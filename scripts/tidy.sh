# ./dev tidy: checks the format, the layers, the docs, and what clang-tidy knows. Uses setup.sh and
# build.sh.

tidy() {
  local bad=0
  setup_packages
  heading "format"
  files_like '*.cpp' '*.hpp' | xargs clang-format-22 --dry-run -Werror || bad=1
  heading "layers and docs"
  python3 tests/style/check.py || bad=1
  heading "clang-tidy"
  build clang wev wev_on_fake || return 1
  compiled_natively | xargs -P 2 -n 4 clang-tidy-22 -p build/clang --quiet 2> /dev/null || bad=1
  [ $bad -eq 0 ] || return 1
  say "tidy"
}

# The project's files, also those that are not committed yet.
files_like() { git ls-files -co --exclude-standard -- "$@"; }  # PATTERN...

compiled_natively() { files_like 'src/*.cpp' | grep -v -e wasi -e poll_set; }
