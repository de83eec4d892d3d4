/** @file Row 12, the long form: random functions, eager against compiled; what differs is made small and belongs into test/compile/random-graphs.json. */
import fc from 'fast-check';
import { figure } from '../support/figure.js';
import { checkGraph, graphs } from '../support/random-graphs.js';

/** All take an hour or more of one core; JORCH_GRAPHS asks for fewer. */
const GRAPHS = Number(process.env['JORCH_GRAPHS'] ?? 5000);

describe('stress: random graphs', () => {
  it(`row 12: ${GRAPHS} random functions with views, writes, mixed types and gradients: compiled is eager`, () => {
    const seed = Number(process.env['JORCH_SEED'] ?? Math.floor(Date.now() / 86_400_000));
    fc.assert(fc.property(graphs(20), checkGraph), { seed, numRuns: GRAPHS });
    figure(12, `random graphs, seed ${seed}: ${GRAPHS} of ${GRAPHS} equal`);
  });
});
