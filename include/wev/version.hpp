// version.hpp: which libwev this is. CMake reads it here.
//
//   #if WEV_VERSION >= 100  // 0.1.0
#pragma once

// NOLINTBEGIN(cppcoreguidelines-macro-usage)
#define WEV_VERSION_MAJOR 0
#define WEV_VERSION_MINOR 1
#define WEV_VERSION_PATCH 0
#define WEV_VERSION_STRING "0.1.0"
/// 1.2.3 is 10203.
#define WEV_VERSION (WEV_VERSION_MAJOR * 10000 + WEV_VERSION_MINOR * 100 + WEV_VERSION_PATCH)
// NOLINTEND(cppcoreguidelines-macro-usage)
