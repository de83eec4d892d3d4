/** @file The command line, as a user sees it: what it prints, where, and the exit code. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PersistentCache } from '../../lib/compile/persistent.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const cli = require.resolve('../../lib/cli/index.js');

describe('jorch on the command line', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'jorch-cli-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const jorch = (
    args: readonly string[],
    env: Record<string, string> = {},
  ): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [cli, ...args], {
      encoding: 'utf8',
      env: { ...process.env, ...env } as NodeJS.ProcessEnv,
    });

  it('--version and --help; an unknown command fails with the help', () => {
    assert.match(jorch(['--version']).stdout, /^\d+\.\d+\.\d+\n$/);
    assert.match(jorch(['--help']).stdout, /doctor[\s\S]*install[\s\S]*cache[\s\S]*inspect[\s\S]*run/);
    const { status, stderr } = jorch(['conjure']);
    assert.equal(status, 1);
    assert.match(stderr, /unknown command 'conjure'/);
  });

  it('doctor finds everything in a checkout that runs tests', () => {
    const { status, stdout } = jorch(['doctor']);
    assert.equal(status, 0, stdout);
    for (const line of [/ok +jorch\.node: \//, /ok +compiling with XLA: works/, /ok +computing with libtorch: works/])
      assert.match(stdout, line);
  });

  it('doctor names what is missing and how to get it', () => {
    // No Python either, whose packages would do.
    const { status, stdout } = jorch(['doctor'], {
      JORCH_CACHE_DIR: join(dir, 'empty'),
      JORCH_TORCH_DIR: '',
      JORCH_PJRT_PLUGIN: '',
      PATH: dir,
    });
    assert.equal(status, 1);
    assert.match(stdout, /ok +Node\.js/);
    assert.match(stdout, /MISSING +XLA CPU plugin: .*npx jorch install/);
    assert.match(stdout, /MISSING +libtorch .*npx jorch install/);
    assert.match(stdout, /MISSING +Python with pip.*apt-get install/);
    assert.match(stdout, /something is missing/);
  });

  it('install refuses a device that it has nothing for', () => {
    const { status, stderr } = jorch(['install', 'tpu']);
    assert.equal(status, 1);
    assert.match(stderr, /^jorch: install: there are no parts for 'tpu'/);
  });

  it('cache ls lists, cache clear removes', () => {
    const env = { JORCH_CACHE_DIR: dir };
    const cache = PersistentCache.open(join(dir, 'programs'));
    for (let i = 0; i < 3; i++) cache.write(Buffer.alloc(32, i), Buffer.alloc(2000));
    const listed = jorch(['cache', 'ls'], env).stdout.trim().split('\n');
    assert.equal(listed.length, 4);
    assert.match(listed[0]!, /^[0-9a-f]{16} +2\.0 KiB +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    assert.match(listed[3]!, /^3 programs, 6\.1 KiB in /);
    assert.match(jorch(['cache', 'clear'], env).stdout, /removed 3 programs/);
    assert.deepEqual(readdirSync(dir), []);
    assert.match(jorch(['cache', 'ls'], env).stdout, /^0 programs, 0 B in /);
  });

  const npy = (shape: string, data: Uint8Array, order = 'False'): Buffer => {
    const header = `{'descr': '<f4', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;
    const start = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
    start.writeUInt16LE(header.length, 8);
    return Buffer.concat([start, Buffer.from(header), data]);
  };

  it('inspect shows what Python wrote: names, shapes, dtypes, what a graph takes and returns, how often it calls which operator', () => {
    const shown = (name: string): string => {
      const { status, stdout, stderr } = jorch(['inspect', join(__dirname, '../../../test/data/files', name)]);
      assert.equal(status, 0, stderr);
      return stdout;
    };
    const lines = (name: string, ...expected: RegExp[]): void => {
      const text = shown(name);
      for (const line of expected) assert.match(text, line);
    };
    lines(
      'exported-mlp.pt2',
      /^program of torch\.export \(PyTorch 2\.11\.0\S*, schema 8\.\d+\)$/m,
      /^takes +input: float32 \[s\d+, 3\]$/m,
      /^returns +linear_3: float32 \[s\d+, 2\]$/m,
      /^calls +6 operators\n +4 × aten\.linear\.default\n +1 × aten\.relu\.default$/m,
      /^ +0\.weight +float32 \[4, 3\] +48 B$/m,
    );
    lines(
      'script.pt',
      /^TorchScript module Everything, methods forward$/m,
      /^takes +\S/m,
      /^ +\d+ × torch\.linear$/m,
      /^\d+ tensors, /m,
    );
    lines(
      'training.pt',
      /^ +optimizer\.param_groups\[0\]\.lr = 0\.05$/m,
      /^ +model\.0\.weight +float32 \[4, 3\] +48 B$/m,
    );
    lines('kinds.safetensors', /^ +bfloat16 +bfloat16 \[2, 3\] +12 B$/m, /^6 tensors, 114 B$/m);
    lines('several.npz', /^ +b +complex128 \[2, 2\] +64 B$/m);
    lines('scalar.npy', /^ +bool \[\] +1 B$/m);
    const { status, stderr } = jorch(['inspect', join(__dirname, '../../../package.json')]);
    assert.deepEqual([status, /^jorch: .*package\.json/.test(stderr)], [1, true], stderr);
  });

  it('inspect shows an exported program, run computes with it', () => {
    const file = join(dir, 'model.jorch');
    const w = torch.tensor([1, 2, 3]);
    const f = torch.compile((o: { x: Tensor; k: number }, y: Tensor) => ({ z: o.x.mul(w).mul(o.k).add(y) }), {
      name: 'scale',
    });
    f.export(file, { x: torch.spec([2, 3]), k: 2 }, torch.spec([]));
    const shown = jorch(['inspect', file]).stdout;
    assert.match(shown, /^scale: exported by jorch .* for cpu \(.*\), format 1$/m);
    assert.match(shown, /^takes +\[\{ k: 2, x: float32 \[2, 3\] \}, float32 \[\]\]$/m);
    assert.match(shown, /^returns +\{ z: float32 \[2, 3\] \}$/m);
    assert.match(shown, /captured\.0 +float32 \[3\] +12 B/);
    assert.match(jorch(['inspect', file, '--stablehlo']).stdout, /^module[\s\S]*stablehlo\.multiply/);

    const x = join(dir, 'x.npy');
    writeFileSync(x, npy('(2, 3)', new Uint8Array(new Float32Array([1, 1, 1, 2, 2, 2]).buffer)));
    const { stdout, stderr } = jorch(['run', file, '-i', x, '--input', '10']);
    assert.deepEqual(
      JSON.parse(stdout),
      {
        z: [
          [12, 14, 16],
          [14, 18, 22],
        ],
      },
      stderr,
    );
    writeFileSync(join(dir, 'x.json'), '[[1,1,1],[2,2,2]]');
    assert.equal(jorch(['run', file, '-i', join(dir, 'x.json'), '-i', '10']).stdout, stdout);

    writeFileSync(x, npy('(2, 3)', new Uint8Array(24), 'True'));
    assert.match(jorch(['run', file, '-i', x, '-i', '1']).stderr, /is column-major/);
    const missing = jorch(['run', file, '-i', x]);
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /^jorch: run: .* takes 2 tensors \(float32 \[2, 3\], float32 \[\]\), got 1 --input/);
    assert.match(jorch(['run', file, '-i', '[1]', '-i', '1']).stderr, /^jorch: HostTensor: float32 \[2, 3\] needs/);
    assert.match(jorch(['run', file, '-i', '"a"', '-i', '1']).stderr, /expected numbers, found "a"/);
    assert.match(jorch(['run', join(dir, 'none'), '-i', '1']).stderr, /^jorch: .*cannot be read \(ENOENT\)/);
  });

  it('run takes models of Python: torch.export and TorchScript', () => {
    const stored = (name: string): string => join(__dirname, '../../../test/data', name);
    const net = stored('pages/net.pt2');
    const x = join(dir, 'x.npy');
    torch.save(torch.ones(2, 3), x);
    const expected = torch.export.load(net).forward(torch.ones(2, 3)) as Tensor;
    const { stdout, stderr } = jorch(['run', net, '--input', x]);
    assert.deepEqual(JSON.parse(stdout || stderr), expected.tolist());
    assert.equal(jorch(['run', net, '-i', '[[1, 1, 1], [1, 1, 1]]']).stdout, stdout);
    assert.match(jorch(['run', net, '-i', '[1]']).stderr, /^jorch: forward: input must be float32 \[s\d+, 3\]/);
    const script = jorch(['run', stored('files/script.pt'), '-i', JSON.stringify(torch.zeros(1, 1, 6, 6).tolist())]);
    assert.deepEqual(
      JSON.parse(script.stdout || script.stderr).map((row: number[]) => row.length),
      [2],
    );
  });

  it('inspect lists any safetensors file, and refuses other files in words', () => {
    const file = join(dir, 'x.safetensors');
    const header = Buffer.from('{"a.weight":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(file, Buffer.concat([length, header, Buffer.alloc(8)]));
    assert.match(jorch(['inspect', file]).stdout, /a\.weight +bfloat16 \[2, 2\] +8 B\n1 tensor, 8 B/);
    writeFileSync(file, 'something else entirely');
    const { status, stderr } = jorch(['inspect', file]);
    assert.equal(status, 1);
    assert.match(stderr, /^jorch: .* header/);
    mkdirSync(join(dir, 'folder'));
    assert.equal(jorch(['inspect', join(dir, 'folder')]).status, 1);
  });
});
