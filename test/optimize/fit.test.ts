/** @file The fits of examples/, compiled, against scikit-learn's stored optima. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCo2 } from '../../examples/lib/co2.js';
import * as co2 from '../../examples/lib/co2-model.js';
import { loadPenguins, negativeLogLikelihood, randomStart, xorshift } from '../../examples/lib/penguins.js';
import * as torch from '../../lib/index.js';

const read = <T>(name: string) => JSON.parse(readFileSync(join(__dirname, '../../../test/data', name), 'utf8')) as T;

describe('the fits of examples/', function () {
  this.timeout(300_000);

  it('a Gaussian process on Mauna Loa CO2 has scikit-learn’s likelihood and hyper-parameters', () => {
    const reference = read<{
      points: number;
      log_likelihood: number;
      log_likelihood_at_start: number;
      parameters: Record<string, number>;
    }>('co2-sklearn.json');
    const series = loadCo2();
    assert.equal(series.t.length, reference.points);
    const negative = co2.negativeLogLikelihood(series);
    const atStart = -negative(co2.startTensor()).item();
    assert.ok(Math.abs(atStart - reference.log_likelihood_at_start) < 1e-6, `${atStart} at the start`);

    const { x, fun, success, message } = torch.minimize(negative, co2.startTensor(), { options: { gtol: 1e-3 } });
    assert.ok(success, message);
    assert.ok(
      Math.abs(-fun - reference.log_likelihood) < 1e-6,
      `log-likelihood ${-fun}, expected ${reference.log_likelihood}`,
    );
    const found = x.exp().tolist() as number[];
    Object.keys(co2.start).forEach((name, i) => {
      const expected = reference.parameters[name]!;
      assert.ok(Math.abs(found[i]! / expected - 1) < 1e-3, `${name}: ${found[i]}, expected ${expected}`);
    });
  });

  it('three Gaussians on the penguins have scikit-learn’s likelihood and means', () => {
    const reference = read<{ log_likelihood: number; weights: number[]; means: [number, number][] }>(
      'penguins-sklearn.json',
    );
    const penguins = loadPenguins();
    const negative = negativeLogLikelihood(penguins);
    const random = xorshift(2463534242);
    const searches = Array.from({ length: 4 }, () =>
      torch.minimize(negative, randomStart(penguins, random), { options: { maxiter: 200 } }),
    );
    const { x, fun } = searches.filter(({ success }) => success).reduce((a, b) => (b.fun < a.fun ? b : a));
    assert.ok(
      Math.abs(-fun - reference.log_likelihood) < 1e-6,
      `log-likelihood ${-fun}, expected ${reference.log_likelihood}`,
    );
    const rows = x.tolist() as number[][];
    const weights = torch.softmax(x.select(0, 0), 0).tolist() as number[];
    const order = [0, 1, 2].sort((a, b) => rows[1]![a]! - rows[1]![b]!);
    order.forEach((k, i) => {
      assert.ok(Math.abs(weights[k]! - reference.weights[i]!) < 1e-4);
      assert.ok(Math.abs(rows[1]![k]! - reference.means[i]![0]) < 1e-4);
      assert.ok(Math.abs(rows[2]![k]! - reference.means[i]![1]) < 1e-4);
    });
  });
});
