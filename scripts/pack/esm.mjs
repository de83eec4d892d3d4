/**
 * @file The ES module face of a CommonJS build: `index.mjs` re-exports every name of `index.js`, so that `import` and `require` share one
 * instance (one Tensor class, one addon, one cache), and `index.d.mts` says the same to TypeScript.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';

const require = createRequire(import.meta.url);

/**
 * Writes the two files beside `target`, which is a copy of `entry`, a built CommonJS file that can be loaded; returns how many names they have.
 * `oneValue`: the module is one value (`export =`), which is the default export as well.
 */
export const writeEsm = (entry, target, oneValue) => {
  const names = Object.keys(require(entry)).filter((name) => name !== 'default');
  const odd = names.find((name) => !/^[A-Za-z_$][\w$]*$/.test(name));
  if (odd !== undefined) throw new Error(`${entry} exports ${odd}, which is no identifier`);
  const from = `./${basename(entry)}`;
  // A name such as `var` is a reserved word: it may be exported, but no variable can have it.
  const lines = [`import cjs from '${from}';`, ''];
  for (const [i, name] of names.entries()) lines.push(`const e${i} = cjs.${name};`);
  lines.push('', `export { ${names.map((name, i) => `e${i} as ${name}`).join(', ')} };`);
  if (oneValue) lines.push('export default cjs;');
  writeFileSync(target.replace(/\.js$/, '.mjs'), `${lines.join('\n')}\n`);
  const types = oneValue
    ? [
        `import cjs from '${from}';`,
        ...names.map((name) => `export declare const ${name}: typeof cjs.${name};`),
        'export default cjs;',
      ]
    : [`export * from '${from}';`];
  writeFileSync(target.replace(/\.js$/, '.d.mts'), `${types.join('\n')}\n`);
  return names.length;
};
