# What zig-macos.cmake and zig-freebsd.cmake share: the compiler of PyPI's ziglang, which brings
# the headers and libraries of other systems. WEV_ZIG is the Python that has it.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WEV_ZIG)
set(WEV_ZIG $ENV{WEV_ZIG} CACHE FILEPATH "A Python that has ziglang")

# CMake wants each tool as one program.
function(wev_zig_tool name command)
  set(tool ${CMAKE_BINARY_DIR}/zig/${name})
  if(NOT EXISTS ${tool})
    file(WRITE ${tool} "#!/bin/sh\nexec '${WEV_ZIG}' -m ziglang ${command} \"$@\"\n")
    file(CHMOD ${tool} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
  endif()
endfunction()
wev_zig_tool(c++ "c++ -target ${WEV_ZIG_TARGET}")
wev_zig_tool(ar ar)
wev_zig_tool(ranlib ranlib)

set(CMAKE_CXX_COMPILER ${CMAKE_BINARY_DIR}/zig/c++)
set(CMAKE_AR ${CMAKE_BINARY_DIR}/zig/ar)
set(CMAKE_RANLIB ${CMAKE_BINARY_DIR}/zig/ranlib)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
