import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { close, refuses } from './python-check.js';

const { tensor } = torch;

describe('masked and signal.windows', () => {
  let x: torch.Tensor;
  let mask: torch.Tensor;
  before(() => {
    x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    mask = tensor([
      [true, false, true],
      [false, false, true],
    ]);
  });
  it('leave out masked elements', () => {
    close(torch.masked.sum(x, 1, { mask }), [4, 6]);
    close(torch.masked.mean(x, { dim: 1, mask }), [2, 6]);
    close(torch.masked.amax(x, 0, { mask }), [1, Number.NEGATIVE_INFINITY, 6]);
    close(torch.masked.prod(x, [0, 1], { mask }), 18);
    close(torch.masked.softmax(x, 1, { mask })[Symbol.iterator]().next().value, [
      1 / (1 + Math.exp(2)),
      0,
      1 / (1 + Math.exp(-2)),
    ]);
    close(torch.masked.median(x, 1, { mask }), [1, 6]);
    close(torch.masked.norm(x, 2, 1, { mask }), [Math.sqrt(10), 6]);
    close(torch.masked.var(x, 1, { mask, correction: 0 }), [1, 0]);
    close(torch.masked.std(x, 1, false, { mask }), [1, 0]);
    close(torch.masked.argmin(x, 1, { mask }), [0, 2]);
    close(torch.masked.cumsum(x, 1, { mask }), [
      [1, 1, 4],
      [0, 0, 6],
    ]);
    close(torch.masked.logsumexp(x, 1, { mask }), [Math.log(Math.exp(1) + Math.exp(3)), 6]);
    assert.equal(torch.masked.sum(tensor([true, true])).item(), 2);
  });
  it('make windows', () => {
    const { windows } = torch.signal;
    close(windows.hann(5), [0, 0.5, 1, 0.5, 0]);
    close(windows.hann(4, { sym: false }), [0, 0.5, 1, 0.5]);
    close(windows.bartlett(5), [0, 0.5, 1, 0.5, 0]);
    close(windows.cosine(2), [Math.SQRT1_2, Math.SQRT1_2]);
    close(windows.kaiser(3, { beta: 0 }), [1, 1, 1]);
    close(windows.gaussian(3), [Math.exp(-0.5), 1, Math.exp(-0.5)]);
    close(windows.exponential(3), [Math.exp(-1), 1, Math.exp(-1)]);
    assert.deepEqual(windows.hamming(0).shape, [0]);
    assert.equal(windows.blackman(3, { dtype: 'float64' }).dtype, 'float64');
    assert.ok(windows.nuttall(3, { requires_grad: true }).requires_grad);
    refuses(() => windows.hann(-1), /M must not be negative, got -1/);
    refuses(() => windows.general_cosine(3, { a: [] }), /coefficients must not be empty/);
    refuses(() => windows.kaiser(3, { dtype: 'int64' }), /dtype must be float32 or float64/);
  });
});
