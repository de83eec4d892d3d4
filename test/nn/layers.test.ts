/** @file Every layer against PyTorch: names and initial values of its state, text, forward, gradients, running statistics. */
import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { cases, checkCompiled, compiledSlice, inputsFor, lossOf, make, near, outputsOf } from './layer-cases.js';

describe('nn: layers against PyTorch', () => {
  for (const c of cases) {
    const title = `${c.name}(${[...c.args.map((a) => JSON.stringify(a)), ...(Object.keys(c.kw).length ? [JSON.stringify(c.kw)] : [])].join(', ')})`;
    it(title, () => {
      torch.manual_seed(11);
      const layer = make(c);
      assert.equal(String(layer), c.repr);
      const state = layer.state_dict();
      assert.deepEqual(Object.keys(state), Object.keys(c.initial), 'state_dict names');
      for (const [name, [shape, sum]] of Object.entries(c.initial)) {
        assert.deepEqual([...state[name]!.shape], shape, name);
        near(state[name]!.to('float64').sum(), [sum], `initial ${name}`);
      }
      layer.train(c.mode === 'train');
      const inputs = inputsFor(c);
      const outputs = outputsOf(layer, inputs, c.call);
      assert.equal(outputs.length, c.outputs.length, 'number of outputs');
      outputs.forEach((o, i) => {
        assert.deepEqual([...o.shape], c.outputs[i]!.shape, `output ${i}`);
        assert.equal(o.dtype, c.outputs[i]!.dtype);
        near(o, c.outputs[i]!.data, `output ${i}`);
      });
      lossOf(outputs)?.backward();
      inputs.forEach((x, i) => {
        const want = c.grads[i]!;
        assert.equal(x.grad === null, want === null, `grad of input ${i}`);
        if (want !== null) near(x.grad!, want, `grad of input ${i}`);
      });
      for (const [name, p] of layer.named_parameters()) {
        const want = c.parameters[name]!;
        assert.equal(p.grad === null, want === null, `grad of ${name}`);
        if (want !== null) near(p.grad!, want, `grad of ${name}`);
      }
      for (const [name, buffer] of layer.named_buffers()) near(buffer, c.buffers[name]!, name);
    });
  }

  // Every layer in one form; compiling all forms of all takes minutes: test/stress/layers.stress.ts.
  for (const c of compiledSlice())
    it(`${c.name} ${JSON.stringify(c.kw)}, compiled: forward, gradients and running statistics in one program`, () =>
      checkCompiled(c));
});
