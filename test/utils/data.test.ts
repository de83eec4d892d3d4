/** @file utils.data: datasets, samplers, collation, DataLoader in this thread and with workers. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails, rejects } from '../support/fails.js';

const { DataLoader, TensorDataset, random_split, Subset, ConcatDataset, default_collate, datasetModule } =
  torch.utils.data;
const squares = join(__dirname, 'squares.js');

describe('utils.data', () => {
  const xs = torch.arange(10, { dtype: 'float32' }).reshape([5, 2]);
  const ys = torch.arange(5);

  it('batches in order, the last one smaller or dropped', () => {
    const data = new TensorDataset(xs, ys);
    const loader = new DataLoader(data, { batch_size: 2 });
    assert.equal(loader.length, 3);
    assert.deepEqual(
      [...loader].map(([x, y]) => [x!.shape[0], y!.tolist()]),
      [
        [2, [0, 1]],
        [2, [2, 3]],
        [1, [4]],
      ],
    );
    assert.equal([...new DataLoader(data, { batch_size: 2, drop_last: true })].length, 2);
    const [x, y] = data.at(-1);
    assert.deepEqual([x.tolist(), y.item()], [[8, 9], 4]);
  });

  it('shuffles every epoch anew, reproducibly with a generator', () => {
    const data = new TensorDataset(torch.arange(100));
    const epoch = (loader: Iterable<readonly Tensor[]>): number[] =>
      [...loader].flatMap(([t]) => t!.tolist() as number[]);
    const loader = new DataLoader(data, {
      batch_size: 7,
      shuffle: true,
      generator: new torch.Generator().manual_seed(1),
    });
    const [first, second] = [epoch(loader), epoch(loader)];
    assert.notDeepEqual(first, second);
    assert.deepEqual(
      [...first].sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i),
    );
    const again = new DataLoader(data, {
      batch_size: 7,
      shuffle: true,
      generator: new torch.Generator().manual_seed(1),
    });
    assert.deepEqual(epoch(again), first);
  });

  it('collates numbers, typed arrays, texts and structures; or as told', () => {
    const batch = default_collate([
      { a: 1, b: [new Float32Array([1, 2]), true], c: 'x', d: 1n },
      { a: 2, b: [new Float32Array([3, 4]), false], c: 'y', d: 2n },
    ]) as { a: Tensor; b: Tensor[]; c: string[]; d: Tensor };
    assert.deepEqual(
      [batch.a.tolist(), batch.a.dtype, batch.d.dtype, batch.c],
      [[1, 2], 'float32', 'int64', ['x', 'y']],
    );
    assert.deepEqual(
      batch.b.map((t) => t.tolist()),
      [
        [
          [1, 2],
          [3, 4],
        ],
        [true, false],
      ],
    );
    const loader = new DataLoader(
      { length: 3, at: (i: number) => i },
      { batch_size: 3, collate_fn: (list) => list.join('-') },
    );
    assert.deepEqual([...loader], ['0-1-2']);
    fails('BAD_ARGUMENT', /different lengths/, () => default_collate([[1], [1, 2]]));
    fails('BAD_ARGUMENT', /collate_fn/, () => default_collate([new Date(), new Date()]));
  });

  it('random_split, Subset, ConcatDataset', () => {
    const data = new TensorDataset(torch.arange(10));
    const parts = random_split(data, [0.75, 0.25]);
    assert.deepEqual(
      parts.map((p) => p.length),
      [8, 2],
    );
    const all = [...new ConcatDataset(parts).datasets].flatMap((p) =>
      [...new DataLoader(p, { batch_size: 4 })].flatMap(([t]) => t!.tolist()),
    );
    assert.deepEqual(
      (all as number[]).sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.equal(new ConcatDataset([new Subset(data, [3]), new Subset(data, [7])]).at(1)[0].item(), 7);
    fails('BAD_ARGUMENT', /sum to 9/, () => random_split(data, [4, 5]));
    fails('BAD_ARGUMENT', /size mismatch/, () => new TensorDataset(torch.ones(2), torch.ones(3)));
    fails('BAD_ARGUMENT', /batch_size/, () => new DataLoader(data, { batch_size: 0 }));
    fails(
      'BAD_ARGUMENT',
      /'batchsize'; did you mean 'batch_size'/,
      () => new DataLoader(data, { batchsize: 2 } as never),
    );
    fails('BAD_ARGUMENT', /options are an object/, () => new DataLoader(data, 32 as never));
    fails(
      'BAD_ARGUMENT',
      /mutually exclusive/,
      () => new DataLoader(data, { shuffle: true, sampler: new torch.utils.data.SequentialSampler(data) }),
    );
  });

  it('worker threads give the same batches in the same order, and end', async () => {
    type Batch = { x: Tensor; y: Tensor; name: string[] };
    const data = datasetModule<Batch>(squares, { data: { length: 23 } });
    const here = [...new DataLoader<Batch>(data, { batch_size: 4 })];
    const there: Batch[] = [];
    for await (const batch of new DataLoader<Batch>(data, { batch_size: 4, num_workers: 2 })) there.push(batch);
    assert.deepEqual(
      there.map(({ x, y, name }) => [x.tolist(), y.tolist(), name]),
      here.map(({ x, y, name }) => [x.tolist(), y.tolist(), name]),
    );
    let seen = 0;
    for await (const _ of new DataLoader(data, { num_workers: 1 })) if (++seen === 2) break;
    assert.equal(seen, 2);
  });

  it('a worker that is ended fails the loop, also for batches asked for later', async () => {
    const data = datasetModule(squares, { data: { length: 40, end: 5 } });
    await rejects('BAD_ARGUMENT', /a worker ended with code 0/, async () => {
      for await (const _ of new DataLoader(data, { num_workers: 2, prefetch_factor: 1 }));
    });
  });

  it('an error in a worker arrives in words; functions do not cross threads', async () => {
    const data = datasetModule(squares, { data: { length: 5, fail: 3 } });
    await rejects('BAD_ARGUMENT', /sample 3 is unreadable/, async () => {
      for await (const _ of new DataLoader(data, { num_workers: 2 }));
    });
    fails('BAD_ARGUMENT', /datasetModule/, () => new DataLoader(new TensorDataset(xs), { num_workers: 1 }));
    fails('BAD_ARGUMENT', /for await/, () => [...new DataLoader(data, { num_workers: 1 })]);
  });
});

describe('utils.data: stacked datasets and random subsets', () => {
  const { DataLoader, StackDataset, SubsetRandomSampler, TensorDataset } = torch.utils.data;
  it('StackDataset gives samples of several datasets together, by place or by name', () => {
    const a = new TensorDataset(torch.arange(4));
    const b = { length: 4, at: (i: number) => i * 10 };
    assert.deepEqual(
      torch.tree.map((t) => t.item(), new StackDataset([a, b]).at(2)),
      [[2], 20],
    );
    const [batch] = [...new DataLoader(new StackDataset({ a, b }), { batch_size: 4 })];
    assert.deepEqual((batch as unknown as { b: torch.Tensor }).b.tolist(), [0, 10, 20, 30]);
    assert.throws(() => new StackDataset([a, { length: 3, at: () => 0 }]), /size mismatch/);
  });
  it('SubsetRandomSampler gives its numbers once each', () => {
    torch.manual_seed(0);
    const sampler = new SubsetRandomSampler([5, 7, 11, 13, 17]);
    const [one, two] = [[...sampler], [...sampler]];
    assert.deepEqual(
      [...one].sort((x, y) => x - y),
      [5, 7, 11, 13, 17],
    );
    assert.notDeepEqual(one, two);
    assert.equal(sampler.length, 5);
  });
});
