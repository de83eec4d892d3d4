/** @file Exported programs: what a process without libtorch computes from the file is what the function computes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArchive, writeArchive } from '../../lib/export/archive.js';
import { HostTensor, loadCompiled } from '../../lib/export/index.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { compile, spec } = torch;

describe('export', () => {
  let dir = '';
  let path = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-export-'));
    path = join(dir, 'model.jorch');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('a model with captured weights runs in a process that never loads libtorch', () => {
    const w1 = torch.randn([4, 8]).requires_grad_();
    const w2 = torch.randn([8, 3]);
    const model = (x: Tensor): Tensor => torch.softmax(torch.nn.functional.gelu(x.matmul(w1)).matmul(w2), -1);
    const x = torch.randn([2, 4]);
    compile(model, { name: 'model' }).export(path, spec([2, 4]));
    const script = `
      const { loadCompiled } = require(${JSON.stringify(require.resolve('../../lib/export/index.js'))});
      const model = loadCompiled(${JSON.stringify(path)});
      const y = model(new Float32Array(${JSON.stringify([...x.toTypedArray()])}));
      const maps = require('node:fs').readFileSync('/proc/self/maps', 'utf8');
      console.log(JSON.stringify({ y: [...y.data], shape: y.shape, dtype: y.dtype, name: model.signature.name, libtorch: /libtorch|libc10|jorch\\.node/.test(maps) }));`;
    const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const told = JSON.parse(stdout) as { y: number[]; shape: number[]; dtype: string; name: string; libtorch: boolean };
    assert.deepEqual(
      { shape: told.shape, dtype: told.dtype, name: told.name, libtorch: told.libtorch },
      { shape: [2, 3], dtype: 'float32', name: 'model', libtorch: false },
    );
    close(torch.tensor(told.y).reshape([2, 3]), model(x).detach());
  });

  const cases: Readonly<Record<string, { f: (...args: never[]) => unknown; args: () => unknown[] }>> = {
    'pytrees, statics and a transposed result': {
      f: (o: { x: Tensor; scale: number }, list: [Tensor, Map<string, Tensor>]) => ({
        t: o.x.mul(o.scale).t(),
        list: [list[0].sum(), list[1].get('m')!.neg(), null],
      }),
      args: () => [{ x: torch.randn([2, 3]), scale: 2.5 }, [torch.randn([4]), new Map([['m', torch.randn([2])]])]],
    },
    'integers, booleans, float64 and complex numbers': {
      f: (i: Tensor, b: Tensor, d: Tensor) => [
        i.cumsum(0),
        b.logical_not(),
        d.sin(),
        torch.complex(d, d).mul(torch.complex(d, d)),
      ],
      args: () => [torch.tensor([1n, 2n, 3n]), torch.tensor([true, false]), torch.randn([3], { dtype: torch.float64 })],
    },
    'views of arguments and of one another': {
      f: (x: Tensor) => {
        const y = x.mul(2);
        return [x.at(0), y, y.at(1), y.t()];
      },
      args: () => [torch.randn([2, 3])],
    },
    'half precision, 0-d and empty tensors': {
      f: (h: Tensor, s: Tensor, e: Tensor) => [h.mul(2), s.add(1), e.exp()],
      args: () => [torch.randn([3]).to(torch.bfloat16), torch.tensor(3), torch.zeros([0, 2])],
    },
    'an argument returned as it is, one that is not read, a gradient inside': {
      f: (x: Tensor, _: Tensor) => {
        const leaf = x.detach().requires_grad_();
        return [x, torch.autograd.grad([leaf.pow(3).sum()], [leaf])[0]];
      },
      args: () => [torch.randn([3]), torch.randn([2])],
    },
    'QR and the symmetric eigenproblem': {
      f: (a: Tensor) => [torch.linalg.qr(a).R.abs(), torch.linalg.eigvalsh(a.matmul(a.t()))],
      args: () => [torch.randn([4, 4], { dtype: torch.float64 })],
    },
  };
  for (const [name, { f, args }] of Object.entries(cases)) {
    it(`equals eager: ${name}`, () => {
      const given = args();
      const fast = compile(f);
      fast.export(path, ...(given as never[]));
      const expected = f(...(given as never[]));
      const loaded = torch.loadCompiled(path);
      for (let round = 0; round < 2; round++) {
        const actual = loaded(...given);
        const pairs = torch.tree.leaves(expected).map((e, i) => [torch.tree.leaves(actual)[i]!, e] as const);
        assert.ok(pairs.length > 0);
        for (const [a, e] of pairs) close(a, e.detach().contiguous(), { rtol: 1e-5, atol: 1e-6 });
      }
      loaded.dispose();
      fails('DISPOSED', /was disposed/, () => loaded(...given));
    });
  }

  it('random numbers differ from run to run and have their distribution', () => {
    compile(() => torch.rand([1000])).export(path);
    const draw = loadCompiled(path) as () => HostTensor;
    const [a, b] = [draw(), draw()];
    assert.notDeepEqual(a.data, b.data);
    const mean = (a.data as Float32Array).reduce((s, v) => s + v, 0) / 1000;
    assert.ok(Math.abs(mean - 0.5) < 0.06, String(mean));
  });

  it('refuses what only libtorch can run, by name and line, and functions that change tensors', () => {
    const x = torch.ones(3);
    fails('NO_RULE', [/aten::linalg_eig/, /eigenvalues of general matrices/, /export\.test\.[jt]s:\d+/], () =>
      compile((p: Tensor) => torch.linalg.eig(p)).export(path, torch.eye(3)),
    );
    fails('BAD_ARGUMENT', /changes tensors in place/, () => compile((p: Tensor) => p.add_(1)).export(path, x));
    fails('BAD_ARGUMENT', /argument.* is a function/, () =>
      compile((p: Tensor, g: (t: Tensor) => Tensor) => g(p)).export(path, x, (t) => t),
    );
    assert.deepEqual(x.tolist(), [1, 1, 1]);
    assert.throws(() => statSync(path), { code: 'ENOENT' });
  });

  it('arguments that do not fit are refused in words', () => {
    compile((o: { x: Tensor }, k: number, s: Tensor) => o.x.mul(k).add(s)).export(
      path,
      { x: spec([2, 2]) },
      3,
      spec([]),
    );
    const f = loadCompiled(path);
    const x = new Float32Array(4);
    assert.deepEqual((f({ x: { data: x, shape: [2, 2] } }, 3, 1) as HostTensor).tolist(), [
      [1, 1],
      [1, 1],
    ]);
    fails('BAD_ARGUMENT', [/argument 0\.x/, /float32 \[2, 2\]/, /Float64Array of 4/], () =>
      f({ x: new Float64Array(4) }, 3, 1),
    );
    fails('BAD_ARGUMENT', /argument 0\.x.*Float32Array of 3/, () => f({ x: new Float32Array(3) }, 3, 1));
    fails('BAD_ARGUMENT', /expected the shape \[2, 2\], got 4|\[4\]/, () => f({ x: { data: x, shape: [4] } }, 3, 1));
    fails('BAD_ARGUMENT', /argument 1 is 4; the program was exported for 3/, () => f({ x }, 4, 1));
    fails('BAD_ARGUMENT', /keys x, got y/, () => f({ y: x }, 3, 1));
    fails('BAD_ARGUMENT', /expected 3 values/, () => f({ x }, 3));
    for (const bad of [undefined, null, 'x', Symbol('s'), {}, [], new DataView(new ArrayBuffer(4)), 3n])
      fails('BAD_ARGUMENT', /argument 2: expected float32 \[\]/, () => f({ x }, 3, bad));
  });
});

describe('export: files that are not what was written', () => {
  let dir = '';
  let path = '';
  let whole: Buffer;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-export-'));
    path = join(dir, 'model.jorch');
    const w = torch.arange(6, { dtype: 'float32' });
    compile((x: Tensor) => x.mul(w).sum()).export(path, spec([6]));
    whole = readFileSync(path);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  const load = (bytes: Buffer): void => {
    writeFileSync(path, bytes);
    loadCompiled(path);
  };

  it('a whole file loads, and is a safetensors file', () => {
    load(whole);
    const { tensors, metadata } = readArchive(path);
    assert.deepEqual([...tensors.keys()], ['captured.0']);
    assert.match(metadata['stablehlo']!, /stablehlo\.multiply/);
  });

  it('every truncation, 400 flipped bits and zeroed ranges are refused before anything is compiled', () => {
    for (let n = 0; n < whole.length; n += 1 + Math.floor(whole.length / 100))
      fails('BAD_ARGUMENT', /is no exported program/, () => load(whole.subarray(0, n)));
    let state = 5;
    const next = (below: number): number => {
      state = (state * 1664525 + 1013904223) % 2 ** 32;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let i = 0; i < 400; i++) {
      const bytes = Buffer.from(whole);
      const at = next(bytes.length);
      if (i % 2) bytes[at] = bytes[at]! ^ (1 << next(8));
      else bytes.fill(bytes[at] === 0 ? 1 : 0, at, Math.min(bytes.length, at + 1 + next(40)));
      // Spaces that pad the header mean nothing.
      if (bytes.equals(whole)) continue;
      fails('BAD_ARGUMENT', /is no exported program/, () => load(bytes));
    }
    fails('BAD_ARGUMENT', /is no exported program.*bytes of data/, () =>
      load(Buffer.concat([whole, Buffer.from('x')])),
    );
  });

  /** The file with another signature and other texts. */
  const rewritten = (
    signature: Record<string, unknown>,
    texts: (stablehlo: string) => Record<string, string> = () => ({}),
  ): Buffer => {
    writeFileSync(path, whole);
    const { metadata, tensors } = readArchive(path);
    const merged = { ...(JSON.parse(metadata['signature']!) as object), ...signature };
    const changed = { ...metadata, ...texts(metadata['stablehlo']!), signature: JSON.stringify(merged) };
    writeArchive(path, { metadata: changed, tensors });
    return readFileSync(path);
  };

  it('another format, compiler or device is refused in words', () => {
    fails('BAD_ARGUMENT', /has format 2; this jorch reads format 1.*Export the function again/, () =>
      load(rewritten({ format: 2 })),
    );
    fails('BAD_ARGUMENT', /for the compiler old 0\.1; this jorch has/, () => load(rewritten({ plugin: 'old 0.1' })));
    fails('BAD_ARGUMENT', /for the device 'tpu'/, () => load(rewritten({ platform: 'tpu' })));
  });

  it('a signature that lies about the program, and programs with calls of others, are refused', () => {
    const lies: readonly Record<string, unknown>[] = [
      { outputs: [{ dtype: 'float32', shape: [1000000] }] },
      { outputs: [] },
      { returns: [{ output: 1 }] },
      { returns: [{ arg: -1 }] },
      { returns: [] },
      { args: { array: 'tensor' } },
      { parameters: 3 },
    ];
    const code = { name: 'JorchError', code: /BAD_ARGUMENT|COMPILE_FAILED/ };
    for (const lie of lies) assert.throws(() => load(rewritten(lie)), code);
    const texts: readonly ((stablehlo: string) => Record<string, string>)[] = [
      (text) => ({ stablehlo: text.replace('stablehlo.multiply', 'stablehlo.nonsense') }),
      () => ({ stablehlo: '' }),
    ];
    for (const text of texts) assert.throws(() => load(rewritten({}, text)), code);
    fails('BAD_ARGUMENT', /it calls evil/, () =>
      load(rewritten({}, () => ({ stablehlo: 'stablehlo.custom_call @evil(%0)' }))),
    );
    // Parameters that the program does not have never reach it.
    for (const parameters of [
      [],
      [{ arg: 0, dtype: 'float32', shape: [60] }],
      [{ arg: 0, dtype: 'float32', shape: [6] }],
    ])
      for (const n of [6, 60])
        assert.throws(() => {
          load(rewritten({ parameters }));
          loadCompiled(path)(new Float32Array(n));
        }, code);
    load(whole);
  });
});

describe('HostTensor', () => {
  it('checks its elements, and reads them', () => {
    const t = new HostTensor(new Uint8Array([1, 0]), [2], 'bool');
    assert.deepEqual(t.tolist(), [true, false]);
    assert.equal(new HostTensor(new Float64Array([3]), [], 'float64').item(), 3);
    assert.deepEqual(new HostTensor(new Float32Array([1, 2]), [1], 'complex64').tolist(), [[1, 2]]);
    fails(
      'BAD_ARGUMENT',
      /needs a Float32Array of 4 elements/,
      () => new HostTensor(new Float32Array(3), [2, 2], 'float32'),
    );
    fails('BAD_ARGUMENT', /expected one element, got 2/, () => t.item());
  });
});
