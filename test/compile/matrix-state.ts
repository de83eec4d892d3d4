/** @file What a function changes: arguments, captured tensors, views of them, grads, parameters, statistics of modules. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import type { Entry, Way } from '../support/five-ways.js';

const { arange, linspace, nn, no_grad, ones, optim, tensor, zeros } = torch;
const F = nn.functional;

// biome-ignore lint/suspicious/noExplicitAny: a case has whatever arguments it needs
type AnyFunction = (...args: any[]) => unknown;

const x34 = (): Tensor => linspace(-2, 2, 12).reshape([3, 4]);
const leaf = (t: Tensor): Tensor => t.requires_grad_(true);
const refused = { code: 'BAD_ARGUMENT', words: /changes tensors in place/ } as const;
const readsGrad = { code: 'BAD_ARGUMENT', words: /reads a tensor's grad/ } as const;

const changes = (make: () => Way, rest: Omit<Entry, 'make'> = {}): Entry => ({ make, refused, ...rest });
const changesArgs = (f: AnyFunction, args: () => unknown[], rest: Omit<Entry, 'make'> = {}): Entry =>
  changes(() => ({ f, args: args() }), rest);

const mutation: Readonly<Record<string, Entry>> = {
  'an argument': changesArgs(
    (x: Tensor) => x.add_(1).sum(),
    () => [x34()],
  ),
  'an argument, returned': changesArgs(
    (x: Tensor, y: Tensor) => [y.mul_(x), x],
    () => [x34(), x34()],
  ),
  'an argument through views': changesArgs(
    (x: Tensor) => {
      x.at(1).zero_();
      x.t().at('1:', 0).fill_(9);
      x.diagonal().neg_();
      return x.mul(2);
    },
    () => [x34()],
  ),
  'an argument by index': changesArgs(
    (x: Tensor, i: Tensor) => {
      x.setAt([i, '1:'], 5);
      x.index_add_(0, i, ones(2, 4));
      x.setAt([x.lt(0)], 0);
    },
    () => [x34(), tensor([2n, 0n])],
  ),
  'an argument that is a view: its base too': changes(() => {
    const base = zeros(4, 4);
    return { f: (v: Tensor) => v.fill_(7), args: [base.at('1:3', '2:')], captured: [base] };
  }),
  'two arguments in one memory, one changed': changes(
    () => {
      const base = arange(6).float();
      return {
        f: (a: Tensor, b: Tensor) => {
          a.mul_(10);
          return [b.add(0), a];
        },
        args: [base.at('0:4'), base.at('2:')],
        captured: [base],
      };
    },
    { traces: 2 },
  ),
  'one tensor as two arguments, changed': changesArgs(
    (a: Tensor, b: Tensor) => {
      a.add_(1);
      return b.mul(2);
    },
    () => {
      const x = x34();
      return [x, x];
    },
  ),
  'a captured tensor': changes(() => {
    const count = zeros([]);
    return { f: (x: Tensor) => x.mul(count.add_(1)), args: [x34()], captured: [count] };
  }),
  'a captured tensor through a view that is an argument': changes(
    () => {
      const w = arange(4).float();
      return {
        f: (x: Tensor) => {
          x.add_(1);
          return w.sum();
        },
        args: [w.at('1:3')],
        captured: [w],
      };
    },
    { traces: 2 },
  ),
  'an argument changed, then a view of it returned': changesArgs(
    (x: Tensor) => x.add_(1).at(0).mul_(2),
    () => [x34()],
  ),
  'arguments in a pytree': changesArgs(
    (o: { list: Tensor[]; m: Map<string, Tensor> }) => {
      o.list.forEach((t, i) => {
        t.add_(i);
      });
      o.m.get('k')!.copy_(o.list[1]!);
    },
    () => [{ list: [ones(2), ones(2)], m: new Map([['k', zeros(2)]]) }],
  ),
  'integers and bools in place': changesArgs(
    (i: Tensor, b: Tensor) => {
      i.mul_(3).bitwise_xor_(1);
      b.logical_not_();
    },
    () => [tensor([1n, 2n, 3n]), tensor([true, false])],
  ),
  'a tensor of which grad is needed, after its use': changesArgs(
    (x: Tensor, s: Tensor) => {
      const y = x.mul(s.mul(1));
      no_grad(() => s.add_(1));
      return y;
    },
    () => [leaf(x34()), x34()],
  ),
  'a tensor with a history, which goes on': changes(
    () => {
      const w = leaf(x34());
      const h = w.mul(2);
      const lookBack = (): void => {
        w.grad = torch.autograd.grad(h.sum(), w, { retain_graph: true })[0]!;
      };
      return { f: (x: Tensor) => h.mul_(x).add_(x.sin()), args: [x34()], captured: [w, h], between: lookBack };
    },
    { inside: true },
  ),
  'a tensor without a history, by a parameter': changes(
    () => {
      const w = leaf(x34());
      const y = ones(3, 4);
      const lookBack = (): void => {
        w.grad = torch.autograd.grad(y.sum(), w, { retain_graph: true })[0]!;
      };
      return {
        f: (x: Tensor) => void y.at(1).mul_(w.at(1)).add_(x.at(0)),
        args: [x34()],
        captured: [w, y],
        between: lookBack,
      };
    },
    { inside: true, compiles: 2 },
  ),
  'requires_grad_ of an argument and a captured tensor': changes(
    () => {
      const w = leaf(x34());
      return {
        f: (x: Tensor) => {
          x.requires_grad_(true);
          w.requires_grad_(false);
          return x.mul(w);
        },
        args: [x34()],
        captured: [w],
      };
    },
    { compiles: 2 },
  ),
  'copy_ with another dtype': changesArgs(
    (x: Tensor, y: Tensor) => void x.copy_(y),
    () => [x34(), arange(4)],
  ),
};

const grads: Readonly<Record<string, Entry>> = {
  'grad of a captured leaf accumulates': changes(
    () => {
      const w = leaf(tensor([1, 2, 3]));
      return {
        f: (x: Tensor) => {
          const loss = w.mul(x).square().sum();
          loss.backward();
          return loss.detach();
        },
        args: [tensor([1, -1, 2])],
        captured: [w],
      };
    },
    { compiles: 2 },
  ),
  'grad of an argument accumulates': changesArgs(
    (w: Tensor) => void w.square().sum().backward(),
    () => [leaf(x34())],
    { compiles: 2 },
  ),
  'grad set to null, then made': changes(
    () => {
      const w = leaf(tensor([1, 2]));
      return {
        f: (x: Tensor) => {
          w.grad = null;
          w.mul(x).sum().backward();
        },
        args: [tensor([3, 4])],
        captured: [w],
      };
    },
    { compiles: 2 },
  ),
  'grad read': {
    ...changes(
      () => {
        const w = leaf(tensor([1, 2]));
        w.sum().backward();
        return { f: (x: Tensor) => x.mul(w.grad!), args: [tensor([3, 4])], captured: [w] };
      },
      { refused: readsGrad },
    ),
  },
  'descent by hand': changes(() => {
    const w = leaf(tensor([5, -3]));
    w.grad = zeros(2);
    return {
      f: (target: Tensor) => {
        const loss = w.sub(target).square().sum();
        loss.backward();
        no_grad(() => {
          w.sub_(w.grad!, { alpha: 0.1 });
          w.grad!.zero_();
        });
        return loss.detach();
      },
      args: [tensor([1, 2])],
      captured: [w],
    };
  }),
};

type AnyOptimizer = InstanceType<typeof optim.SGD>;

/** A whole step on a small network; the state of the optimizer is compared through what it makes of the parameters. */
const training = (
  makeOptimizer: (params: Tensor[]) => unknown,
  rest: Omit<Entry, 'make'> = {},
  schedule?: (o: never) => { step(): void },
): Entry =>
  changes(
    () => {
      torch.manual_seed(5);
      const net = new nn.Sequential(new nn.Linear(4, 6), new nn.Tanh(), new nn.Linear(6, 2));
      const optimizer = makeOptimizer(net.parameters()) as AnyOptimizer;
      const scheduler = schedule?.(optimizer as never);
      return {
        f: (x: Tensor, y: Tensor) => {
          optimizer.zero_grad();
          const loss = F.mse_loss(net.forward(x), y);
          loss.backward();
          optimizer.step();
          return loss.detach();
        },
        args: [x34(), linspace(0, 1, 6).reshape([3, 2])],
        captured: net.parameters(),
        between: () => scheduler?.step(),
      };
    },
    { rtol: 1e-5, atol: 1e-6, compiles: 2, ...rest },
  );

