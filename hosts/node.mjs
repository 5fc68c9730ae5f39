// Runs a WASI 0.1 program on Node's own WASI, or on what Deno and Bun have under its name.
//
//   node --no-warnings node.mjs [--dir DIR] PROGRAM.wasm [ARGUMENT...]
import { readFile } from 'node:fs/promises';

// Deno has no option to leave out that WASI is experimental.
process.emitWarning = () => {};
const { WASI } = await import('node:wasi');

const args = process.argv.slice(2);
const preopens = {};
if (args[0] === '--dir') {
  preopens['/'] = args[1];
  args.splice(0, 2);
}
const wasi = new WASI({ version: 'preview1', args, env: process.env, preopens });
const module = await WebAssembly.compile(await readFile(args[0]));
// Bun has neither the function nor sock_accept, which is ENOSYS then.
const imports = wasi.getImportObject?.() ?? {
  wasi_snapshot_preview1: { sock_accept: () => 52, ...wasi.wasiImport },
};
const instance = await WebAssembly.instantiate(module, imports);
process.exitCode = wasi.start(instance);
