/** @file diagnostics_channel events, JORCH_LOG=debug and JORCH_DUMP. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import diagnostics_channel from 'node:diagnostics_channel';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const { compile, ones } = torch;

/** What is published on `jorch:<name>` for compiled functions called `who`, while `run` runs. */
const heard = (names: readonly string[], who: string, run: () => void): [string, Record<string, unknown>][] => {
  const seen: [string, Record<string, unknown>][] = [];
  const listeners = names.map((name) => {
    const listener = (event: unknown) => {
      const message = event as Record<string, unknown>;
      if (message.name === undefined || message.name === who) seen.push([name, message]);
    };
    diagnostics_channel.subscribe(`jorch:${name}`, listener);
    return [name, listener] as const;
  });
  try {
    run();
  } finally {
    for (const [name, listener] of listeners) diagnostics_channel.unsubscribe(`jorch:${name}`, listener);
  }
  return seen;
};

describe('diagnostics_channel', () => {
  it('tells of misses with their reason, compilations, hits and evictions, in order', () => {
    const f = compile((x: Tensor) => x.mul(2), { name: 'twice', maxCompiles: { limit: 1 } });
    const seen = heard(['miss', 'compile', 'hit', 'evict', 'cache'], 'twice', () => {
      f(ones(2));
      f(ones(2));
      f(ones(3));
    });
    assert.deepEqual(
      seen.map(([name]) => name),
      ['miss', 'cache', 'compile', 'hit', 'miss', 'cache', 'compile', 'evict'],
    );
    assert.equal(seen[0]![1].reason, 'first call');
    assert.match(String(seen[4]![1].reason), /shape changed from \[2\] to \[3\]/);
    assert.equal(seen[2]![1].operators, 1);
    assert.equal(typeof seen[1]![1].hit, 'boolean');
    assert.equal(seen[7]![1].programs, 1);
  });

  it('a subscriber that throws does not reach the call', () => {
    const f = compile((x: Tensor) => x.mul(3));
    f(ones(2));
    assert.deepEqual(f(ones(2)).tolist(), [3, 3]);
  });
});

/** Runs a program that compiles one function in a process of its own. */
const runIn = (env: Record<string, string>): { stderr: string; status: number | null } => {
  const index = require.resolve('../../lib/index.js');
  const code = `const t = require(${JSON.stringify(index)});
    const w = t.ones(3, 3).requires_grad_(true);
    const f = t.compile(function loss(x) { return t.linalg.inv(x.matmul(w).add(t.eye(3))).sum(); });
    f(t.ones(3, 3)); f(t.ones(3, 3));`;
  const { stderr, status } = spawnSync(process.execPath, ['-e', code], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { stderr, status };
};

describe('JORCH_LOG and JORCH_DUMP', () => {
  it('write what happened to stderr and to files', () => {
    const folder = mkdtempSync(join(tmpdir(), 'jorch-dump-'));
    try {
      const { stderr, status } = runIn({ JORCH_LOG: 'debug', JORCH_DUMP: folder });
      assert.equal(status, 0, stderr);
      assert.match(stderr, /^jorch: loss: no program fits: first call$/m);
      assert.match(stderr, /^jorch: loss: compiled \d+ operators, \d+ of them as ATen calls$/m);
      assert.match(stderr, /^jorch: cache (hit|miss), /m);
      const [only, ...others] = readdirSync(folder);
      assert.deepEqual(others, []);
      assert.match(only!, /^loss-\d+-1$/);
      const read = (file: string) => readFileSync(join(folder, only!, file), 'utf8');
      assert.match(read('program.mlir'), /^module @jorch/);
      assert.match(read('backward.mlir'), /^module @jorch/);
      assert.match(read('program.hlo.txt'), /^HloModule jorch/);
      assert.match(read('explain.txt'), /ATen calls: aten::linalg_inv_ex[\s\S]*"flops"/);
      const graph = JSON.parse(read('graph.json')) as { nodes: { op: string; args: Record<string, unknown> }[] };
      const mm = graph.nodes.find(({ op }) => op === 'aten::mm')!;
      assert.match(String(mm.args.self), /^%\d+$/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('what is no folder is a warning, not an error', () => {
    const { stderr, status } = runIn({ JORCH_DUMP: process.execPath });
    assert.equal(status, 0, stderr);
    assert.match(stderr, /JorchDump/);
  });
});
