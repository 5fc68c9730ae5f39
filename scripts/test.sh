# ./dev test: all tests, natively with each preset of WEV_PRESETS, then for WASI; with WEV_CROSS also
# whether other systems' compile. Uses setup.sh, results.sh, test_native.sh, test_wasi.sh and cross.sh.

test_all() {  # FILTER
  local presets i
  setup
  read -ra presets <<< "${WEV_PRESETS:-native} wasi"
  for ((i = 0; i + 1 < ${#presets[@]}; ++i)); do
    test_preset "${presets[i]}" "$1" "${presets[i + 1]}"
  done
  test_wasi "$1"
  [ -z "${WEV_CROSS:-}" ] || check_cross
  [ -n "$1" ] || check "package, native" tests/package/check native
  print_summary
  print_total
  # A filter that no test passes is most likely misspelt.
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

test_preset() {  # PRESET FILTER NEXT_PRESET
  if [ "$1" != native ] && ! have_clang; then
    skip "$1" "clang-22 is not installed"
  else
    test_native "$@"
  fi
}
