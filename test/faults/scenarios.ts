/** @file What is done while something fails: every way into the native code, each in a few lines whose result is known. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as runtime from '../../lib/export/index.js';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { packageRoot } from '../../lib/runtime/parts.js';

const { compile, func } = torch;
const here = join(tmpdir(), `jorch-faults-${process.pid}`);
export const removeFiles = (): void => {
  for (const end of ['.safetensors', '.pt', '.jorch']) rmSync(here + end, { force: true });
};

/** Another program each time, that computes the same. */
const unlike = (x: Tensor): Tensor => x.clamp_max(1e6 + Math.random());
const ramp = (...shape: number[]): Tensor =>
  torch
    .arange(
      shape.reduce((a, b) => a * b, 1),
      { dtype: torch.float32 },
    )
    .reshape(shape);
const leaf = (...shape: number[]): Tensor => ramp(...shape).requires_grad_(true);
const numbers = (...values: (Tensor | number)[]): unknown =>
  values.map((v) => (typeof v === 'number' ? v : v.detach().tolist()));

type Scenario = () => unknown;
export const scenarios: Readonly<Record<string, Scenario>> = {
  'values in and out': () => {
    const held = new Float32Array([1, 2, 3, 4]);
    const x = torch.frombuffer(held).reshape(2, 2);
    const y = torch.tensor([[1, 2n, true]], { dtype: torch.int64 });
    return [
      x.tolist(),
      [...(x.t().toTypedArray() as Float32Array)],
      y.tolist(),
      torch.tensor(7).item(),
      String(x),
      torch.is_tensor(x),
    ];
  },
  'operators, overloads, several results, out=': () => {
    const x = ramp(3, 4);
    const [values, indices] = x.topk(2, 1);
    const out = torch.empty([3, 4]);
    torch.add(x, 1, { alpha: 2, out });
    const pieces = torch.cat([x, x], 0).split(2);
    return numbers(
      values!,
      indices!,
      out,
      x.sum({ dim: 1, keepdim: true }),
      torch.einsum('ij,kj->ik', x, x),
      pieces.length,
      x.view(-1, 2),
    );
  },
  'indexing and writes': () => {
    const x = ramp(4, 4);
    x.index_put_([torch.tensor([0, 2], { dtype: torch.int64 })], torch.zeros(4));
    x.select(0, 1).mul_(2);
    return numbers(x, x.index_select(0, torch.tensor([1, 1], { dtype: torch.int64 })), x.masked_fill(x.gt(5), 0));
  },
  modes: () => {
    const [kept, wide] = [
      torch.get_default_dtype(),
      torch.autocast({ dtype: torch.bfloat16 }, () => ramp(2, 2).matmul(ramp(2, 2)).dtype),
    ];
    torch.set_default_dtype(torch.float64);
    try {
      return [
        wide,
        torch.ones(1).dtype,
        torch.inference_mode(() => torch.ones(2).sum().item()),
        torch.no_grad(() => torch.is_grad_enabled()),
      ];
    } finally {
      torch.set_default_dtype(kept);
    }
  },
  'random numbers': () => {
    const g = new torch.Generator().manual_seed(3);
    const first = torch.rand([4], { generator: g }).tolist();
    const f = compile((x: Tensor) => x.add(torch.rand([4], { generator: g.manual_seed(5) })));
    return [first, g.initial_seed() === 5n || Number(g.initial_seed()) > 0, f(torch.zeros(4)).shape[0]];
  },
  'threads and sharing': () => {
    const token = torch.share([ramp(3)], { receivers: 2 });
    const [a] = torch.receive(token);
    const rest = torch.receive(token)[0]!;
    const other = torch.share(ramp(1));
    return [a!.add(rest).tolist(), torch.withdraw(other), torch.get_num_threads() > 0];
  },
  'backward, grad, hooks': () => {
    const x = leaf(3);
    const told: number[] = [];
    x.register_hook((g: Tensor) => {
      told.push(g.sum().item() as number);
      return g.mul(2);
    });
    x.square().sum().backward();
    const [second] = torch.autograd.grad(torch.autograd.grad(x.pow(3).sum(), x, { create_graph: true })[0]!.sum(), x);
    return [told, numbers(x.grad!, second!)];
  },
  'custom derivatives': () => {
    const f = torch.func.grad(
      torch.customVjp(
        (t: Tensor) => t.sin().sum(),
        (t: Tensor) => [t.sin().sum(), t] as never,
        (t: Tensor, g: Tensor) => [g.mul(t)] as never,
      ) as (t: Tensor) => Tensor,
    );
    return numbers(f(ramp(3)));
  },
  'vmap, grad, jvp, hessian': () => {
    const f = (x: Tensor): Tensor => x.sin().mul(x).sum();
    return numbers(
      func.vmap(func.grad(f))(ramp(2, 3)),
      func.jvp(f, [ramp(3)], [ramp(3)])[1] as Tensor,
      func.hessian(f)(ramp(2)),
    );
  },
  'modules, functional_call, an optimizer': () => {
    torch.manual_seed(1);
    const net = new torch.nn.Linear(2, 2);
    const zeros = Object.fromEntries(net.named_parameters().map(([name, p]) => [name, torch.zeros_like(p)]));
    const adam = new torch.optim.Adam(net.parameters(), { lr: 0.1 });
    const step = compile((x: Tensor) => {
      adam.zero_grad();
      const loss = net.forward(x).square().sum();
      loss.backward();
      adam.step();
      return loss;
    });
    const [a, b] = [step(ramp(2, 2)).item() as number, step(ramp(2, 2)).item() as number];
    return [a > b, numbers(func.functional_call(net, zeros, ramp(1, 2)) as Tensor)];
  },
  'compile, cold': () => {
    const w = leaf(3, 3);
    const f = compile((x: Tensor) => unlike(x.matmul(w).mul(0.01)).tanh().sum());
    const y = f(ramp(2, 3));
    y.backward();
    return numbers(y, w.grad!, f(ramp(2, 3)));
  },
  'compile, from the cache on disk': () => {
    const f = compile((x: Tensor) => [x.cumsum(0), x.t().neg()]);
    return numbers(...(f(ramp(2, 3)) as Tensor[]));
  },
  'views, writes and captured tensors': () => {
    const state = ramp(4);
    const f = compile((x: Tensor) => {
      state.add_(1);
      x.select(0, 0).mul_(3);
      return [x.view(-1), state.mul(2)];
    });
    const x = ramp(2, 2).add(1);
    const [first, second] = f(x) as [Tensor, Tensor];
    f(x);
    return numbers(x, state, first, second);
  },
  'libtorch’s kernels inside programs': () => {
    const f = compile((x: Tensor) => torch.linalg.lstsq(x, x)[0]!.add(torch.linalg.eigvals(x).abs().sum()));
    return numbers(f(torch.eye(3)).mul(100).round());
  },
  'checks and prints': () => {
    const lines: unknown[] = [];
    const { log } = console;
    console.log = (text: string) => void lines.push(text);
    try {
      const f = compile(
        (x: Tensor) => {
          torch.debug.print(x.sum(), 'sum');
          torch.debug.check(x.sum().gt(0), 'positive');
          return torch.linalg.inv(x);
        },
        { checks: true },
      );
      const y = f(torch.eye(2).mul(2));
      let said = '';
      try {
        f(torch.zeros(2, 2));
      } catch (error) {
        if (!/positive|singular/.test((error as Error).message)) throw error;
        said = 'refused';
      }
      // A call that begins again prints again.
      return [numbers(y), said, lines.length >= 2];
    } finally {
      console.log = log;
    }
  },
  'loops and branches': () => {
    const step = (carry: Tensor, x: Tensor): [Tensor, Tensor] => [carry.add(x), carry.mul(x)];
    const f = (x: Tensor): unknown => {
      const [last, all] = torch.scan(step, torch.zeros([]), x) as [Tensor, Tensor];
      const [root] = torch.while_loop(
        (a: Tensor) => a.lt(100),
        (a: Tensor) => [a.mul(2)],
        [last],
      );
      return [
        last,
        all,
        torch.cond(
          root.gt(0),
          (a: Tensor) => a.neg(),
          (a: Tensor) => a,
          [root],
        ),
      ];
    };
    return [
      numbers(...(f(ramp(4)) as Tensor[])),
      numbers(...(compile(f as never as (x: Tensor) => Tensor[])(ramp(4)) as Tensor[])),
    ];
  },
  'a gradient through a compiled scan': () => {
    const f = compile(
      (x: Tensor) =>
        (
          torch.scan((c: Tensor, e: Tensor): [Tensor, Tensor] => [c.mul(e).sin(), c], torch.ones([]), x) as Tensor[]
        )[0]!,
    );
    return numbers(func.grad(f as (x: Tensor) => Tensor)(ramp(3).add(1)));
  },
  'asynchronous calls': async () => {
    const f = compile((x: Tensor) => unlike(x).exp().sum());
    const [x, y] = [ramp(3), ramp(3)]; // before the first call, which nobody would wait for if they failed
    // Both are over when one has failed: the next fault is not for them.
    const calls = await Promise.allSettled([f.async(x), f.async(y)]);
    for (const call of calls) if (call.status === 'rejected') throw call.reason;
    return numbers(...calls.map((call) => (call as PromiseFulfilledResult<Tensor>).value));
  },
  'explain and lower': () => {
    const f = compile((x: Tensor) => x.sin().mul(2).sum());
    const low = f.lower(ramp(3));
    return [f.explain(ramp(3)).toString().length > 10, low.hlo.text.length > 10, low.memory !== undefined];
  },
  'files, and an exported program without libtorch': () => {
    torch.save_file({ a: ramp(3) }, `${here}.safetensors`);
    torch.save({ b: ramp(2) }, `${here}.pt`);
    compile((x: Tensor) => x.mul(3)).export(`${here}.jorch`, torch.spec([2]));
    const model = runtime.loadCompiled(`${here}.jorch`);
    const y = model(new Float32Array([1, 2])) as { data: Float32Array };
    model.dispose();
    const b = (torch.load(`${here}.pt`) as { b: Tensor }).b;
    return [[...y.data], numbers(torch.load_file(`${here}.safetensors`)['a']!, b)];
  },
  TorchScript: () => {
    const module = torch.jit.load(join(packageRoot, 'test', 'data', 'files', 'script.pt')) as unknown as Record<
      string,
      { forward(...args: unknown[]): Tensor[]; eval(): void }
    >;
    const net = module['recurrent']!;
    const f = compile((x: Tensor) => net.forward(x)[0]!);
    const x = ramp(1, 2, 3).mul(0.1);
    return numbers(net.forward(x)[0]!.mul(1000).round(), f(x).mul(1000).round());
  },
  'a mesh of two devices': () => {
    const m = torch.mesh([2], ['data']);
    const f = compile((x: Tensor) => x.exp().sum(0), {
      mesh: m,
      in_shardings: [torch.P('data')],
      out_shardings: torch.P(),
    });
    return numbers(f(torch.zeros(4, 2)));
  },
  'another device': () => {
    const x = ramp(3).to('xla');
    const f = compile((t: Tensor) => t.mul(2).sum());
    return numbers(x.add(1).cpu(), f(x).cpu(), torch.memory().deviceBytes > 0 ? 1 : 0);
  },
};
