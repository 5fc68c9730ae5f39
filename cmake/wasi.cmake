# Toolchain: clang and Debian's wasi-libc and libc++, for WASI 0.1.
#
#   cmake -DCMAKE_TOOLCHAIN_FILE=cmake/wasi.cmake ...
set(CMAKE_SYSTEM_NAME WASI)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
find_program(WEV_CLANG NAMES clang++-22 clang++ REQUIRED)
set(CMAKE_CXX_COMPILER ${WEV_CLANG})
set(CMAKE_CXX_COMPILER_TARGET wasm32-wasi)
set(CMAKE_EXECUTABLE_SUFFIX .wasm)
# The newer name of the target does not find Debian's headers; the older warns.
# Debian's libc++ for wasm has no exceptions.
set(CMAKE_CXX_FLAGS_INIT "-Wno-deprecated -stdlib=libc++ -fno-exceptions -fno-rtti")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
