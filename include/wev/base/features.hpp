// features.hpp: what the platform a program is compiled for can have at all.
//
// What it lacks ends with operation_not_supported at run time too, so a program
// may ask here or there. A host may still say no: some have no sockets.
#pragma once

#include <cstdint>

namespace wev {

/// What a backend notes in each operation that it has (Completion::note): as large as the
/// systems of this platform need.
using BackendNote = std::uint32_t;

#if defined(__wasm__)
inline constexpr bool has_connections = false;  ///< making sockets, connecting, listening
inline constexpr bool has_processes = false;
inline constexpr bool has_signals = false;
inline constexpr bool has_pipes = false;    ///< making them; stdio may well be one
inline constexpr bool has_threads = false;  ///< run_blocking does not keep the loop's own
#else
inline constexpr bool has_connections = true;
inline constexpr bool has_processes = true;
inline constexpr bool has_signals = true;
inline constexpr bool has_pipes = true;
inline constexpr bool has_threads = true;
#endif

}  // namespace wev
