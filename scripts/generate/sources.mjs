/** @file Reads what the torch wheel ships about its Python bindings: operator list, skip lists, stubs, and the modules that only rename operators. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { fullName, isOut, parseSchema } from './schema.mjs';

/**
 * @typedef {{ schema: import('./schema.mjs').Schema, variants: Set<string>, module: string | undefined, category: string | undefined,
 *   tags: Set<string>, autogen: string[] }} NativeFunction
 * @typedef {{ signature: import('./schema.mjs').Schema, aten: string, call: string[] }} Deprecated
 */

/** @param {string} root folder that holds `torch/` and `torchgen/` */
export function readSources(root) {
  const text = (path) => {
    const file = join(root, path);
    if (!existsSync(file)) throw new Error(`generate: ${file} is missing; torch's wheel has it`);
    return readFileSync(file, 'utf8');
  };
  const generator = text('torchgen/packaged/autograd/gen_python_functions.py');
  const functions = readNativeFunctions(text('torchgen/packaged/ATen/native/native_functions.yaml'));
  return {
    version: existsSync(join(root, 'torch/version.py'))
      ? (/__version__ = '([\d.]+)/.exec(text('torch/version.py'))?.[1] ?? '')
      : '',
    functions,
    deprecated: readDeprecated(text('torchgen/packaged/autograd/deprecated.yaml')),
    skipped: pythonStrings(generator, '_SKIP_PYTHON_BINDINGS').map((p) => new RegExp(`^(?:${p})$`)),
    skippedSignatures: new Set(pythonStrings(generator, 'SKIP_PYTHON_BINDINGS_SIGNATURES')),
    functionStubs: readStubs(text('torch/_C/_VariableFunctions.pyi'), 'def '),
    tensorStubs: readTensorClass(text('torch/_C/__init__.pyi')),
    aliases: {
      linalg: readAliases(text('torch/linalg/__init__.py')),
      fft: readAliases(text('torch/fft/__init__.py')),
      special: readAliases(text('torch/special/__init__.py')),
      sparse: readAliases(text('torch/sparse/__init__.py')),
      functional: readAliases(text('torch/nn/functional.py')),
    },
    python: {
      functional: text('torch/nn/functional.py'),
      // masked takes its type aliases from _prims_common.
      masked: `${text('torch/masked/_ops.py')}\n${text('torch/_prims_common/__init__.py')
        .match(/^\w+: TypeAlias = .+$/gm)
        ?.join('\n')}`,
      windows: text('torch/signal/windows/windows.py'),
    },
  };
}

/** @param {string} yaml @returns {NativeFunction[]} */
function readNativeFunctions(yaml) {
  const list = (value) =>
    value === undefined ? [] : (Array.isArray(value) ? value : String(value).split(',')).map((s) => String(s).trim());
  const functions = parse(yaml).map((entry) => ({
    schema: parseSchema(entry.func),
    variants: new Set(list(entry.variants ?? 'function')),
    module: entry.python_module,
    category: entry.category_override,
    tags: new Set(list(entry.tags)),
    autogen: list(entry.autogen),
  }));
  return [...functions, ...functions.flatMap(generatedViewCopies)];
}

/** torchgen writes the `.out` forms of the view_copy operators itself, and those alone among its products are bound in Python. */
function generatedViewCopies(f) {
  if (!f.tags.has('view_copy')) return [];
  const { schema } = f;
  return f.autogen
    .filter((name) => /\.(\w*_)?out$/.test(name) && !schema.returns.some((r) => r.type.includes('[]')))
    .map((name) => {
      const [base, overload] = name.split('.');
      const out = { name: 'out', type: 'Tensor', default: undefined, kwOnly: true, writes: true };
      const text = `${name}${schema.text.slice(schema.text.indexOf('('))}`;
      return {
        ...f,
        schema: { ...schema, name: base, overload, args: [...schema.args, out], text },
        tags: new Set([...f.tags, 'generated']),
        autogen: [],
      };
    });
}

/** @param {string} yaml @returns {Deprecated[]} */
function readDeprecated(yaml) {
  return parse(yaml).map(({ name, aten }) => {
    const [, target, call] = /^(\w+)\((.*)\)$/.exec(aten);
    return { signature: parseSchema(name), aten: target, call: call.split(',').map((s) => s.trim()) };
  });
}

/** The strings of a Python list literal assigned to `name`. @param {string} python @param {string} name */
function pythonStrings(python, name) {
  const body = new RegExp(`^${name} = \\[\\n([\\s\\S]*?)^\\]`, 'm').exec(python)?.[1];
  if (body === undefined) throw new Error(`generate: gen_python_functions.py has no list ${name}`);
  return [...body.replace(/#.*$/gm, '').matchAll(/"([^"]*)"/g)].map((m) => m[1]);
}

/** Function names of a stub file, with whether their tensors may be plain numbers (`other: Tensor | Number`). @returns {Map<string, boolean>} */
function readStubs(pyi, prefix) {
  const stubs = new Map();
  for (const m of pyi.matchAll(new RegExp(`^${prefix}(\\w+)\\(([^]*?)\\) ->`, 'gm'))) {
    stubs.set(m[1], (stubs.get(m[1]) ?? false) || /\b(?:input|other): Tensor \| Number/.test(m[2]));
  }
  return stubs;
}

/** Methods and attributes of `TensorBase`. @param {string} pyi */
function readTensorClass(pyi) {
  const body = /^class TensorBase\b.*\n([\s\S]*?)^(?=\S)/m.exec(pyi)?.[1];
  if (body === undefined) throw new Error('generate: torch/_C/__init__.pyi has no class TensorBase');
  return {
    methods: readStubs(body, ' {4}def '),
    attributes: new Map([...body.matchAll(/^ {4}(\w+): ([^\n]+)$/gm)].map((m) => [m[1], m[2].trim()])),
  };
}

/** `inv = _add_docstr(_linalg.linalg_inv, ...)`, `conv2d = _add_docstr(torch.conv2d, ...)`: public name to the bound name. @param {string} python */
function readAliases(python) {
  const aliases = new Map();
  for (const m of python.matchAll(/^(\w+)(?:: \w+)? = (?:_add_docstr\(\s*)?((?:torch\.)?(?:_C\.)?\w+)\.(\w+)/gm)) {
    if (/^(torch(\._C)?(\.\w+)?|_\w+)$/.test(m[2]))
      aliases.set(m[1], { module: m[2].replace(/^torch\._C\.|^_/, ''), name: m[3] });
  }
  return aliases;
}

/** Keeps what the loaded libtorch registers. @param {NativeFunction[]} functions @param {readonly string[]} registered schemas of libtorch */
export function intersect(functions, registered) {
  const names = new Set(registered.filter((s) => s.startsWith('aten::')).map((s) => fullName(parseSchema(s))));
  return functions.filter((f) => names.has(fullName(f.schema)));
}

export { isOut };
