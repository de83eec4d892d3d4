/** @file Indexing whose derivative or result libtorch finds by looking at the data: masks, repeats, strided views. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';
import { agree, agreeGrad, sample } from './table.js';

const ints = (list: number[]): Tensor => torch.tensor(list, { dtype: 'int64' });
const MASK = torch.tensor([true, false, true, true, false]);

describe('lowering: masks', () => {
  it('index_put with a mask takes one value for all, one row for all, or a row for each', () => {
    for (const accumulate of [false, true]) {
      for (const shape of [[1], [], [3], [1, 3], [3, 3]]) {
        const put = (x?: Tensor, v?: Tensor, m?: Tensor) => x!.index_put([m!], v!, accumulate);
        const args = [sample([5, 3], 'float64'), sample(shape, 'float64')];
        agree(`index_put ${shape}, accumulate ${accumulate}`, put, [...args, MASK]);
        agreeGrad(`index_put ${shape}, accumulate ${accumulate}`, (x, v) => put(x, v, MASK), args);
      }
    }
  });

  it('index_put_ writes where a mask of all dimensions is true', () => {
    const x = sample([4, 3], 'float64');
    const f = (v?: Tensor) => v!.clone().index_put_([v!.gt(0)], torch.tensor(7, { dtype: 'float64' }));
    agree('index_put_', f, [x]);
    agreeGrad('index_put_', (v) => f(v).mul(v!), [x]);
  });

  it('masked_scatter gives its gradients to the elements that were used, in their order', () => {
    const mask = torch.tensor([
      [true, false, true],
      [false, false, true],
    ]);
    for (const rows of [1, 2, 4]) {
      const args = [sample([2, 3], 'float64'), sample([rows, 3], 'float64')];
      agreeGrad(`from ${rows} rows`, (x, source) => x!.masked_scatter(mask, source!), args);
    }
  });
});

describe('lowering: positions that are data, shapes that are not', () => {
  it('narrow starts at a tensor, counted from the end when negative', () => {
    const x = sample([5, 4], 'float64');
    for (const start of [0, 2, -3]) {
      agree(`from ${start}`, (v, s) => v!.narrow(0, s! as never, 2), [x, torch.tensor(start, { dtype: 'int64' })]);
    }
    agreeGrad('narrow', (v) => v!.narrow(1, torch.tensor(1, { dtype: 'int64' }) as never, 3), [x]);
    agreeGrad('narrow to nothing', (v) => v!.narrow(1, torch.tensor(1, { dtype: 'int64' }) as never, 0), [x]);
  });

  it('repeat_interleave with an output size needs no data', () => {
    const repeats = ints([2, 0, 3, 1]);
    const f = (x?: Tensor, r?: Tensor) => x!.repeat_interleave(r!, 0, { output_size: 6 });
    agree('rows', f, [sample([4, 2]), repeats]);
    agreeGrad('rows', (x) => f(x, repeats), [sample([4, 2], 'float64')]);
    agree('places', (r) => torch.repeat_interleave(r!, { output_size: 6 }), [repeats]);
  });

  it('tensor_split by a tensor is refused in words', () => {
    fails('DYNAMIC_SHAPE', /tensor_split.*shape/, () =>
      torch.compile((x: Tensor, at: Tensor) => x.tensor_split(at as never))(sample([5]), ints([2])),
    );
  });
});

describe('lowering: as_strided', () => {
  it('reads what the tensor holds, in its own order of memory', () => {
    agree('row-major', (x) => x!.as_strided([2, 2], [1, 4], 1), [sample([3, 4])]);
    agree('transposed', (x) => x!.as_strided([2, 2], [1, 2]), [sample([3, 4]).t()]);
    agree('expanded', (x) => x!.as_strided([3, 2], [1, 0]), [sample([3, 1]).expand([3, 4])]);
    agree('with gaps', (x) => x!.as_strided([2, 2], [8, 2]), [sample([3, 4, 2]).select(2, 0)]);
    agreeGrad('overlapping', (x) => x!.as_strided([3, 3], [2, 1]), [sample([8], 'float64')]);
  });

  it('refuses what lies around or between the elements, which a program does not have', () => {
    const f = torch.compile((x: Tensor) => x.as_strided([2, 2], [1, 2], 3).mul(2));
    const base = sample([20]);
    assert.equal(base.narrow(0, 0, 5).as_strided([2, 2], [1, 2], 3).numel(), 4, 'eager reads the storage');
    fails('NO_RULE', /as_strided.*reaches memory outside/, () => f(base.narrow(0, 0, 5)));
    fails('NO_RULE', /as_strided.*reaches memory outside/, () => f(base.reshape([10, 2]).select(1, 0)));
  });
});
