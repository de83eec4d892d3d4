/** @file The hard cases for a recorder (prototypes/battery.cc and recorder.cc): compiled must equal eager in everything. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { agree, agreeOn } from '../support/agree.js';

const { autograd } = torch;
const F = torch.nn.functional;
const randn = (...shape: number[]): Tensor => torch.randn(shape, { generator: new torch.Generator().manual_seed(7) });
const positive = (n: number): Tensor => {
  const a = randn(n, n);
  return a.matmul(a.t()).add(torch.eye(n).mul(n));
};
const leaf = (t: Tensor): Tensor => t.detach().clone().requires_grad_(true);

describe('trace: in-place operators and views', () => {
  it('writes through a select and a transposed select of a clone', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        y.select(0, 1).mul_(10);
        y.t().select(0, 0).add_(1);
        return y;
      },
      randn(3, 4),
    );
  });

  it('writes through a view of a view of a view', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        y.narrow(0, 1, 2).transpose(0, 1).at('1:3').fill_(5);
        return [y, y.t()];
      },
      randn(3, 4),
    );
  });

  it('sees a write to the base in a view that was taken before', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        const row = y.select(0, 0);
        y.mul_(2);
        row.add_(1);
        return [row, y, row.sum()];
      },
      randn(3, 4),
    );
  });

  it('sees a write to one view in an overlapping one', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        const a = y.at('0:2');
        const b = y.at('1:3');
        a.add_(10);
        b.mul_(2);
        return [a, b, y];
      },
      randn(3, 4),
    );
  });

  it('does not alias what reshape had to copy', () => {
    agreeOn(
      (x: Tensor) => {
        const t = x.t().add(1);
        const y = t.reshape([-1]);
        y.add_(1);
        return [t, y];
      },
      torch.zeros(2, 3),
    );
    agreeOn(
      (x: Tensor) => {
        const t = x.t();
        const y = t.reshape([-1]);
        y.add_(1);
        return [t, y];
      },
      torch.zeros(2, 3),
    );
  });

  it('does alias what reshape could view', () => {
    agreeOn(
      (x: Tensor) => {
        const t = x.add(1);
        t.reshape([-1]).add_(1);
        return t;
      },
      torch.zeros(2, 3),
    );
  });

  it('contiguous() aliases a contiguous tensor and copies another one', () => {
    agreeOn(
      (x: Tensor) => {
        const t = x.add(0);
        t.contiguous().add_(1);
        const u = x.t().add(0);
        u.contiguous().add_(1);
        return [t, u];
      },
      randn(2, 3),
    );
  });

  it('diagonal, unfold, as_strided, squeeze, unsqueeze, expand, view, permute, movedim, split, chunk, unbind are views', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        y.diagonal().fill_(9);
        y.unfold(1, 2, 2).select(1, 0).add_(1);
        y.as_strided([2, 2], [4, 1], 1).mul_(3);
        y.unsqueeze(0).squeeze(0).view(-1).at('::5').sub_(1);
        y.permute(1, 0).movedim(0, 1).select(1, 3).neg_();
        const [, second] = y.split(2);
        second!.mul_(0.5);
        const [, , , last] = y.chunk(4, 1);
        last!.add_(100);
        const [first] = y.unbind();
        first!.exp_();
        return [y, y.select(0, 0).expand([3, 4])];
      },
      randn(4, 4),
    );
  });

  it('in-place operators with broadcasting, another dtype and a scalar', () => {
    agreeOn(
      (x: Tensor, y: Tensor) => {
        const z = x.clone();
        z.add_(y, { alpha: 2 })
          .mul_(torch.tensor(2, { dtype: 'float64' }))
          .div_(3)
          .sub_(y.to('int32'));
        z.clamp_(-1, 2)
          .pow_(2)
          .sqrt_()
          .add_(torch.ones(4, { dtype: 'bool' }));
        return z;
      },
      randn(3, 4),
      randn(4),
    );
  });

  it('copy_ broadcasts and converts', () => {
    agreeOn(
      (x: Tensor, y: Tensor) => {
        const z = x.clone();
        z.copy_(y);
        z.select(0, 1).copy_(torch.tensor([1, 2, 3, 4], { dtype: 'int64' }));
        return z;
      },
      randn(3, 4),
      randn(1, 4).double(),
    );
  });

  it('squeeze_, unsqueeze_, t_, transpose_ and swapaxes_ change shape and strides of the very tensor', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        y.unsqueeze_(0);
        y.squeeze_(0);
        y.t_();
        y.transpose_(0, 1);
        const z = x.clone();
        z.t_();
        return [y, z];
      },
      randn(2, 3),
    );
  });

  it('fill_diagonal_, put_, index_fill_, masked_fill_, masked_scatter_, scatter_, scatter_add_, index_add_, index_copy_', () => {
    agreeOn(
      (x: Tensor) => {
        const i = torch.tensor([2n, 0n]);
        const y = x.clone();
        y.fill_diagonal_(3);
        y.put_(torch.tensor([1n, 5n]), torch.tensor([7, 8]));
        y.index_fill_(0, i, -1);
        y.masked_fill_(y.gt(0.5), 0.5);
        const z = x.clone();
        z.scatter_(1, torch.tensor([[0n, 1n, 2n]]), 4);
        z.scatter_add_(0, torch.tensor([[0n, 0n, 1n]]), torch.ones(1, 3));
        z.index_add_(0, i, torch.ones(2, 3));
        z.index_copy_(1, i, torch.zeros(3, 2));
        z.masked_scatter_(z.gt(0), z.clone());
        return [y, z];
      },
      randn(3, 3),
    );
  });

  it('index_put_ with a mask, an index, a broadcast value and accumulation', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        y.setAt([y.gt(0)], 0);
        y.setAt([torch.tensor([0n, 2n]), '1:3'], torch.tensor([5, 6]));
        y.setAt(['...', [0, 1]], 2);
        y.index_put_([torch.tensor([1n, 1n])], torch.ones(4), true);
        return y;
      },
      randn(3, 4),
    );
  });

  it('cumsum_, lerp_, addcmul_, addcdiv_, addmm_, baddbmm_, relu_, sigmoid_, tanh_', () => {
    agreeOn(
      (x: Tensor) => {
        const y = x.clone();
        y.cumsum_(0)
          .lerp_(x, 0.3)
          .addcmul_(x, x, { value: 0.5 })
          .addcdiv_(x, x.abs().add(1))
          .addmm_(x, x, { beta: 0.5 });
        y.relu_().sigmoid_().tanh_();
        const z = y.reshape([1, 3, 3]).clone();
        z.baddbmm_(z.clone(), z.clone());
        return [y, z];
      },
      randn(3, 3),
    );
  });

  it('resize_ and set_ on tensors of the trace', () => {
    agreeOn((x: Tensor) => {
      const y = x.clone();
      y.resize_([2, 2]);
      return y;
    }, randn(6));
  });

  it('out= writes into a tensor, a view, and resizes an empty one', () => {
    agreeOn(
      (x: Tensor) => {
        const out = torch.zeros(3, 4);
        torch.sin(x, { out });
        const half = torch.zeros(6, 4);
        torch.add(x, 1, { out: half.at('3:') });
        const empty = torch.empty(0);
        torch.mul(x, 2, { out: empty });
        return [out, half, empty];
      },
      randn(3, 4),
    );
  });

  it('out= of several results', () => {
    agreeOn(
      (x: Tensor) => {
        const values = torch.zeros(3);
        const indices = torch.zeros(3, { dtype: 'int64' });
        torch.max(x, 1, { out: [values, indices] });
        return [values, indices];
      },
      randn(3, 4),
    );
  });

  it('_foreach operators, in place and not', () => {
    agreeOn(
      (x: Tensor, y: Tensor) => {
        const a = [x.clone(), y.clone()];
        torch._foreach_add_(a, [x, y], { alpha: -0.1 });
        torch._foreach_addcdiv_(a, [x, y], [x.abs().add(1), y.abs().add(1)], 1);
        torch._foreach_mul_(a, 2);
        return [...a, ...torch._foreach_add(a, a), ...torch._foreach_norm(a)];
      },
      randn(3),
      randn(2, 2),
    );
  });

  it('_fused_adam_', () => {
    agree(() => {
      const [w, g, m, v, s] = [randn(3), randn(3), torch.zeros(3), torch.zeros(3), torch.ones([])];
      return {
        f: (w: Tensor, g: Tensor, m: Tensor, v: Tensor, s: Tensor) => {
          torch._fused_adam_([w], [g], [m], [v], [], [s], {
            lr: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            weight_decay: 0,
            eps: 1e-8,
            amsgrad: false,
            maximize: false,
          });
          return w.sum();
        },
        args: [w, g, m, v, s],
      };
    });
  });

  it('set_data gives a tensor the memory of another one', () => {
    agreeOn(
      (x: Tensor, y: Tensor) => {
        const a = x.clone();
        const b = y.clone();
        a.data = b;
        a.add_(1);
        return [a, b];
      },
      randn(3),
      randn(3),
    );
  });

  it('writes through .data without autograd seeing it', () => {
    agreeOn((x: Tensor) => {
      const w = x.detach().clone().requires_grad_(true);
      w.data.mul_(2);
      const [g] = autograd.grad(w.square().sum(), w);
      return [w.detach(), g];
    }, randn(3));
  });
});

describe('trace: arguments and captured tensors that the function writes to', () => {
  it('an argument, an argument’s view, and the argument returned', () => {
    agreeOn((x: Tensor) => {
      x.add_(1);
      return x;
    }, randn(3));
    agreeOn(
      (x: Tensor) => {
        x.select(0, 1).zero_();
        x.t().at(0).mul_(3);
        return x.sum();
      },
      randn(3, 4),
    );
  });

  it('an argument with strides of its own', () => {
    agree(() => {
      const base = randn(3, 4);
      return {
        f: (x: Tensor) => {
          x.mul_(2);
          x.at(0).add_(1);
          return x.add(1);
        },
        args: [base.t()],
        captured: [base],
      };
    });
  });

  it('an argument that is a view: the base changes too', () => {
    agree(() => {
      const base = torch.arange(12, { dtype: 'float32' }).reshape([3, 4]);
      return {
        f: (row: Tensor) => {
          row.mul_(-1);
          return row.sum();
        },
        args: [base.at('1:3', '::2')],
        captured: [base],
      };
    });
  });

  it('a captured tensor, through a view', () => {
    agree(() => {
      const w = randn(3, 4);
      return {
        f: (x: Tensor) => {
          w.at('1:').add_(x);
          return w.mul(x);
        },
        args: [randn(4)],
        captured: [w],
      };
    });
  });

  it('a captured counter', () => {
    agree(
      () => {
        const n = torch.zeros([], { dtype: 'int64' });
        return {
          f: (x: Tensor) => {
            n.add_(1);
            return x.mul(n);
          },
          args: [randn(3)],
          captured: [n],
        };
      },
      { calls: 5 },
    );
  });

  it('two arguments swapped', () => {
    agree(() => ({
      f: (a: Tensor, b: Tensor) => {
        const t = a.clone();
        a.copy_(b);
        b.copy_(t);
      },
      args: [randn(3), torch.ones(3)],
    }));
  });

  it('the same tensor as two arguments', () => {
    agree(() => {
      const x = randn(3);
      return {
        f: (a: Tensor, b: Tensor) => {
          a.add_(1);
          return a.mul(b);
        },
        args: [x, x],
      };
    });
  });

  it('batch_norm’s running statistics, captured', () => {
    agree(
      () => {
        const mean = torch.zeros(3);
        const variance = torch.ones(3);
        return {
          f: (x: Tensor) => F.batch_norm(x, mean, variance, { training: true, momentum: 0.1 }),
          args: [randn(4, 3, 5)],
          captured: [mean, variance],
        };
      },
      { calls: 3 },
    );
  });
});

describe('trace: types and scalars', () => {
  const zeroDim = (dtype: torch.Tensor['dtype']): Tensor => torch.ones([], { dtype });

  it('a number does not promote a 0-d tensor', () => {
    agreeOn((x: Tensor) => x.mul(2.5), zeroDim('float16'));
    agreeOn((x: Tensor) => x.mul(3), zeroDim('int8'));
    agreeOn((x: Tensor) => x.add(2.5), torch.ones(2, { dtype: 'int32' }));
  });

  it('pow, where and maximum with numbers', () => {
    agreeOn((x: Tensor) => torch.pow(2.5, x), zeroDim('float16'));
    agreeOn((x: Tensor) => torch.where(x.gt(0), x, 2.5), zeroDim('float16'));
    agreeOn((x: Tensor) => torch.where(x.gt(0), 1, 0), randn(3));
    agreeOn((x: Tensor) => torch.where(x.gt(0), 1n, 0n), randn(3));
  });

  it('0-d and 1-d tensors of other dtypes', () => {
    agreeOn((x: Tensor) => x.add(torch.scalar_tensor(2, { dtype: 'float64' })), randn(3));
    agreeOn((x: Tensor) => x.add(torch.ones(3, { dtype: 'float64' })), randn(3));
    agreeOn(
      (x: Tensor) => [x.div(2), x.floor_divide(2), x.mean({ dtype: 'float64' }), x.sum()],
      torch.arange(6, { dtype: 'int32' }),
    );
  });

  it('Scalar.float(2) promotes an integer tensor where 2 does not', () => {
    agreeOn((x: Tensor) => [x.mul(2), x.mul(torch.Scalar.float(2))], torch.arange(4));
  });

  it('bool, int64 and uint8 arithmetic', () => {
    agreeOn(
      (x: Tensor) => [x.logical_not(), x.bitwise_and(true), x.sum(), x.add(1), x.to('uint8').mul(255).add(1)],
      torch.tensor([true, false, true]),
    );
    agreeOn(
      (x: Tensor) => [x.remainder(3), x.fmod(3), x.bitwise_xor(5), x.bitwise_left_shift(2), x.neg().abs()],
      torch.arange(-4, 5),
    );
  });

  it('a function of integers beyond 2^53', () => {
    agreeOn((x: Tensor) => x.add(9007199254740993n).mul(1), torch.tensor([1n, 2n]));
  });

  it('NaN and infinities keep their ways through maximum, minimum, clamp, relu, sort, max', () => {
    const x = torch.tensor([1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]);
    agreeOn(
      (x: Tensor) => [
        x.maximum(torch.zeros(5)),
        x.minimum(torch.zeros(5)),
        x.clamp(-1, 1),
        x.relu(),
        x.nan_to_num(),
        x.isnan(),
        x.max(),
        x.fmax(torch.zeros(5)),
        x.argmax(),
      ],
      x,
    );
  });

  it('complex: conj, imag of conj, matmul and its gradient', () => {
    agreeOn(
      (x: Tensor) => {
        const z = torch.complex(x, x.mul(2)).requires_grad_(true);
        const c = z.conj();
        const y = torch.matmul(c.transpose(0, 1), z);
        const loss = torch.real(y).sum().add(torch.imag(c).sum());
        const [g] = autograd.grad(loss, z);
        return [y.detach().resolve_conj(), g!.resolve_conj(), torch.view_as_real(z.detach())];
      },
      randn(3, 3),
    );
  });
});

describe('trace: networks and their gradients', () => {
  /** f's value and its gradients with respect to every argument. */
  const withGrads =
    (f: (...args: Tensor[]) => Tensor) =>
    (...args: Tensor[]): Tensor[] => {
      const leaves = args.map((a) => a.detach().requires_grad_(true));
      const y = f(...leaves);
      return [
        y.detach(),
        ...autograd.grad(y.mul(torch.linspace(0.5, 1.5, y.numel()).reshape([...y.shape])).sum(), leaves),
      ];
    };
  const loose = { rtol: 1e-4, atol: 1e-4 };

  it('conv2d + max_pool2d', () => {
    agree(
      () => ({
        f: withGrads((x, w) => F.max_pool2d(F.conv2d(x, w!), 2)),
        args: [randn(2, 2, 8, 8), randn(4, 2, 3, 3)],
      }),
      loose,
    );
  });

  it('conv1d with stride, padding, dilation, groups; conv_transpose2d; avg_pool2d', () => {
    agree(
      () => ({
        f: withGrads((x, w, b) => F.conv1d(x, w!, b!, { stride: 2, padding: 1, dilation: 2, groups: 2 })),
        args: [randn(1, 4, 9), randn(4, 2, 3), randn(4)],
      }),
      loose,
    );
    agree(
      () => ({
        f: withGrads((x, w) => F.avg_pool2d(F.conv_transpose2d(x, w!, { stride: 2 }), 2)),
        args: [randn(1, 2, 4, 4), randn(2, 3, 2, 2)],
      }),
      loose,
    );
  });

  it('batch_norm in training', () => {
    agree(
      () => ({
        f: withGrads((x, w, b) => F.batch_norm(x, null, null, { weight: w!, bias: b!, training: true })),
        args: [randn(2, 3, 4), randn(3), randn(3)],
      }),
      loose,
    );
  });

  it('layer_norm, group_norm, gelu, silu, softmax, log_softmax', () => {
    agree(
      () => ({
        f: withGrads((x, w, b) =>
          torch.log_softmax(F.silu(F.gelu(F.layer_norm(x, [4], w!, b!))), 1).add(torch.softmax(F.group_norm(x, 2), 0)),
        ),
        args: [randn(3, 4), randn(4), randn(4)],
      }),
      loose,
    );
  });

  it('scaled_dot_product_attention, causal', () => {
    agree(
      () => ({
        f: withGrads((q, k, v) => F.scaled_dot_product_attention(q, k!, v!, { is_causal: true })),
        args: [randn(1, 2, 4, 8), randn(1, 2, 4, 8).mul(2), randn(1, 2, 4, 8).add(1)],
      }),
      { ...loose, strides: false }, // eager's kernel for CPUs lays its gradients out by sequence, then head
    );
  });

  it('embedding + layer_norm + cross_entropy', () => {
    const i = torch.tensor([1n, 3n, 1n]);
    agree(
      () => ({
        f: withGrads((e) => F.cross_entropy(F.gelu(F.layer_norm(F.embedding(i, e), [4])), i)),
        args: [randn(10, 4)],
      }),
      loose,
    );
  });

  it('lstm and gru', () => {
    const h = torch.zeros(1, 2, 5);
    agree(
      () => ({
        f: withGrads(
          (x, wi, wh, bi, bh) =>
            torch.lstm(x, [h, h], [wi!, wh!, bi!, bh!], true, 1, 0, false, false, false)[0] as Tensor,
        ),
        args: [randn(3, 2, 4), randn(20, 4), randn(20, 5), randn(20), randn(20)],
      }),
      loose,
    );
    agree(
      () => ({
        f: withGrads(
          (x, wi, wh, bi, bh) => torch.gru(x, h, [wi!, wh!, bi!, bh!], true, 1, 0, false, false, false)[0] as Tensor,
        ),
        args: [randn(3, 2, 4), randn(15, 4), randn(15, 5), randn(15), randn(15)],
      }),
      loose,
    );
  });

  it('interpolate + reflect pad', () => {
    agree(
      () => ({
        f: withGrads((x) => F.pad(F.interpolate(x, { size: [8, 8], mode: 'bilinear' }), [1, 1, 1, 1], 'reflect')),
        args: [randn(1, 1, 4, 4)],
      }),
      loose,
    );
  });

  it('fft, and the gradient through abs of a complex tensor', () => {
    agree(() => ({ f: withGrads((x) => torch.abs(torch.fft.rfft(x))), args: [randn(8)] }), loose);
  });

  it('an embedding gradient adds up repeated rows', () => {
    agreeOn(
      (e: Tensor) => {
        const w = e.detach().requires_grad_(true);
        const [g] = autograd.grad(F.embedding(torch.tensor([1n, 1n, 2n]), w).sum(), w);
        return g;
      },
      randn(4, 2),
    );
  });
});

