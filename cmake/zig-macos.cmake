# Toolchain: for macOS on ARM, from anywhere.
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(CMAKE_OSX_ARCHITECTURES "" CACHE STRING "")
set(WEV_ZIG_TARGET aarch64-macos)
include(${CMAKE_CURRENT_LIST_DIR}/zig.cmake)
# Else <math.h> includes it in part, and libc++'s wrapper around it does so only once.
set(CMAKE_CXX_FLAGS_INIT "-include float.h")