const modules: Readonly<Record<string, Entry>> = {
  'a step of SGD': training((p) => new optim.SGD(p, { lr: 0.1 })),
  'a step of SGD with momentum': training((p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, nesterov: true })),
  'a step of Adam': training((p) => new optim.Adam(p, { lr: 0.01, weight_decay: 0.1 })),
  'a step of AdamW with a schedule': training(
    (p) => new optim.AdamW(p, { lr: 0.01, amsgrad: true }),
    {},
    (o) => new optim.lr_scheduler.StepLR(o, 1, { gamma: 0.1 }),
  ),
  'a step with clipped gradients': changes(
    () => {
      torch.manual_seed(6);
      const net = new nn.Linear(4, 2);
      const optimizer = new optim.SGD(net.parameters(), { lr: 0.5 });
      return {
        f: (x: Tensor) => {
          net.forward(x).square().sum().backward();
          const norm = nn.utils.clip_grad_norm_(net.parameters(), 0.1);
          optimizer.step();
          optimizer.zero_grad();
          return norm;
        },
        args: [x34()],
        captured: net.parameters(),
      };
    },
    { rtol: 1e-5, atol: 1e-6, inside: true },
  ),
  'statistics of batch norm': changes(
    () => {
      const norm = new nn.BatchNorm1d(4);
      return { f: (x: Tensor) => norm.forward(x), args: [x34()], captured: [...norm.parameters(), ...norm.buffers()] };
    },
    { rtol: 1e-5, atol: 1e-5 },
  ),
  'batch norm in eval': {
    make: () => {
      const norm = new nn.BatchNorm1d(4).eval();
      return { f: (x: Tensor) => norm.forward(x), args: [x34()], captured: [...norm.parameters(), ...norm.buffers()] };
    },
  },
  'train(), then eval()': changes(
    () => {
      const norm = new nn.BatchNorm1d(4);
      return {
        f: (x: Tensor) => norm.forward(x),
        args: [x34()],
        captured: [...norm.parameters(), ...norm.buffers()],
        between: () => void norm.eval(),
      };
    },
    { compiles: 2, rtol: 1e-5, atol: 1e-5 },
  ),
  'a module with shared parameters': {
    make: () => {
      torch.manual_seed(7);
      const first = new nn.Linear(4, 4);
      const net = new nn.Sequential(first, new nn.ReLU(), first);
      return { f: (x: Tensor) => net.forward(x), args: [x34()], captured: first.parameters() };
    },
  },
  'a recurrent module': {
    make: () => {
      torch.manual_seed(8);
      const net = new nn.LSTM(4, 3);
      return { f: (x: Tensor) => net.forward(x.unsqueeze(1)), args: [x34()], captured: net.parameters() };
    },
    rtol: 1e-5,
    atol: 1e-6,
  },
  'a parameter, a buffer and a module put in the place of others': {
    make: () => {
      torch.manual_seed(9);
      const net = new nn.Sequential(new nn.Linear(4, 4), new nn.BatchNorm1d(4).eval(), new nn.Linear(4, 2));
      const [first, norm] = [net.at(0) as InstanceType<typeof nn.Linear>, net.at(1)];
      return {
        f: (x: Tensor) => net.forward(x),
        args: [x34()],
        captured: net.parameters(),
        between: () => {
          first.weight = new nn.Parameter(ones(4, 4));
          norm.register_buffer('running_mean', ones(4));
          net.register_module('2', new nn.Tanh());
        },
      };
    },
    compiles: 2,
    rtol: 1e-5,
    atol: 1e-5,
  },
  'weights replaced between calls': {
    make: () => {
      const net = new nn.Linear(4, 2);
      no_grad(() => net.weight.fill_(1) && net.bias!.zero_());
      return {
        f: (x: Tensor) => net.forward(x),
        args: [x34()],
        captured: net.parameters(),
        between: () => void no_grad(() => net.weight.mul_(3)),
      };
    },
  },
};

export const state: Readonly<Record<string, Entry>> = { ...mutation, ...grads, ...modules };
