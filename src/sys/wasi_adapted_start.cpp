// The entry of a program that becomes a component through the adapter from WASI
// 0.1 to 0.2: what crt1-command.o is to others, and `cabi_realloc`.
//
// Without `cabi_realloc` the adapter grows the memory for itself, in the middle
// of what wasi-libc of 2022 (Debian 12's) takes for its heap; malloc then comes
// to grief once the heap has grown by some ten megabytes. With it, and
// crt1-command.o, the linker wraps each export in the constructors and
// destructors, this one too, so the entry has to call them itself.
#include <cstddef>
#include <cstdlib>

extern "C" {

// The linker's and wasi-libc's.
// NOLINTBEGIN(bugprone-reserved-identifier)
void __wasm_call_ctors();
void __wasm_call_dtors();
int __main_void();
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) [[noreturn]] void
wev_wasi_proc_exit(int code);

__attribute__((export_name("_start"))) void _start() {
  __wasm_call_ctors();
  const int code = __main_void();
  __wasm_call_dtors();
  if (code != 0) wev_wasi_proc_exit(code);
}
// NOLINTEND(bugprone-reserved-identifier)

// The component model's canonical ABI, "realloc": never returns null.
__attribute__((export_name("cabi_realloc"))) void* cabi_realloc(void* old, std::size_t,
                                                                std::size_t alignment,
                                                                std::size_t size) {
  if (size == 0) return reinterpret_cast<void*>(alignment);
  void* memory = std::realloc(old, size);  // malloc's alignment is the ABI's largest
  if (memory == nullptr) __builtin_trap();
  return memory;
}

}  // extern "C"