describe('trace: linear algebra', () => {
  const cases: Record<string, (x: Tensor) => unknown> = {
    cholesky: (x) => torch.linalg.cholesky(x),
    inv: (x) => torch.linalg.inv(x),
    solve: (x) => torch.linalg.solve(x, x.t().add(1)),
    det: (x) => torch.linalg.det(x),
    slogdet: (x) => [...torch.linalg.slogdet(x)],
    eigvalsh: (x) => torch.linalg.eigvalsh(x),
    svdvals: (x) => torch.linalg.svdvals(x),
    qr: (x) => torch.linalg.qr(x)[1].abs(),
    pinv: (x) => torch.linalg.pinv(x),
    matrix_exp: (x) => torch.linalg.matrix_exp(x.div(10)),
    triangular: (x) => torch.linalg.solve_triangular(x.tril(), x, { upper: false }),
    norm: (x) => [torch.linalg.norm(x), torch.linalg.norm(x, 'nuc'), torch.linalg.vector_norm(x, 3)],
  };
  for (const [name, f] of Object.entries(cases)) {
    it(name, () => {
      agree(() => ({ f, args: [positive(4)] }), { rtol: 1e-4, atol: 1e-4 });
    });
  }

  it('the gradient of a log-determinant through Cholesky', () => {
    agree(
      () => ({
        f: (x: Tensor) => {
          const a = x.detach().requires_grad_(true);
          const l = torch.linalg.cholesky(a).diagonal().log().sum().mul(2);
          return autograd.grad(l, a);
        },
        args: [positive(4)],
      }),
      { rtol: 1e-4, atol: 1e-4 },
    );
  });
});

