/** @file customVjp and customJvp: the given rule is used at every level, and only the rule. */
import assert from 'node:assert/strict';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { collectGarbage } from '../../lib/runtime/load.js';
import { close } from '../support/close.js';
import { fails } from '../support/fails.js';

const { compile, customJvp, customVjp, func } = torch;
const TIGHT = { rtol: 1e-12, atol: 1e-12 };
const x = torch.tensor([0.5, -1, 2], { dtype: 'float64' });

describe('customVjp', () => {
  // Rounding has derivative zero; the rule says: as if it were t².
  const round = customVjp(
    (t: Tensor) => t.round(),
    (t: Tensor) => [t.round(), [t]],
    ([t]: [Tensor], g: Tensor) => [g.mul(t).mul(2)],
  );
  const loss = (t: Tensor): Tensor => round(t).sum();

  it('gives its value and its own gradient, by torch.autograd and by func.grad', () => {
    const leaf = x.clone().requires_grad_(true);
    const y = round(leaf);
    close(y.detach(), x.round(), TIGHT);
    y.sum().backward();
    close(leaf.grad!, x.mul(2), TIGHT);
    close(func.grad(loss)(x), x.mul(2), TIGHT);
  });
  it('holds for every level: the second derivative is that of the rule, the first of an inner level too', () => {
    close(func.jacrev(func.grad(loss))(x), torch.eye(3, { dtype: 'float64' }).mul(2), TIGHT);
    // The outer level differentiates the value of the inner function, which is the rounding again.
    const both = (t: Tensor): Tensor => func.grad_and_value(loss)(t)[1];
    close(func.grad(both)(x), x.mul(2), TIGHT);
  });
  it('under vmap, of vmap and compiled', () => {
    const batch = torch.stack([x, x.mul(3)]);
    close(func.vmap(func.grad(loss))(batch), batch.mul(2), TIGHT);
    close(func.grad((t: Tensor) => func.vmap(round)(t).sum())(batch), batch.mul(2), TIGHT);
    close(compile(func.grad(loss))(x), x.mul(2), TIGHT);
    close(
      func.grad((a: Tensor) =>
        func
          .vmap((b: Tensor) => round(a).dot(b))(batch)
          .sum(),
      )(x),
      x.mul(2).mul(batch.sum(0)),
      TIGHT,
    );
  });
  it('refuses forward mode and backward functions that do not fit', () => {
    fails('BAD_ARGUMENT', /customJvp/, () => func.jvp(round, [x], [x]));
    const wrong = customVjp(
      (t: Tensor) => t,
      (t: Tensor) => [t, []],
      () => [],
    );
    fails('BAD_ARGUMENT', /one gradient for each of the 1 arguments/, () =>
      func.grad((t: Tensor) => wrong(t).sum())(x),
    );
  });
  it('does not keep anything alive', () => {
    // A quarter GiB and more in a synchronous loop: a cycle of references would keep all of it.
    collectGarbage();
    const before = torch.memory().bytes; // of other tests
    let most = 0;
    for (let i = 0; i < 64; i++) {
      round(torch.zeros([1 << 19], { dtype: 'float64' }).requires_grad_(true))
        .sum()
        .backward();
      most = Math.max(most, torch.memory().bytes - before);
    }
    assert.ok(most < 200 * 2 ** 20, `${most / 2 ** 20} MiB alive`);
  });
});

describe('customJvp', () => {
  // The derivative of exp, doubled, so that it shows where the rule was used.
  const exp2 = customJvp(
    (t: Tensor) => t.exp(),
    ([t], [v]) => [t.exp(), v.mul(t.exp()).mul(2)],
  );
  const expected = x.exp().mul(2);
  it('forward, reverse and second derivatives', () => {
    close(func.jvp(exp2, [x], [torch.ones_like(x)])[1], expected, TIGHT);
    close(func.grad((t: Tensor) => exp2(t).sum())(x), expected, TIGHT);
    close(func.hessian((t: Tensor) => exp2(t).sum())(x), torch.diag(expected), TIGHT);
    const leaf = x.clone().requires_grad_(true);
    exp2(leaf).sum().backward();
    close(leaf.grad!, expected, TIGHT);
  });
  it('under vmap, of vmap and compiled', () => {
    const batch = torch.stack([x, x.mul(0.5)]);
    const grad = func.grad((t: Tensor) => exp2(t).sum());
    close(func.vmap(grad)(batch), batch.exp().mul(2), TIGHT);
    close(func.grad((t: Tensor) => func.vmap(exp2)(t).sum())(batch), batch.exp().mul(2), TIGHT);
    close(compile(grad)(x), expected, TIGHT);
    close(compile((t: Tensor) => func.jvp(exp2, [t], [torch.ones_like(t)])[1])(x), expected, TIGHT);
  });
});
