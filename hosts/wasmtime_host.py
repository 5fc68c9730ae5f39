"""Runs a WASI 0.1 program on Wasmtime.

    python wasmtime_host.py [--dir DIR] PROGRAM.wasm [ARGUMENT...]
"""
import os
import sys

from wasmtime import Config, Engine, ExitTrap, Linker, Module, Store, Trap, WasiConfig


def main(args):
    wasi = WasiConfig()
    if args[0] == "--dir":
        wasi.preopen_dir(args[1], "/")
        args = args[2:]
    wasi.argv = args
    wasi.env = list(os.environ.items())
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    engine = Engine(Config())
    linker = Linker(engine)
    linker.define_wasi()
    store = Store(engine)
    store.set_wasi(wasi)
    instance = linker.instantiate(store, Module.from_file(engine, args[0]))
    try:
        instance.exports(store)["_start"](store)
    except ExitTrap as ended:
        return ended.code
    except Trap as trap:
        print(trap, file=sys.stderr)
        return 134
    return 0


sys.exit(main(sys.argv[1:]))
