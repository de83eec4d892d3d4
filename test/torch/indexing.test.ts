/** @file x.at(…) and x.setAt(…): Python's subscripts. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const grid = (): Tensor => torch.arange(12).reshape([3, 4]);
const { slice, tensor } = torch;

describe('x.at', () => {
  it('integers, negative integers', () => {
    assert.equal(grid().at(1, 2).item(), 6);
    assert.equal(grid().at(-1, -1).item(), 11);
    assert.deepEqual(grid().at(1).tolist(), [4, 5, 6, 7]);
  });

  it("'1:3', '::2', ':', '-2:', slice(…)", () => {
    assert.deepEqual(grid().at('1:3', 0).tolist(), [4, 8]);
    assert.deepEqual(grid().at(0, '::2').tolist(), [0, 2]);
    assert.deepEqual(grid().at(':', 1).tolist(), [1, 5, 9]);
    assert.deepEqual(grid().at('-2:', -1).tolist(), [7, 11]);
    assert.deepEqual(grid().at(0, '1:-1').tolist(), [1, 2]);
    assert.deepEqual(
      grid()
        .at(0, slice(1, null, 2))
        .tolist(),
      [1, 3],
    );
    assert.deepEqual(grid().at(0, '5:9').tolist(), []);
    assert.deepEqual(grid().at(slice(1, 100)).tolist(), grid().at('1:').tolist());
  });

  it('an index out of range: the dimension and size of the tensor that was indexed', () => {
    fails('BAD_ARGUMENT', /index 9 .* dimension 1 with size 4/, () => grid().at(0, 9));
    fails('BAD_ARGUMENT', /index 9 .* dimension 1 with size 4/, () => grid().at(null, 0, 9));
    fails('BAD_ARGUMENT', /index 9 .* dimension 1 with size 4/, () => grid().at('...', 9));
    fails('BAD_ARGUMENT', /index 9 .* dimension 1 with size 4/, () => grid().at([0, 1], 9));
    fails('BAD_ARGUMENT', /index -5 .* dimension 0 with size 3/, () => grid().at(-5));
    fails('BAD_ARGUMENT', /whole number, not 0.5/, () => grid().at(0.5));
  });

  it('indices of a floating dtype: says how whole numbers are written, eagerly and compiled', () => {
    const wrong = tensor([0, 1]);
    for (const call of [
      (x: Tensor) => x.at(wrong),
      (x: Tensor) => x.index_select(0, wrong),
      (x: Tensor) => x.gather(0, wrong.expand([2, 2])),
      (x: Tensor) => torch.nn.functional.embedding(wrong, x.double()),
      (x: Tensor) => torch.nn.functional.cross_entropy(x.double(), tensor([0, 1, 2])),
      (x: Tensor) => x.index_fill(0, wrong, 1),
    ]) {
      if (call.toString().includes('index_fill')) fails('BAD_ARGUMENT', /int64/, () => call(grid()));
      else fails('BAD_ARGUMENT', /0n, 1n/, () => call(grid()));
      fails('BAD_ARGUMENT', /int64/, () => torch.compile(call)(grid()));
    }
  });

  it("null adds an axis, '...' stands for the rest", () => {
    assert.deepEqual([...grid().at(null).shape], [1, 3, 4]);
    assert.deepEqual([...grid().at('...', null).shape], [3, 4, 1]);
    assert.deepEqual([...grid().at(0, null, '...').shape], [1, 4]);
    assert.deepEqual(grid().at('...', 0).tolist(), [0, 4, 8]);
    assert.deepEqual([...torch.zeros(2, 3, 4, 5).at(0, '...', 1).shape], [3, 4]);
  });

  it('masks, index tensors, index arrays, mixed with slices', () => {
    const x = grid();
    assert.deepEqual(x.at(x.gt(8)).tolist(), [9, 10, 11]);
    assert.deepEqual(x.at([0, 2]).tolist(), [
      [0, 1, 2, 3],
      [8, 9, 10, 11],
    ]);
    assert.deepEqual(x.at([0, 2], [1, 3]).tolist(), [1, 11]);
    assert.deepEqual(x.at(tensor([[0n], [2n]]), [1, 3]).tolist(), [
      [1, 3],
      [9, 11],
    ]);
    assert.deepEqual(x.at('1:', [0, 0]).tolist(), [
      [4, 4],
      [8, 8],
    ]);
    assert.deepEqual(x.at([true, false, true], 0).tolist(), [0, 8]);
    assert.deepEqual([...torch.zeros(2, 3, 4).at(':', [0, 1, 2], ':').shape], [2, 3, 4]);
    assert.deepEqual(x.at(-1, [-1, 0]).tolist(), [11, 8]);
  });

  it('basic subscripts are views, advanced ones copies', () => {
    const x = grid();
    x.at('1:', 0).fill_(-1);
    assert.deepEqual(x.at(':', 0).tolist(), [0, -1, -1]);
    x.at(x.gt(8)).fill_(100);
    assert.equal(x.at(2, 3).item(), 11);
    x.at([0]).fill_(100);
    assert.equal(x.at(0, 0).item(), 0);
  });

  it('true and false', () => {
    assert.deepEqual([...grid().at(true).shape], [1, 3, 4]);
    assert.deepEqual([...grid().at(false).shape], [0, 3, 4]);
  });

  it('gradients flow through at', () => {
    const x = torch.ones(3, 4).requires_grad_(true);
    x.at('1:', [0, 0]).sum().backward();
    assert.deepEqual(x.grad!.at(':', 0).tolist(), [0, 2, 2]);
  });

  it('out of range, too many subscripts, two ellipses, negative steps, nonsense: named errors', () => {
    fails('BAD_ARGUMENT', /index 3 is out of range for dimension 0 with size 3/, () => grid().at(3));
    fails('BAD_ARGUMENT', /3 subscripts for a tensor with 2 dimensions/, () => grid().at(0, 0, 0));
    fails('BAD_ARGUMENT', /only one '\.\.\.'/, () => grid().at('...', '...'));
    fails('BAD_ARGUMENT', /flip/, () => grid().at('::-1'));
    fails('BAD_ARGUMENT', /flip/, () => slice(0, 3, -1));
    fails('BAD_ARGUMENT', /'1;3'/, () => grid().at('1;3'));
    fails('BAD_ARGUMENT', /./, () => grid().at(0.5));
    fails('BAD_ARGUMENT', /./, () => grid().at(undefined as never));
    fails('BAD_ARGUMENT', /./, () => grid().at([7, 8]));
    fails('BAD_ARGUMENT', /./, () => grid().at(tensor([true, false])));
    fails('BAD_ARGUMENT', /./, () => grid().at({} as never));
  });
});

describe('x.setAt', () => {
  it('numbers and tensors, broadcast, into views', () => {
    const x = grid();
    assert.equal(x.setAt(0, 7), x);
    x.setAt([1, '::2'], tensor([20n, 22n]));
    x.setAt(['...', 3], -1);
    assert.deepEqual(x.tolist(), [
      [7, 7, 7, -1],
      [20, 5, 22, -1],
      [8, 9, 10, -1],
    ]);
  });

  it('masks and index arrays', () => {
    const x = grid().float();
    x.setAt([x.gt(8)], 0);
    x.setAt(
      [
        [0, 1],
        [0, 1],
      ],
      tensor([5, 6]),
    );
    x.setAt(['1:', [0, 3]], 9);
    assert.deepEqual(x.tolist(), [
      [5, 1, 2, 3],
      [9, 6, 6, 9],
      [9, 0, 0, 9],
    ]);
  });

  it('values of another dtype are converted', () => {
    const x = torch.zeros(2, { dtype: 'int32' });
    x.setAt(0, 2.9);
    x.setAt([[1]], torch.tensor([3.7]));
    assert.deepEqual(x.tolist(), [2, 3]);
  });

  it('refuses values that do not fit and leaves the tensor', () => {
    const x = grid();
    fails('BAD_ARGUMENT', /./, () => x.setAt('1:', torch.zeros(3)));
    fails('BAD_ARGUMENT', /out of range/, () => x.setAt([0, 9], 1));
    assert.deepEqual(x.tolist(), grid().tolist());
  });

  it('writing into a leaf that requires grad is refused', () => {
    fails('BAD_ARGUMENT', /leaf/, () => torch.ones(2).requires_grad_(true).setAt(0, 1));
  });
});
