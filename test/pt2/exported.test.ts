/** @file export.load: programs of torch.export run, differentiate, train and compile as Python says (test/data/files/exported-*). */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { crc32 } from '../../lib/io/crc32.js';
import { SourceFile } from '../../lib/io/file.js';
import { readEntry, readZip, zipChunks } from '../../lib/io/zip.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';
import { loss, waves } from '../support/waves.js';
import { runMutations } from './mutations.js';

const stored = (name: string): string => join(__dirname, '../../../test/data/files', name);
type Program = torch.export.ExportedProgram;
const open = (name: string): Program => torch.export.load(stored(`exported-${name}.pt2`));
// biome-ignore lint/suspicious/noExplicitAny: results of many kinds
const expected: Record<string, any> = torch.load(stored('exported-results.pt'));

/** The result, the gradients and the state afterwards are Python's. */
const agrees = (name: string, program: Program, run: () => Tensor): void => {
  const { out, grads, state } = expected[name];
  const y = run();
  close(y, out, { what: 'out', atol: 2e-5 });
  loss(y).backward();
  const found = program.named_parameters().filter(([, p]) => p.grad !== null);
  assert.deepEqual(found.map(([n]) => n).sort(), Object.keys(grads).sort());
  for (const [n, p] of found) close(p.grad!, grads[n], { what: `gradient of ${n}`, rtol: 1e-4, atol: 2e-5 });
  const after = program.state_dict();
  assert.deepEqual(Object.keys(after).sort(), Object.keys(state).sort());
  for (const [n, t] of Object.entries(after)) close(t, state[n], { what: n, atol: 1e-5 });
};

/** A zip archive with compressed entries. */
const deflated = (entries: readonly { readonly name: string; readonly data: Buffer }[]): Buffer => {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  for (const { name, data } of entries) {
    const packed = deflateRawSync(data);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(data), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(data.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    fields.copy(entry, 6);
    entry.writeUInt32LE(at, 42);
    local.push(Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed);
    central.push(entry, Buffer.from(name));
    at += 30 + name.length + packed.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...local, directory, end]);
};

