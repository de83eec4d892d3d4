/**
 * @file Random functions, as data: inputs, steps of graph-operators.ts on what is there already, and whether gradients are asked for. Eager and compiled
 * have to agree, within what the rounding of the inputs alone would change.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';
import { JUMPS, STEPS } from './graph-operators.js';

export interface Graph {
  readonly inputs: readonly {
    readonly shape: readonly number[];
    readonly dtype: string;
    readonly grad: boolean;
    readonly strided: boolean;
  }[];
  readonly steps: readonly {
    readonly name: string;
    readonly of: readonly [number, number, number];
    readonly n: number;
    readonly m: number;
    readonly s: number;
  }[];
  /** Gradients: none, by the caller through what the function returns, or inside of it. */
  readonly gradients: 'none' | 'through' | 'inside';
}

const SHAPES = [[], [3], [2, 3], [3, 2], [3, 3], [1, 3], [2, 1, 3], [2, 3, 3], [0, 3], [1]];

export const graphs = (maxSteps = 14): fc.Arbitrary<Graph> =>
  fc.record({
    inputs: fc.array(
      fc.record({
        shape: fc.constantFrom(...SHAPES),
        dtype: fc.constantFrom('float32', 'float32', 'float64', 'int64', 'int32', 'bool', 'complex64'),
        grad: fc.boolean(),
        strided: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    steps: fc.array(
      fc.record({
        name: fc.constantFrom(...Object.keys(STEPS)),
        of: fc.tuple(fc.nat(40), fc.nat(40), fc.nat(40)),
        n: fc.nat(3),
        m: fc.nat(3),
        s: fc.constantFrom(0.5, -0.75, 1.25, 2.5),
      }),
      { minLength: 1, maxLength: maxSteps },
    ),
    gradients: fc.constantFrom('none', 'none', 'through', 'inside'),
  });

/** The inputs, moved by about `by` of their size: what rounding may do to them. */
const inputsOf = (graph: Graph, by = 0): Tensor[] => {
  const generator = new torch.Generator().manual_seed(7);
  const moved = new torch.Generator().manual_seed(11 + Math.round(by * 1e12));
  return graph.inputs.map(({ shape, dtype, grad, strided }) => {
    const whole = strided ? [...shape, 2] : [...shape];
    const real = torch.randn(whole, { generator, dtype: 'float64' });
    let t = real.mul(torch.randn(whole, { generator: moved, dtype: 'float64' }).mul(by).add(1));
    if (/int/.test(dtype)) t = real.mul(3);
    else if (dtype === 'bool') t = real.gt(0);
    const full = t.to(dtype as 'float32').clone();
    const input = strided ? full.select(-1, 0) : full;
    return grad && /float|complex/.test(dtype) ? input.detach().requires_grad_(true) : input;
  });
};

const WRITES = /_$|_ |^set at/;

/**
 * The function that a graph stands for. Steps that torch refuses when they run eagerly are told to `refused`; they stand for their first operand. What
 * steps that jump are given is moved by `edge` of its size.
 */
export const functionOf =
  (graph: Graph, refused?: (step: number) => void, edge = 0) =>
  (...inputs: Tensor[]): Tensor[] => {
    const values: Tensor[] = [...inputs];
    // Low numbers are the newest: graphs that are shrunk stay chains.
    const pick = (k: number): Tensor => values[values.length - 1 - (k % values.length)]!;
    for (const [i, { name, of, n, m, s }] of graph.steps.entries()) {
      const [a, b, c] = of.map(pick) as [Tensor, Tensor, Tensor];
      let result = a;
      try {
        // What is written from its own memory, seen another way, is as undefined in libtorch as in C.
        const [p, q] = WRITES.test(name) ? [b.clone(), c.clone()] : [b, c];
        const moves = edge !== 0 && JUMPS.test(name) && (a.is_floating_point() || a.is_complex());
        result = STEPS[name]!(moves ? a.mul(1 + edge) : a, p, q, n, m, s) ?? a;
      } catch (error) {
        if (!refused) throw error;
        refused(i);
      }
      values.push(result.numel() > 1000 ? a : result);
    }
    const results = values.slice(-3);
    if (graph.gradients !== 'inside') return results;
    const wanted = inputs.filter((t) => t.requires_grad && t.is_leaf);
    const loss = lossOf(results);
    if (loss === undefined || wanted.length === 0) return results;
    const grads = torch.autograd.grad(loss, wanted, { allow_unused: true }) as readonly (Tensor | null)[];
    return [...results.map((t) => t.detach()), ...grads.filter((g): g is Tensor => g !== null)];
  };

const lossOf = (results: readonly Tensor[]): Tensor | undefined => {
  const parts = results
    .filter((t) => t.requires_grad && (t.is_floating_point() || t.is_complex()))
    .map((t, i) => (t.is_complex() ? torch.view_as_real(t.resolve_conj()) : t).mul(i + 1).sum());
  return parts.reduce<Tensor | undefined>((sum, part) => (sum === undefined ? part : sum.add(part)), undefined);
};

interface Seen {
  /** What went wrong instead, in words. */
  readonly refused?: string;
  readonly tensors: readonly {
    readonly what: string;
    readonly dtype: string;
    readonly shape: string;
    readonly values: readonly (number | bigint)[];
  }[];
}

const look = (what: string, t: Tensor): Seen['tensors'][number] => {
  const plain = t.detach().resolve_conj().resolve_neg();
  const numbers = plain.is_complex() ? torch.view_as_real(plain.contiguous()) : plain;
  return {
    what,
    dtype: t.dtype,
    shape: `[${t.shape}]`,
    values: Array.from(numbers.toTypedArray() as ArrayLike<number>),
  };
};

/** Everything that a caller sees of two calls: results, what became of the inputs, their gradients. */
const observe = (
  graph: Graph,
  wrap: (f: (...inputs: Tensor[]) => Tensor[]) => (...inputs: Tensor[]) => Tensor[],
  by = 0,
  edge = 0,
): Seen[] => {
  const f = wrap(functionOf(graph, undefined, edge));
  return [0, 1].map(() =>
    torch.scope(() => {
      const inputs = inputsOf(graph, by);
      try {
        const results = f(...inputs);
        const flags = results.map((t) => (t.requires_grad ? 'with a history' : 'without a history'));
        const tensors = results.map((t, i) => look(`result ${i}, ${flags[i]}`, t));
        if (graph.gradients === 'through') lossOf(results)?.backward();
        tensors.push(...inputs.map((t, i) => look(`input ${i} afterwards`, t)));
        inputs.forEach((t, i) => {
          if (t.is_leaf && t.grad) tensors.push(look(`gradient of input ${i}`, t.grad));
        });
        return { tensors };
      } catch (error) {
        if (!torch.isJorchError(error)) throw error;
        return { refused: `${error.code}: ${error.message}`, tensors: [] };
      }
    }),
  );
};

/**
 * Where compiled code may refuse what eager code does: shapes that depend on data, shapes of arguments that are changed in place, histories that would
 * begin or go on inside of the function.
 */
const MAY_REFUSE =
  /^(CONCRETIZATION|DYNAMIC_SHAPE)|changes the shape of a tensor of its caller|internal overlap|requires grad inside the compiled function only|values that require grad into one of several/;

const distance = (a: number | bigint, b: number | bigint): number => {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0;
  const d = Math.abs(Number(a) - Number(b));
  return Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
};

/** How far the numbers go when the inputs, or what jumps, are moved by their rounding, for each number. */
const sensitivity = (graph: Graph, expected: Seen): number[][] => {
  const reach = expected.tensors.map(({ values }) => values.map(() => 0));
  for (const [by, edge] of [
    [1e-7, 0],
    [-1e-7, 0],
    [3e-7, 0],
    [1e-6, 0],
    [0, 3e-7],
    [0, -3e-7],
  ] as const) {
    const [moved] = observe(graph, (f) => f, by, edge);
    if (moved!.tensors.length !== expected.tensors.length)
      return reach.map((row) => row.map(() => Number.POSITIVE_INFINITY));
    moved!.tensors.forEach(({ values }, k) => {
      values.forEach((v, i) => {
        const limit = expected.tensors[k]!.values[i];
        reach[k]![i] = limit === undefined ? Number.POSITIVE_INFINITY : Math.max(reach[k]![i]!, distance(v, limit));
      });
    });
  }
  return reach;
};

/** The graph without the steps that torch refuses. */
const accepted = (graph: Graph): Graph => {
  const refused = new Set<number>();
  torch.scope(() => {
    try {
      functionOf(graph, (i) => refused.add(i))(...inputsOf(graph));
    } catch {
      // What the gradient alone refuses is seen by the caller.
    }
  });
  return {
    ...graph,
    steps: graph.steps.map((step, i) => (refused.has(i) ? { ...step, name: 'nothing' } : step)),
  };
};

/** XLA simplifies: log(rsqrt(x)) is -log(x)/2, which differs at -0, and x · (0 or 1) is a choice, which differs where x is infinite (a gradient's mask). */
const simplified = (graph: Graph): boolean =>
  graph.gradients !== 'none' || graph.steps.some(({ name }) => /rsqrt|log/.test(name));

/** Throws where compiled is not as eager. */
export const checkGraph = (given: Graph): void => {
  const graph = accepted(given);
  const eager = observe(graph, (f) => f);
  let compiled: { dispose(): void } | undefined;
  const actual = observe(graph, (f) => {
    const fast = torch.compile(f);
    compiled = fast;
    return fast;
  });
  compiled?.dispose();
  let reach: number[][] | undefined;
  eager.forEach((expected, call) => {
    const seen = actual[call]!;
    if (seen.refused && MAY_REFUSE.test(seen.refused)) return;
    const code = (s: Seen): string => s.refused?.split(':')[0] ?? 'result';
    assert.equal(
      code(seen),
      code(expected),
      `call ${call}: ${seen.refused ?? 'compiled gives a result'}; eager: ${expected.refused ?? 'a result'}`,
    );
    assert.deepEqual(
      seen.tensors.map(({ what, dtype, shape }) => `${what} ${dtype} ${shape}`),
      expected.tensors.map(({ what, dtype, shape }) => `${what} ${dtype} ${shape}`),
      `call ${call}`,
    );
    seen.tensors.forEach(({ what, dtype, values }, k) => {
      const wanted = expected.tensors[k]!.values;
      const scale = wanted.reduce<number>(
        (most, v) => (Number.isFinite(Number(v)) ? Math.max(most, Math.abs(Number(v))) : most),
        0,
      );
      const allowed = /64|128/.test(dtype) && !dtype.startsWith('complex64') ? 1e-6 : 1e-5;
      values.forEach((v, i) => {
        if (simplified(graph) && Number.isNaN(wanted[i])) return;
        const d = distance(v, wanted[i]!);
        if (d <= allowed * Math.max(scale, 1)) return;
        reach ??= sensitivity(graph, expected);
        if (d <= 20 * reach[k]![i]! + allowed) return;
        assert.fail(
          `call ${call}, ${what} (${dtype}): number ${i} is ${v}, eager ${wanted[i]}, which rounding of the inputs moves by ${reach[k]![i]}`,
        );
      });
    });
  });
};
