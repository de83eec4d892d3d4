/** @file Every form of every layer compiled with its backward, against PyTorch's numbers. */
import { checkCompiled, withParameters } from '../nn/layer-cases.js';

describe('stress: layers compiled', () => {
  for (const c of withParameters) it(`${c.name} ${JSON.stringify(c.kw)}`, () => checkCompiled(c));
});
