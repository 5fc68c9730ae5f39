# What CMake 3.25 does not know of WASI by itself: nothing is shared or dynamic.
set_property(GLOBAL PROPERTY TARGET_SUPPORTS_SHARED_LIBS FALSE)
set(CMAKE_EXECUTABLE_SUFFIX .wasm)