describe('export.load', () => {
  for (const compiled of [false, true]) {
    const mode = compiled ? 'compiled' : 'eager';
    // biome-ignore lint/suspicious/noExplicitAny: any function
    const made = <F extends (...args: any[]) => any>(f: F): F => (compiled ? (torch.compile(f) as unknown as F) : f);

    it(`${mode}: a perceptron with a dynamic batch; tied, transposed and frozen weights`, () => {
      const program = open('mlp');
      assert.equal(program.get_parameter('2.weight'), program.get_parameter('4.weight'));
      assert.deepEqual([...program.get_parameter('0.weight').strides], [1, 4]);
      assert.equal(program.get_parameter('5.bias').requires_grad, false);
      const run = made((x: Tensor) => program.forward(x));
      agrees('mlp', program, () => run(waves(5, 3)));
      close(run(waves(7, 3)), expected['mlp_7'], { atol: 1e-5 });
    });

    it(`${mode}: batch norm in training mode moves its buffers, with in-place operators and as outputs`, () => {
      const training = open('training');
      agrees('training', training, () => made((x: Tensor) => training.forward(x))(waves(4, 1, 6, 6)));
      const functional = open('functional');
      const y = torch.no_grad(() => made((x: Tensor) => functional.forward(x))(waves(4, 1, 6, 6)));
      close(y, expected['functional'].out, { atol: 1e-5 });
      for (const [n, t] of Object.entries(functional.state_dict()))
        close(t, expected['functional'].state[n], { what: n, atol: 1e-5 });
    });

    it(`${mode}: a transformer layer and an LSTM in float64`, () => {
      const program = open('sequences');
      agrees('sequences', program, () => made((x: Tensor) => program.forward(x))(waves(2, 5, 4).double()));
    });

    it(`${mode}: trees, sizes, constants, changed arguments, cond, no_grad, autocast, dtypes`, () => {
      const program = open('everything');
      for (const [name, n, rows, flag] of [
        ['everything', 2, 4, 1],
        ['everything_5', 3, 5, -1],
      ] as const) {
        const e = expected[name];
        const key = waves(2);
        const results: unknown[] = [];
        const run = made((x: Tensor, tree: unknown, f: Tensor, k: Tensor) => {
          const [first, ordered, values, size, half] = program.forward(x, n, tree, f, 2, { key: k });
          results.splice(0, results.length, size, half, first.get('y').slice(1));
          return [first.get('z'), first.get('y')[0], [...first.get(7)], ordered, values];
        });
        const tree = { a: waves(3), b: [waves(1)] };
        const [z, y, [frozen, cast], ordered, values] = run(waves(rows, 3), tree, torch.tensor(BigInt(flag)), key);
        assert.deepEqual(results, [e.size, e.half, [null, 3]]);
        const named = { z, y, frozen, rows: ordered.rows, grid: ordered.grid, key };
        for (const [what, t] of Object.entries(named)) close(t, e[what], { what, atol: 1e-5 });
        close(cast, e.cast, { what: 'cast', rtol: 2e-2, atol: 2e-2 });
        for (const [i, v] of e.values.entries()) close(values[i], v, { what: `value ${i}`, atol: 1e-5 });
        close(program.get_buffer('steps'), e.steps);
        assert.equal(frozen.requires_grad, false);
        assert.equal(z.requires_grad, true);
      }
    });

    it(`${mode}: a loop whose length the data decides`, () => {
      const program = open('loop');
      const [y, k] = made((x: Tensor, limit: Tensor) => program.forward(x, limit))(waves(3), torch.tensor(4n));
      close(y, expected['loop'][0], { atol: 1e-5 });
      close(k, expected['loop'][1]);
    });
  }

  it('numbers out of tensors, integers of 64 bits, complex numbers; in a trace the usual error', () => {
    const program = open('reads');
    const x = waves(2, 2);
    for (const [i, t] of (program.forward(x, torch.tensor(3n)) as Tensor[]).entries()) close(t, expected['reads'][i]);
    fails('BAD_ARGUMENT', /Runtime assertion failed/, () => program.forward(x, torch.tensor(9n)));
    fails('CONCRETIZATION', /item/, () =>
      torch.compile((t: Tensor, n: Tensor) => program.forward(t, n))(x, torch.tensor(3n)),
    );
  });

  it('is an nn.Module: names, state dicts, training with the optimizer in the program, transforms', () => {
    const losses = [false, true].map((compiled) => {
      const net = open('mlp').module();
      assert.deepEqual(
        net
          .named_parameters()
          .map(([n]) => n)
          .sort(),
        Object.keys(expected['mlp'].state)
          .filter((n) => n !== '4.weight')
          .sort(),
      );
      const optimizer = new torch.optim.SGD(
        net.parameters().filter((p) => p.requires_grad),
        { lr: 0.1 },
      );
      const step = (x: Tensor): Tensor => {
        optimizer.zero_grad();
        const l = net.forward(x).pow(2).mean();
        l.backward();
        optimizer.step();
        return l.detach();
      };
      const run = compiled ? torch.compile(step) : step;
      return [0, 1, 2].map(() => run(waves(5, 3)).item());
    });
    for (const [i, l] of losses[0]!.entries()) assert.ok(Math.abs(l - losses[1]![i]!) < 1e-5 * Math.abs(l) + 1e-7);
    assert.ok(losses[0]![2]! < losses[0]![0]!);
    const net = open('mlp');
    const zeros = Object.fromEntries(Object.entries(net.state_dict()).map(([n, t]) => [n, torch.zeros_like(t)]));
    const x = waves(5, 3);
    close(torch.compile(net)(x) as Tensor, net.forward(x), { atol: 1e-5 });
    close(torch.func.functional_call(net, zeros, [x]) as Tensor, torch.zeros(5, 2));
    close(net.forward(x), expected['mlp'].out, { atol: 1e-5 });
    net.load_state_dict(zeros);
    close(net.forward(x), torch.zeros(5, 2));
    const copy = torch.nn.deepcopy(open('mlp'));
    close(copy.forward(x), expected['mlp'].out, { atol: 1e-5 });
    torch.no_grad(() => copy.get_parameter('5.weight').zero_());
    assert.deepEqual(copy.forward(x).at(0).tolist(), copy.get_parameter('5.bias').tolist());
  });

  it('arguments that it was not exported for are refused in words', () => {
    const mlp = open('mlp');
    const everything = open('everything');
    fails('BAD_ARGUMENT', /input must be float32 \[s\d+, 3\], got float32 \[5, 4\]/, () => mlp.forward(waves(5, 4)));
    fails('BAD_ARGUMENT', /input must be float32.*got float64/, () => mlp.forward(waves(5, 3).double()));
    fails('BAD_ARGUMENT', /from 2 to 64/, () => mlp.forward(waves(65, 3)));
    fails('BAD_ARGUMENT', /expected 1 argument \(input\), got 0/, () => mlp.forward());
    fails('BAD_ARGUMENT', /got number 1/, () => mlp.forward(1));
    fails('BAD_ARGUMENT', /export it again/, () => mlp.eval());
    const tree = { a: waves(3), b: [waves(1)] };
    const call =
      (...args: unknown[]) =>
      () =>
        everything.forward(...args);
    const flag = torch.tensor(1n);
    const key = { key: waves(2) };
    fails(
      'BAD_ARGUMENT',
      /scale is number 3; the program was exported for number 2/,
      call(waves(4, 3), 2, tree, flag, 3, key),
    );
    fails(
      'BAD_ARGUMENT',
      /n must be a number of type int, got number 1\.5/,
      call(waves(4, 3), 1.5, tree, flag, 2, key),
    );
    fails(
      'BAD_ARGUMENT',
      /tree must be an object with the keys a, b/,
      call(waves(4, 3), 2, { a: waves(3) }, flag, 2, key),
    );
    fails('BAD_ARGUMENT', /tree\.b must be an array of 1/, call(waves(4, 3), 2, { a: waves(3), b: [] }, flag, 2, key));
    fails('BAD_ARGUMENT', /and an object with key, got 5/, call(waves(4, 3), 2, tree, flag, 2));
    fails('BAD_ARGUMENT', /keyword arguments must be an object/, call(waves(4, 3), 2, tree, flag, 2, null));
  });

  describe('files that are no programs', () => {
    let folder: string;
    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'jorch-pt2-'));
    });
    after(() => rmSync(folder, { recursive: true }));

    /** The stored archive with other content in one entry; null leaves it out. */
    const changed = (name: string, change: (json: string) => string | null, program = 'mlp'): string => {
      const file = new SourceFile(stored(`exported-${program}.pt2`));
      const entries = [...readZip(file).values()].flatMap((entry) => {
        const data = readEntry(file, entry);
        const now = entry.name.endsWith(name) ? change(data.toString('latin1')) : undefined;
        return now === null
          ? []
          : [{ name: entry.name, bytes: () => (now === undefined ? data : Buffer.from(now, 'latin1')) }];
      });
      file.close();
      const path = join(folder, 'x.pt2');
      writeFileSync(path, Buffer.concat([...zipChunks(entries)]));
      return path;
    };
    const refused = (words: RegExp, path: string): void => fails('BAD_ARGUMENT', words, () => torch.export.load(path));
    const model = (change: (json: string) => string): string => changed('models/model.json', change);

    it('operators that are not run, by name', () => {
      refused(/higher-order operator 'scan', which jorch does not run/, stored('exported-refused.pt2'));
      refused(
        /'torchvision::nms'; jorch runs those of aten/,
        model((s) => s.replace('torch.ops.aten.tanh.default', 'torch.ops.torchvision.nms.default')),
      );
      refused(
        /'aten::from_file'.*open no files/,
        model((s) => s.replace('torch.ops.aten.tanh.default', 'torch.ops.aten.from_file.default')),
      );
      refused(
        /unknown operator 'aten::tanhh'; did you mean 'aten::tanh'/,
        model((s) => s.replace('aten.tanh.default', 'aten.tanhh.default')),
      );
      refused(
        /has no overload 'nope'/,
        model((s) => s.replace('aten.tanh.default', 'aten.tanh.nope')),
      );
      refused(
        /calls 'os\.system'/,
        model((s) => s.replace('torch.ops.aten.tanh.default', 'os.system')),
      );
      refused(
        /calls '_operator\.__proto__'|calls '__proto__'/,
        model((s) => s.replace('torch.ops.aten.tanh.default', '__proto__')),
      );
      assert.ok(open('mlp'), 'the unchanged one loads');
    });

    it('damage: JSON, names, shapes, versions, payloads', () => {
      refused(
        /model\.json' is damaged/,
        model((s) => s.slice(0, -5)),
      );
      refused(
        /nothing defines/,
        model((s) => s.replace('"name": "linear"', '"name": "linear_x"')),
      );
      refused(
        /version 9 .* reads version 8/,
        model((s) => s.replace('"major": 8', '"major": 9')),
      );
      refused(
        /nested too deeply|damaged/,
        model((s) =>
          s.replace(
            /"in_spec": "[^\n]*?"(?=, "out_spec")/,
            () =>
              `"in_spec": ${JSON.stringify(`[1, ${'{"type": "builtins.list", "context": "null", "children_spec": ['.repeat(5000)}${']}'.repeat(5000)}]`)}`,
          ),
        ),
      );
      refused(
        /version 2, jorch reads version 1/,
        model((s) => s.replace('"in_spec": "[1,', '"in_spec": "[2,')),
      );
      refused(
        /not fit its graph/,
        model((s) => s.replace('"output_specs": [', '"output_specs": [{"user_output": {"arg": {"as_none": true}}}, ')),
      );
      const weights = 'model_weights_config.json';
      refused(
        /reaches beyond its payload/,
        changed(weights, (s) => s.replace('"as_int": 4', '"as_int": 4000000000')),
      );
      refused(
        /no valid shape|no size/,
        changed(weights, (s) => s.replace('"as_int": 4', '"as_int": 9223372036854775807')),
      );
      refused(
        /no size/,
        changed(weights, (s) => s.replace('"as_int": 4', '"as_int": -4')),
      );
      refused(
        /scalar type 99/,
        changed(weights, (s) => s.replace('"dtype": 7', '"dtype": 99')),
      );
      refused(
        /Python class/,
        changed(weights, (s) => s.replace('"use_pickle": false', '"use_pickle": true')),
      );
      refused(
        /reaches beyond its payload of 0 bytes/,
        changed(weights, (s) => s.replace('"weight_0"', '"../../../etc/passwd"')),
      );
      refused(
        /no tensor for '0\.bias'/,
        changed(weights, (s) => s.replace('"0.bias"', '"0.other"')),
      );
      refused(
        /has no 'data\/weights\/model_weights_config\.json'/,
        changed(weights, () => null),
      );
      refused(
        /big-endian/,
        changed('byteorder', () => 'big'),
      );
      refused(
        /holds no exported program/,
        changed('models/model.json', () => null),
      );
      const whole = readFileSync(stored('exported-mlp.pt2'));
      const path = join(folder, 'cut.pt2');
      writeFileSync(path, whole.subarray(0, whole.length - 300));
      refused(/cut off|damaged/, path);
      const polluted = torch.export.load(
        changed(weights, (s) =>
          s.replace(
            '"config": {',
            '"config": {"__proto__.polluted": {"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta": {"dtype": 7, "sizes": [], "strides": [], "storage_offset": {"as_int": 0}, "layout": 7}}, ',
          ),
        ),
      );
      assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
      assert.ok(polluted.named_parameters().some(([n]) => n === '__proto__.polluted'));
    });

    it('a program that mixes up kinds of values fails in words when it runs', () => {
      const path = model((s) =>
        s
          .replace('"target": "torch.ops.aten.tanh.default"', '"target": "_operator.and_"')
          .replace(
            '"name": "self", "arg": {"as_tensor": {"name": "linear"}}',
            '"name": "a", "arg": {"as_string": "x"}',
          ),
      );
      fails('BAD_ARGUMENT', /damaged|must be/, () => torch.export.load(path).forward(waves(5, 3)));
      const bomb = join(folder, 'bomb.pt2');
      const file = new SourceFile(stored('exported-mlp.pt2'));
      const entries = [...readZip(file).values()].map((e) => ({ name: e.name, data: readEntry(file, e) }));
      file.close();
      writeFileSync(
        bomb,
        deflated(entries.map((e) => (e.name.endsWith('model.json') ? { ...e, data: Buffer.alloc(40 << 20, ' ') } : e))),
      );
      refused(/jorch reads at most 33554432/, bomb);
    });

    it('damaged at random, they load, or end in a JorchError', () => {
      assert.ok(runMutations(80, 7) > 10, 'some damage does no harm');
    });

    it('other files say what they are', () => {
      refused(/TorchScript archive: load it with jit\.load/, stored('script.pt'));
      refused(/no archive of torch\.export/, stored('kinds.pt'));
      refused(/no zip archive/, stored('fortran.npy'));
      fails('BAD_ARGUMENT', /exported program: load it with export\.load/, () =>
        torch.load(stored('exported-mlp.pt2')),
      );
      fails('BAD_ARGUMENT', /exported program: load it with export\.load/, () =>
        torch.jit.load(stored('exported-mlp.pt2')),
      );
    });
  });
});