describe('trace: constants, factories and what is born in the function', () => {
  it('factories in a function: zeros, ones, full, eye, arange, linspace, tensor, zeros_like, new_zeros, tril_indices', () => {
    agreeOn(
      (x: Tensor) => [
        torch.zeros(2, 3),
        torch.ones([2], { dtype: 'int32' }),
        torch.full([2], 7n),
        torch.eye(3),
        torch.arange(5),
        torch.linspace(0, 1, 5),
        torch.tensor([[1, 2]]),
        torch.zeros_like(x),
        x.new_zeros([2]),
        torch.tril_indices(3, 3),
        x.new_tensor([1, 2]),
      ],
      randn(3),
    );
  });

  it('a factory’s tensor mutated by the trace', () => {
    agreeOn((x: Tensor) => {
      const b = torch.zeros(3);
      const y = x.add(b);
      b.add_(x);
      return [y, b];
    }, randn(3));
  });

  it('a data literal is baked once and may be written to', () => {
    agreeOn((x: Tensor) => {
      const b = torch.tensor([1, 2, 3]);
      b.mul_(x);
      return b;
    }, randn(3));
  });

  it('one_hot with the number of classes', () => {
    agreeOn((x: Tensor) => F.one_hot(x, 5), torch.tensor([0n, 2n, 4n]));
  });

  it('to(cpu) and to(dtype) of the same kind return the tensor itself', () => {
    agreeOn((x: Tensor) => {
      const y = x.add(1);
      y.to('cpu').add_(1);
      y.to('float32').add_(1);
      y.float().add_(1);
      return y;
    }, randn(3));
  });

  it('topk, sort, argsort, unique_consecutive’s cousins with static shapes: cumsum, cummax, searchsorted, bucketize, histc', () => {
    agreeOn(
      (x: Tensor) => {
        const top = torch.topk(x, 2);
        const sorted = torch.sort(x, 1, true);
        const run = x.cummax(1);
        return [
          top[0],
          top[1],
          sorted[0],
          sorted[1],
          x.argsort(),
          run[0],
          run[1],
          torch.bucketize(x, torch.tensor([-1, 0, 1])),
          torch.histc(x, 4, -2, 2),
        ];
      },
      randn(3, 6),
    );
  });

  it('a result that is not used, a result twice, no result', () => {
    agreeOn((x: Tensor) => {
      x.exp();
      const y = x.sin();
      return [y, y, x, null];
    }, randn(3));
    agree(() => ({ f: (_: Tensor) => undefined, args: [randn(3)] }));
  });
});

describe('trace: gradients of captured leaves', () => {
  it('autograd.grad with respect to a captured parameter', () => {
    agree(() => {
      const w = leaf(torch.ones(3));
      return { f: (x: Tensor) => autograd.grad(x.mul(w).square().sum(), w), args: [randn(3)], captured: [w] };
    });
  });

  it('backward() twice accumulates, and an optimizer step writes the parameter', () => {
    agree(
      () => {
        const w = leaf(randn(3));
        return {
          f: (x: Tensor) => {
            w.mul(x).square().sum().backward();
            w.mul(w).sum().backward();
            torch.no_grad(() => torch._foreach_add_([w], [w.grad!], { alpha: -0.1 }));
            return w.sum().detach();
          },
          args: [randn(3)],
          captured: [w],
        };
      },
      { calls: 3 },
    );
  });
});
