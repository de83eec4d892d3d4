/** @file Writes the schemas that the loaded libtorch registers, as JSON: `node scripts/list-schemas.cjs FILE`. Runs before lib/ is compiled. */
const { writeFileSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..');
const { locate } = require(join(root, 'dist', 'lib', 'runtime', 'locate.js'));
const { torch, preload } = locate();
const loader = require(join(root, 'build', 'Release', 'jorch_rt.node'));
for (const file of [...preload, join(torch, 'lib', 'libc10.so'), join(torch, 'lib', 'libtorch_cpu.so')]) {
  const message = loader.open(file);
  if (message) throw new Error(`${file}: ${message}`);
}
writeFileSync(process.argv[2], JSON.stringify(require(join(root, 'build', 'Release', 'jorch.node')).schemas()));
