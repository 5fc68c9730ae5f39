# ./dev ci: what CI runs. Uses tidy.sh and test.sh.

ci() {
  local host
  tidy
  WEV_PRESETS="native clang asan tsan" WEV_CROSS=1 ./dev test
  for host in "${required_hosts[@]}"; do
    version_of "$host" > /dev/null || { say "CI needs the host $host"; return 1; }
  done
}
