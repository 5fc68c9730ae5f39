# ./dev test: all tests, natively with each preset of WEV_PRESETS, then for WASI; with WEV_CROSS also
# whether other systems' compile. Uses setup.sh, results.sh, test_native.sh, test_wasi.sh and cross.sh.

test_all() {  # FILTER
  local preset presets later
  setup
  read -ra presets <<< "${WEV_PRESETS:-native}"
  later=("${presets[@]/#/build }" "build wasi" ${WEV_CROSS:+"cross macos" "cross freebsd"})
  if [ ${#presets[@]} -gt 0 ]; then build "${presets[0]}" || true; fi  # told again below
  have_clang && work_ahead "${later[@]}"
  for preset in "${presets[@]}"; do test_preset "$preset" "$1"; done
  test_wasi "$1"
  [ -z "${WEV_CROSS:-}" ] || check_cross
  [ -n "$1" ] || check "package, native" tests/package/check native
  print_summary
  print_total
  # A filter that no test passes is most likely misspelt.
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

test_preset() {  # PRESET FILTER
  if [ "$1" != native ] && ! have_clang; then
    skip "$1" "clang-22 is not installed"
  else
    test_native "$@"
  fi
}
