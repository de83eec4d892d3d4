import assert from 'node:assert/strict';
import * as torch from '../../lib/index.js';
import { native } from '../../lib/runtime/load.js';
import { DEPRECATED, OVERLOADS } from '../../lib/torch/generated/resolution.js';
import { ATTRIBUTES, METHODS } from '../../lib/torch/generated/tensor-methods.js';

/** `aten::add.Tensor` of every schema that the loaded libtorch registers. */
const registered = (): Set<string> =>
  new Set(
    native()
      .schemas()
      .map((schema) => schema.slice(0, schema.indexOf('('))),
  );

describe('the generated API against the loaded libtorch', () => {
  it('names registered overloads only', () => {
    const known = registered();
    const missing = Object.entries(OVERLOADS).flatMap(([packet, order]) =>
      order
        .split(/[ :]/)
        .map((overload) => `aten::${packet}${overload === 'default' ? '' : `.${overload}`}`)
        .filter((name) => !known.has(name)),
    );
    assert.deepEqual(missing, []);
  });

  it('binds methods and attributes to registered operators', () => {
    const packets = new Set([...registered()].map((name) => name.split('.')[0]));
    assert.deepEqual(
      METHODS.filter((name) => !packets.has(`aten::${name}`)),
      [],
    );
    assert.deepEqual(
      Object.values(ATTRIBUTES).filter((packet) => !packets.has(packet)),
      [],
    );
    for (const name of Object.keys(DEPRECATED)) assert.ok(packets.has(`aten::${name}`), name);
  });

  it("orders overloads as Python's bindings do: tensors before numbers, integers before lists", () => {
    assert.equal(OVERLOADS.bitwise_and, 'Tensor:Tensor_out Scalar_Tensor Scalar:Scalar_out');
    assert.equal(OVERLOADS.pow, 'Tensor_Tensor:Tensor_Tensor_out Scalar:Scalar_out Tensor_Scalar:Tensor_Scalar_out');
    assert.equal(OVERLOADS.squeeze, 'default dim dims');
    assert.equal(OVERLOADS.max, 'default:unary_out other:out dim:dim_max');
  });

  it('has the functions, methods and namespaces of torch', () => {
    const x = torch.zeros(2, 2);
    const { sin, matmul, logsumexp, var: variance, where, conv2d, _softmax } = torch;
    for (const f of [sin, matmul, logsumexp, variance, where, conv2d, _softmax]) assert.equal(typeof f, 'function');
    for (const name of ['add_', 'clamp_min', 'masked_fill', 'requires_grad_', 'new_zeros'] as const)
      assert.equal(typeof x[name], 'function', name);
    assert.equal(typeof torch.linalg.inv, 'function');
    assert.equal(typeof torch.fft.rfft2, 'function');
    assert.equal(typeof torch.special.gammaln, 'function');
    assert.deepEqual(
      [x.T, x.mT, x.H].map((t) => t.shape),
      [
        [2, 2],
        [2, 2],
        [2, 2],
      ],
    );
    assert.ok(!('inv' in torch.special) && !('linalg_inv' in torch), 'namespaces do not leak');
  });

  it('gives formulas torch’s own names', () => {
    const x = torch.tensor([1, 2]);
    const w = torch.tensor([
      [1, 0],
      [0, 2],
    ]);
    assert.deepEqual(torch.expr`(2 * ${x} + ${x} ** 2) @ ${w}`.tolist(), [3, 16]);
    assert.deepEqual(torch.expr`where(${x} > 1.5, ${x}, -inf)`.tolist(), [Number.NEGATIVE_INFINITY, 2]);
    assert.equal(torch.expr`linalg.norm(${x}, ord=1)`.item(), 3);
    torch.expr`${w}[${w} == 0] = 7`;
    assert.deepEqual(w.tolist(), [
      [1, 7],
      [7, 2],
    ]);
    assert.equal(torch.expr`${torch.tensor([1, 2], { dtype: 'int64' })} * 2.0`.dtype, 'float32');
    assert.equal(torch.expr<number>`${w}.shape[-1]`, 2);
    assert.equal(torch.expr`sum(${w}, dtype=float64)`.dtype, 'float64');
    assert.deepEqual(torch.expr`max(${w}, dim=1).values`.tolist(), [7, 7]);
  });
});
