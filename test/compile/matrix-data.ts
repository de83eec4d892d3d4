/** @file What goes in and comes out: pytrees, statics, dynamic numbers, dtypes, shapes and layouts, aliases. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import type { Entry, Way } from '../support/five-ways.js';

const { arange, complex, linspace, nn, ones, tensor, zeros } = torch;

// biome-ignore lint/suspicious/noExplicitAny: a case has whatever arguments it needs
type AnyFunction = (...args: any[]) => unknown;

const x34 = (): Tensor => linspace(-2, 2, 12).reshape([3, 4]);
const leaf = (t: Tensor): Tensor => t.requires_grad_(true);
const on = (f: AnyFunction, args: () => unknown[], rest: Omit<Entry, 'make'> = {}): Entry => ({
  make: (): Way => ({ f, args: args() }),
  ...rest,
});

interface Layer {
  readonly w: Tensor;
  readonly b: Tensor;
}

const pytrees: Readonly<Record<string, Entry>> = {
  'nested objects and arrays': on(
    ({ x, layers }: { x: Tensor; layers: Layer[] }) => ({
      y: layers.reduce((h, { w, b }) => h.matmul(w).add(b).tanh(), x),
      parts: [[x.mul(2)], { deep: { er: layers[0]!.b.neg() } }],
    }),
    () => [
      {
        x: x34(),
        layers: [
          { w: linspace(-1, 1, 8).reshape([4, 2]), b: ones(2) },
          { w: ones(2, 1), b: zeros(1) },
        ],
      },
    ],
  ),
  'nested leaves that require grad': on(
    ({ x, layers }: { x: Tensor; layers: Layer[] }) => layers.map(({ w, b }) => x.matmul(w).add(b).square()),
    () => [
      { x: x34(), layers: [1, 2].map((n) => ({ w: leaf(linspace(-n, n, 8).reshape([4, 2])), b: leaf(ones(2)) })) },
    ],
  ),
  'Maps with keys of several kinds': on(
    (m: Map<unknown, Tensor>) => new Map([...m].reverse().map(([k, t]) => [k, t.add(1)] as const)),
    () => [
      new Map<unknown, Tensor>([
        ['a', ones(1)],
        [2, ones(2)],
        [true, ones(3)],
      ]),
    ],
  ),
  'Maps in objects in arrays in Maps': on(
    (m: Map<string, { list: [Tensor, Map<number, Tensor>] }>) => {
      const [a, inner] = m.get('k')!.list;
      return { sum: a.add(inner.get(7)!), inner };
    },
    () => [new Map([['k', { list: [ones(2), new Map([[7, arange(2).float()]])] }]])],
  ),
  'a static string, a boolean, null, undefined and a bigint': on(
    (x: Tensor, o: { mode: string; flip: boolean; mask: null; more: undefined; n: bigint }) =>
      (o.flip ? x.neg() : x).mul(o.mode === 'double' ? 2 : 3).add(o.mask === null && o.more === undefined ? o.n : 0),
    () => [x34(), { mode: 'double', flip: true, mask: null, more: undefined, n: 5n }],
  ),
  'static numbers as shapes, dims and factors': on(
    (x: Tensor, o: { rows: number; dim: number; scale: number }) => x.reshape([o.rows, -1]).sum(o.dim).mul(o.scale),
    () => [x34(), { rows: 2, dim: -1, scale: -0.5 }],
  ),
  'a static function': on(
    (x: Tensor, f: (x: Tensor) => Tensor) => f(f(x)),
    () => [x34(), (t: Tensor) => t.sin()],
    { compile: { static: [1] }, refused: { code: 'BAD_ARGUMENT', words: /arguments\[1\] is a function/ } },
  ),
  'a module as an argument': on(
    (m: InstanceType<typeof nn.Linear>, x: Tensor) => m.forward(x),
    () => {
      torch.manual_seed(3);
      return [new nn.Linear(4, 2), x34()];
    },
    { refused: { code: 'BAD_ARGUMENT', words: /class Linear/ } },
  ),
  'a dynamic float': on(
    (x: Tensor, s: number) => [x.mul(s), x.double().add(s), x.int().mul(s)],
    () => [x34(), 0.1],
    { compile: { dynamic: [1] } },
  ),
  'dynamic numbers by path': {
    make: () => {
      const o = { lr: 0.3, n: 2 };
      return {
        f: (x: Tensor, given: typeof o) => x.mul(given.lr).reshape([given.n, -1]),
        args: [x34(), o],
        between: () => {
          o.lr = 0.7;
        },
      };
    },
    compile: { dynamic: ['lr'] },
  },
  'a static number that changes': {
    make: () => {
      const o = { rows: 2 };
      return {
        f: (x: Tensor, { rows }: typeof o) => x.reshape([rows, -1]),
        args: [x34(), o],
        between: () => {
          o.rows = 3;
        },
      };
    },
    compiles: 2,
  },
  'an optional argument left out': on(
    (x: Tensor, y?: Tensor) => (y ? x.add(y) : x.exp()),
    () => [x34()],
  ),
  'no argument': {
    make: () => {
      const w = x34();
      return { f: () => w.mul(2), captured: [w] };
    },
  },
  'null, undefined and empty containers as results': on(
    (x: Tensor) => ({ x: x.add(1), none: null, missing: undefined, list: [], more: {}, map: new Map() }),
    () => [x34()],
  ),
  'no result': on(
    () => undefined,
    () => [x34()],
  ),
  'several results of one operator': on(
    (x: Tensor) => [{ ...x.max(1) }.values, x.sort(0).indices, ...x.aminmax({ dim: 0 }), ...x.unbind(0)],
    () => [x34()],
  ),
};

const dtypes: Readonly<Record<string, Entry>> = {
  bool: on(
    (m: Tensor, n: Tensor) => [m.logical_and(n), m.bitwise_xor(n), m.logical_not(), m.sum(), m.any(), m.int().argmax()],
    () => [tensor([true, false, true]), tensor([true, true, false])],
  ),
  'integers of every width': on(
    (...xs: Tensor[]) => xs.flatMap((x) => [x.mul(3), x.add(200), x.bitwise_and(6), x.sum(), x.div(2)]),
    () => (['uint8', 'int8', 'int16', 'int32', 'int64'] as const).map((dtype) => tensor([1, 5, 100], { dtype })),
  ),
  'float16 and bfloat16': on(
    (a: Tensor, b: Tensor) => [a.mul(3).add(1), b.mul(3).add(1), a.float().add(b), a.sum(), b.max()],
    () => [x34().half(), x34().bfloat16()],
  ),
  'complex numbers through autograd': on(
    (z: Tensor) => [z.mul(z.conj()), z.abs(), z.exp().real, torch.view_as_real(z.mul(2))],
    () => [leaf(complex(x34().double(), x34().double().cos()))],
  ),
  'conjugate and negative views as arguments': on(
    (z: Tensor, n: Tensor) => [z.mul(2), n.add(1)],
    () => {
      const z = complex(x34(), x34().sin());
      return [z.conj(), z.conj().imag];
    },
  ),
  'promotion among dtypes and 0-d tensors': on(
    (i: Tensor, f: Tensor, z: Tensor) => [i.add(f), i.add(z), f.add(z), i.mul(0.5), i.gt(0).add(i), f.add(i.gt(0))],
    () => [tensor([1n, 2n]), tensor([0.5, 1.5]), tensor(3, { dtype: torch.float64 })],
  ),
  'NaN, infinities and -0': on(
    (x: Tensor) => [x.neg(), x.add(1), x.isnan(), x.isinf(), x.signbit(), x.clamp(-1, 1), x.nan_to_num(7)],
    () => [tensor([Number.NaN, Infinity, -Infinity, -0, 0, 1])],
  ),
  'empty tensors': on(
    (x: Tensor, y: Tensor) => [x.add(1), x.sum(), x.sum(1), y.matmul(x), torch.cat([x, x], 1), x.prod(1)],
    () => [zeros(0, 3), zeros(2, 0)],
  ),
  '0-d tensors': on(
    (x: Tensor, y: Tensor) => [x.mul(y), x.reshape([1]), x.exp().sum(), torch.stack([x, y])],
    () => [leaf(tensor(2)), tensor(3)],
  ),
};

const layouts: Readonly<Record<string, Entry>> = {
  'transposed, stepped, offset and expanded arguments': on(
    (a: Tensor, b: Tensor, c: Tensor, d: Tensor) => [
      a.mul(2),
      b.add(1),
      c.sin(),
      d.add(a.t().at(0, 0)),
      a.matmul(b.t()),
    ],
    () => [
      x34().t(),
      arange(24).float().reshape([4, 6]).at(':', '::2'),
      arange(20).float().at('7:'),
      tensor([[1], [2]]).expand([2, 5]),
    ],
  ),
  'channels last': on(
    (x: Tensor, w: Tensor) => [x.mul(2), nn.functional.conv2d(x, w).relu(), x.mean([2, 3])],
    () => [
      linspace(-1, 1, 2 * 3 * 4 * 4)
        .reshape([2, 3, 4, 4])
        .contiguous({ memory_format: 'channels_last' }),
      linspace(0, 1, 2 * 3 * 2 * 2).reshape([2, 3, 2, 2]),
    ],
  ),
  'results in an order of their own': on(
    (x: Tensor) => [
      x.t().add(1),
      x.t().contiguous(),
      x.unsqueeze(2).permute([2, 0, 1]).mul(2),
      torch.empty_like(x.t()).fill_(1),
    ],
    () => [x34()],
  ),
  'arguments of which some require grad': on(
    (a: Tensor, b: Tensor, c: Tensor) => [a.mul(b), b.mul(c), a.mul(c), a.detach(), b.gt(0)],
    () => [leaf(x34()), x34(), leaf(x34().cos().detach())],
  ),
  'an argument that is no leaf': {
    make: () => {
      const w = leaf(x34());
      return { f: (x: Tensor) => x.square(), args: [w.neg()], captured: [w] };
    },
  },
  'one tensor as two arguments': on(
    (a: Tensor, b: Tensor) => [a.add(b), a.mul(b)],
    () => {
      const x = leaf(x34());
      return [x, x];
    },
  ),
  'two arguments in one memory': on(
    (a: Tensor, b: Tensor) => [a.add(b), a.sub(b)],
    () => {
      const x = arange(6).float();
      return [x.at('0:4'), x.at('2:')];
    },
  ),
  'arguments and captured tensors as results': {
    make: () => {
      const w = ones(2);
      return { f: (x: Tensor, y: Tensor) => [y, w, x, x.add(w)], args: [ones(2), zeros(2)], captured: [w] };
    },
  },
  'views of arguments as results': on(
    (x: Tensor) => [x.at(1), x.t(), x.at(':', '1:3'), x.reshape([4, 3]), x.expand([2, 3, 4]), x.detach()],
    () => [x34()],
  ),
  'views of one another as results': on(
    (x: Tensor) => {
      const y = x.mul(2);
      return [y.at(0), y, { t: y.t(), again: y }];
    },
    () => [leaf(x34())],
  ),
  'views of a captured tensor as results': {
    make: () => {
      const w = leaf(x34());
      return { f: () => [w.at(0), w.t().mul(1), w.t()], captured: [w] };
    },
  },
};

export const data: Readonly<Record<string, Entry>> = { ...pytrees, ...dtypes, ...layouts };
