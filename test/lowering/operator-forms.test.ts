/** @file Overloads that only direct calls reach: operators by their Python names, scalar forms, fused parts of layers. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, sample } from './table.js';

const { aten } = torch.ops;
type Call = (...args: unknown[]) => Tensor & Tensor[];
const overload = (name: string, kind = 'default'): Call =>
  (aten as unknown as Record<string, Record<string, Call>>)[name]![kind]!;

describe('lowering: operator forms', () => {
  it('<< and >> by tensors and numbers, beyond the width too', () => {
    const by = torch.tensor([0, 1, 5, 31, 33, -1], { dtype: 'int32' });
    const x = torch.tensor([3, -7, 100, 1, -1, 9], { dtype: 'int32' });
    for (const name of ['__lshift__', '__rshift__']) {
      agree(`${name}.Tensor`, (a, n) => overload(name, 'Tensor')(a, n), [x, by]);
      for (const n of [0, 3, 40]) agree(`${name}.Scalar ${n}`, (a) => overload(name, 'Scalar')(a, n), [x]);
    }
  });

  it('isin with a number on either side', () => {
    for (const x of [torch.tensor([1, 2, Number.NaN]), torch.tensor([[1, 2, 3]], { dtype: 'int64' })])
      for (const n of [2, 2.5, 7])
        for (const invert of [false, true]) {
          agree(`in ${n}`, (a) => overload('isin', 'Tensor_Scalar')(a, n, { invert }), [x]);
          agree(`${n} in`, (a) => overload('isin', 'Scalar_Tensor')(n, a, { invert }), [x]);
        }
  });

  it('_aminmax', () => {
    const x = sample([3, 4]);
    agree('of all', (a) => [...overload('_aminmax')(a)], [x]);
    for (const keepdim of [false, true]) agree('along', (a) => [...overload('_aminmax', 'dim')(a, -1, keepdim)], [x]);
  });

  it('_weight_norm_interface and its backward', () => {
    for (const [dim, shape] of [
      [0, [3, 1, 1]],
      [2, [1, 1, 4]],
    ] as const) {
      const [v, g, grad] = [sample([3, 2, 4]), sample([...shape]), sample([3, 2, 4])];
      const forward = overload('_weight_norm_interface');
      const backward = overload('_weight_norm_interface_backward');
      agree('forward', (a, s) => [...forward(a, s, dim)], [v, g]);
      agree('of 16 bits', (a, s) => [...forward(a, s, dim)], [v.to('bfloat16'), g.to('bfloat16')], {
        rtol: 0.02,
        atol: 0.02,
      });
      agree('backward', (d, a, s, n) => [...backward(d, a, s, n, dim)], [grad, v, g, forward(v, g, dim)[1]!]);
    }
  });
});
