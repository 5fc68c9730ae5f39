// Runs a WASI 0.1 program on Node's own WASI.
//
//   node --no-warnings node.mjs [--dir DIR] PROGRAM.wasm [ARGUMENT...]
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const args = process.argv.slice(2);
const preopens = {};
if (args[0] === '--dir') {
  preopens['/'] = args[1];
  args.splice(0, 2);
}
const wasi = new WASI({ version: 'preview1', args, env: process.env, preopens });
const module = await WebAssembly.compile(await readFile(args[0]));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
