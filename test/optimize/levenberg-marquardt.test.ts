/** @file Levenberg–Marquardt on the problems of Moré, Garbow & Hillstrom, against SciPy's MINPACK. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { levenbergMarquardt } from '../../lib/optimize/levenberg-marquardt.js';
import { jacobian } from './jets.js';
import { problems } from './mgh.js';

interface Reference {
  readonly problems: Record<string, { readonly lm: { readonly fun: number; readonly nfev: number } }>;
}
const data = join(__dirname, '../../../test/data/mgh-scipy.json');
const reference = JSON.parse(readFileSync(data, 'utf8')) as Reference;

describe('Levenberg–Marquardt', () => {
  it('reaches a published minimum of every problem, with at most 1.1 times MINPACK’s evaluations (median)', () => {
    const ratios = problems.map(({ name, x0, residuals, minima }) => {
      const linearise = (x: Float64Array) => {
        const { r, J } = jacobian(residuals, x);
        return { r, jacobian: () => J };
      };
      const core = levenbergMarquardt(linearise, Float64Array.from(x0));
      let step = core.next();
      while (!step.done) step = core.next();
      const { cost, nfev, status } = step.value;
      assert.ok(status > 0, `${name}: status ${status}`);
      assert.ok(
        minima.some((m) => Math.abs(2 * cost - m) <= 1e-4 * m + 1e-12),
        `${name}: ${2 * cost}`,
      );
      return nfev / reference.problems[name]!.lm.nfev;
    });
    const middle = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)]!;
    assert.ok(middle <= 1.1, `median ratio of evaluations ${middle}`);
  });
});
