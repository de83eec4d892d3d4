/** @file no_grad, enable_grad, inference_mode, autocast: synchronous, restored on throws. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import * as torch from '../../lib/index.js';
import { fails } from '../support/fails.js';

const { ones } = torch;

describe('modes', () => {
  it('no_grad records nothing, enable_grad inside it does', () => {
    const w = ones(2).requires_grad_(true);
    torch.no_grad(() => {
      assert.equal(torch.is_grad_enabled(), false);
      assert.equal(w.mul(2).requires_grad, false);
      assert.equal(torch.enable_grad(() => w.mul(2)).requires_grad, true);
      assert.equal(torch.is_grad_enabled(), false);
    });
    assert.equal(torch.is_grad_enabled(), true);
    assert.equal(w.mul(2).requires_grad, true);
    assert.equal(torch.set_grad_enabled(false, () => w.mul(2)).requires_grad, false);
  });

  it('a throw restores the mode', () => {
    for (const mode of [torch.no_grad, torch.inference_mode, (fn: () => unknown) => torch.autocast({}, fn)] as ((
      fn: () => unknown,
    ) => unknown)[])
      assert.throws(
        () =>
          mode(() => {
            throw new Error('out');
          }),
        /out/,
      );
    assert.equal(torch.is_grad_enabled(), true);
    assert.equal(ones(2, 2).mm(ones(2, 2)).dtype, 'float32');
    const w = ones(2).requires_grad_(true);
    w.mul(2).sum().backward();
    assert.deepEqual(w.grad!.tolist(), [2, 2]);
  });

  it('an async function is refused: a mode holds for synchronous code', () => {
    for (const mode of [torch.no_grad, torch.enable_grad, torch.inference_mode] as ((fn: () => unknown) => unknown)[])
      fails('BAD_ARGUMENT', /promise|synchronous/, () => mode(async () => 1));
    fails('BAD_ARGUMENT', /promise|synchronous/, () => torch.autocast({}, async () => 1));
    assert.equal(torch.is_grad_enabled(), true);
  });

  it('what is no function is refused with the form to write', () => {
    fails('BAD_ARGUMENT', /no_grad\(\(\) => …\)/, () => torch.no_grad(undefined as never));
    fails('BAD_ARGUMENT', /inference_mode/, () => torch.inference_mode(3 as never));
  });

  it('inference_mode makes tensors that autograd refuses', () => {
    const x = torch.inference_mode(() => ones(2));
    fails('BAD_ARGUMENT', /[Ii]nference/, () => x.requires_grad_(true).mul(2).mul(x));
  });

  it('autocast computes matrix products in bfloat16', () => {
    const x = ones(2, 2);
    assert.equal(torch.autocast({}, () => x.mm(x)).dtype, 'bfloat16');
    assert.equal(torch.autocast({ dtype: 'float16' }, () => x.mm(x)).dtype, 'float16');
    assert.equal(torch.autocast({ enabled: false }, () => x.mm(x)).dtype, 'float32');
    assert.equal(x.mm(x).dtype, 'float32');
  });

  it('the result of a mode is the function’s', () => {
    assert.equal(
      torch.no_grad(() => 'text'),
      'text',
    );
  });

  it('set_num_threads', () => {
    const before = torch.get_num_threads();
    torch.set_num_threads(1);
    assert.equal(torch.get_num_threads(), 1);
    torch.set_num_threads(before);
    fails('BAD_ARGUMENT', /./, () => torch.set_num_threads(0));
  });
});

describe('the default generator', () => {
  it('get_rng_state, set_rng_state: draws the same again; seed() seeds anew', () => {
    const state = torch.get_rng_state();
    const drawn = torch.rand(3).tolist();
    torch.set_rng_state(state);
    assert.deepEqual(torch.rand(3).tolist(), drawn);
    assert.equal(torch.seed(), torch.initial_seed());
    const own = new torch.Generator();
    assert.equal(own.seed(), own.initial_seed());
    assert.match(inspect(own.manual_seed(5)), /initial_seed=5/);
    fails('BAD_ARGUMENT', /whole number.*not 1.5/, () => torch.manual_seed(1.5));
    fails('BAD_ARGUMENT', /not NaN/, () => own.manual_seed(Number.NaN));
    fails('BAD_ARGUMENT', /uint8 tensor/, () => torch.set_rng_state(3 as never));
  });
});
