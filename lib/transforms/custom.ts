/** @file customVjp and customJvp: functions whose derivatives are given. */
import type { Level } from '../native.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { zeros_like } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';
import { flatten, type Structure, structureKey, unflatten } from '../tree.js';
import { type AnyFunction, checkFunction, flattenResult } from './arguments.js';
import { close } from './closure.js';
import { type Flat, pullback, runBatched, runGrad } from './levels.js';
import { dispatch, type Operator } from './operator.js';

const zerosFor = (cotangents: readonly (Tensor | null)[], like: readonly Tensor[]): Tensor[] =>
  cotangents.map((c, i) => c ?? zeros_like(like[i]!));

/** A result of `backward` has the shape of its input; what was batched although the input is not is summed. */
const sumExamples = (t: Tensor, batched: boolean, wanted: boolean): Tensor => (batched && !wanted ? t.sum(0) : t);

/** Flat functions of the inputs: `forward` gives `count` results, then residuals; `back` takes residuals and cotangents. */
class CustomVjp implements Operator {
  readonly name = 'CustomVjp';
  constructor(
    private readonly plain: Flat,
    private readonly forward: Flat,
    private readonly back: (residuals: Tensor[], cotangents: Tensor[]) => Tensor[],
    private readonly count: () => number,
    private readonly isSaving = false,
  ) {}

  run(inputs: Tensor[]): Tensor[] {
    return this.isSaving ? this.forward(inputs) : this.plain(inputs);
  }

  saving(): Operator {
    return new CustomVjp(this.forward, this.forward, this.back, this.count, true);
  }

  batch(inputs: Tensor[], batched: boolean[], level: Level) {
    let saved: boolean[] = [];
    const forward: Flat = (given) => {
      const made = runBatched(this.forward, given, batched, level);
      saved = made.batched;
      return made.outputs;
    };
    let outs: boolean[] = [];
    const plain: Flat = (given) => {
      const made = runBatched(this.plain, given, batched, level);
      outs = made.batched;
      return made.outputs;
    };
    const back = (residuals: Tensor[], cotangents: Tensor[]): Tensor[] => {
      const n = this.count();
      const made = runBatched(
        (all) => this.back(all.slice(0, residuals.length), all.slice(residuals.length)),
        [...residuals, ...cotangents],
        [...saved.slice(n), ...saved.slice(0, n)],
        level,
      );
      return made.outputs.map((t, i) =>
        sumExamples(expandTo(t, made.batched[i]!, batched[i]!, level.size), made.batched[i]!, batched[i]!),
      );
    };
    const op = new CustomVjp(plain, forward, back, this.count, this.isSaving);
    const outputs = dispatch(op, inputs);
    const flags = saved.length > 0 ? saved : outs;
    return { outputs, batched: outputs.map((_, i) => flags[i] ?? false) };
  }

  dual(): never {
    throw new JorchError(
      'BAD_ARGUMENT',
      'customVjp: forward mode (jvp, jacfwd, hessian) needs a forward rule; use customJvp, or jacrev(jacrev(f)) for a Hessian',
    );
  }

  backward(inputs: Tensor[], outputs: Tensor[], cotangents: (Tensor | null)[], needed: boolean[]): (Tensor | null)[] {
    const n = this.count();
    const own = cotangents.slice(0, n).some((c) => c !== null)
      ? this.back(outputs.slice(n), zerosFor(cotangents, outputs).slice(0, n))
      : inputs.map(() => null);
    // A second derivative also goes through the residuals, which are what the operators of `forward` make of the inputs.
    const residual = cotangents.map((c, i) => (i < n ? null : c));
    if (residual.every((c) => c === null)) return own;
    const { gradients } = runGrad(this.forward, inputs, needed, () => residual);
    return own.map((g, i) => (g === null ? gradients[i]! : gradients[i] === null ? g : g.add(gradients[i]!)));
  }
}

/** A gradient for every example, from one that is the same for all. */
const expandTo = (t: Tensor, batched: boolean, wanted: boolean, size: number): Tensor =>
  wanted && !batched ? t.unsqueeze(0).expand([size, ...t.shape]) : t;

class CustomJvp implements Operator {
  readonly name = 'CustomJvp';
  constructor(
    private readonly plain: Flat,
    /** Inputs and tangents to results and their tangents, in one list. */
    private readonly rule: (inputs: Tensor[], tangents: Tensor[]) => Tensor[],
  ) {}

  run(inputs: Tensor[]): Tensor[] {
    return this.plain(inputs);
  }

  batch(inputs: Tensor[], batched: boolean[], level: Level) {
    let outs: boolean[] = [];
    const note = (made: { outputs: Tensor[]; batched: boolean[] }): Tensor[] => {
      outs = made.batched.slice(0, outs.length === 0 ? made.batched.length : outs.length);
      return made.outputs;
    };
    const plain: Flat = (given) => note(runBatched(this.plain, given, batched, level));
    const rule = (given: Tensor[], tangents: Tensor[]): Tensor[] => {
      const made = runBatched(
        (all) => this.rule(all.slice(0, given.length), all.slice(given.length)),
        [...given, ...tangents],
        [...batched, ...batched],
        level,
      );
      // Every result has its examples in front, as the values must have for their tangents.
      outs = made.outputs.map(() => true);
      return made.outputs.map((t, i) => expandTo(t, made.batched[i]!, true, level.size));
    };
    const outputs = dispatch(new CustomJvp(plain, rule), inputs);
    return { outputs, batched: outputs.map((_, i) => outs[i] ?? false) };
  }

  dual(inputs: Tensor[], tangents: (Tensor | null)[]) {
    const all = this.rule(inputs, zerosFor(tangents, inputs));
    const n = all.length / 2;
    return { outputs: all.slice(0, n), tangents: all.slice(n) };
  }

  /** The rule is linear in the tangents: its transpose is the pullback. */
  backward(inputs: Tensor[], _: Tensor[], cotangents: (Tensor | null)[], needed: boolean[]): (Tensor | null)[] {
    const n = native();
    const zeros = inputs.map((t) => zeros_like(t)); // outside: a level wraps whatever is made in it
    return n.withLevel('grad', 0, 'error', (level) => {
      const tangents = zeros.map((t, i) => (needed[i] ? n.wrapGrad(t, level, true) : t));
      const all = this.rule(inputs, tangents);
      const made = pullback(
        all.slice(all.length / 2),
        tangents.filter((_t, i) => needed[i]),
        cotangents,
        false,
        true,
      );
      let next = 0;
      return needed.map((w) => {
        const g = w ? made[next++]! : null;
        return g === null ? null : n.unwrapGrad(g, level);
      });
    });
  }
}

/** Runs a pytree function on leaves and remembers its result's structure. */
class Shaped {
  structure: Structure | undefined;
  constructor(
    private readonly name: string,
    private readonly f: AnyFunction,
  ) {}
  flat(args: unknown[]): Tensor[] {
    const { leaves, structure } = flattenResult(this.name, this.f(...args));
    this.structure = structure;
    return leaves;
  }
}

/** Captured tensors become inputs: under a level they are that level's variables, and the operator runs below it. */
const explicit = (run: () => unknown, leaves: Tensor[]) =>
  native().currentLevel() === null && !native().isTracing() ? undefined : close(run, leaves);

/**
 * A function with a reverse-mode derivative of its own.
 * @param f the function. @param forward as `f`, but returns `[result, residuals]`.
 * @param backward takes the residuals and the result's cotangent and returns an array with one gradient per argument (a pytree like it).
 * Its own derivatives are those of the operators that it uses. Forward mode is refused: see customJvp.
 * @example const clip = customVjp((x) => x, (x) => [x, []], (_, g) => [g.clamp(-1, 1)]);
 */
export const customVjp = <F extends AnyFunction>(
  f: F,
  forward: (...args: Parameters<F>) => [ReturnType<F>, unknown],
  backward: (residuals: never, cotangent: ReturnType<F>) => readonly unknown[],
): F => {
  for (const [i, g] of [f, forward, backward].entries()) checkFunction(`customVjp: argument ${i + 1}`, g);
  const call = (...args: unknown[]): unknown => {
    const { leaves, structure } = flatten(args);
    const closed = explicit(() => (forward as AnyFunction)(...args), leaves);
    const captured = closed?.captured ?? [];
    const within = <T>(inputs: Tensor[], run: (args: unknown[]) => T): T => {
      const now = unflatten(structure, inputs.slice(0, leaves.length)) as unknown[];
      return closed === undefined ? run(now) : closed.call(inputs.slice(leaves.length), () => run(now));
    };
    const plain = new Shaped('customVjp', f);
    let residual: Structure | undefined;
    let count = 0;
    const saving: Flat = (inputs) =>
      within(inputs, (now) => {
        const returned = (forward as AnyFunction)(...now);
        if (!Array.isArray(returned) || returned.length !== 2)
          throw new JorchError('BAD_ARGUMENT', 'customVjp: the forward function must return [result, residuals]');
        const result = flattenResult('customVjp', returned[0]);
        const kept = flatten(returned[1]);
        plain.structure = result.structure;
        residual = kept.structure;
        count = result.leaves.length;
        return [...result.leaves, ...kept.leaves];
      });
    const back = (residuals: Tensor[], cotangents: Tensor[]): Tensor[] => {
      const returned = (backward as AnyFunction)(
        unflatten(residual!, residuals),
        unflatten(plain.structure!, cotangents),
      );
      const { leaves: gradients, structure: given } = flatten(returned);
      if (structureKey(given) !== structureKey(structure))
        throw new JorchError(
          'BAD_ARGUMENT',
          `customVjp: the backward function must return an array with one gradient for each of the ${args.length} arguments, of its structure`,
        );
      return [...gradients, ...captured.map((t) => zeros_like(t))];
    };
    const op = new CustomVjp(
      (inputs) =>
        within(inputs, (now) => {
          const outputs = plain.flat(now);
          count = outputs.length;
          return outputs;
        }),
      saving,
      back,
      () => count,
    );
    const outputs = dispatch(op, [...leaves, ...captured]);
    return unflatten(plain.structure!, outputs.slice(0, count));
  };
  return call as F;
};

/**
 * A function with a derivative rule of its own, for forward mode and, by transposition, for reverse mode.
 * @param f the function. @param rule takes the arrays of primals and tangents and returns `[result, its tangent]`; linear in the tangents.
 * @example const softsign = customJvp((x) => x.div(x.abs().add(1)), ([x], [t]) => [softsign(x), t.div(x.abs().add(1).square())]);
 */
export const customJvp = <F extends AnyFunction>(
  f: F,
  rule: (primals: Parameters<F>, tangents: Parameters<F>) => [ReturnType<F>, ReturnType<F>],
): F => {
  checkFunction('customJvp', f);
  checkFunction('customJvp', rule);
  const call = (...args: unknown[]): unknown => {
    const { leaves, structure } = flatten(args);
    const closed = explicit(() => f(...args), leaves);
    const captured = closed?.captured ?? [];
    const within = <T>(inputs: Tensor[], run: (args: unknown[]) => T): T => {
      const now = unflatten(structure, inputs.slice(0, leaves.length)) as unknown[];
      return closed === undefined ? run(now) : closed.call(inputs.slice(leaves.length), () => run(now));
    };
    const plain = new Shaped('customJvp', f);
    const op = new CustomJvp(
      (inputs) => within(inputs, (now) => plain.flat(now)),
      (inputs, tangents) =>
        within(inputs, (now) => {
          const along = unflatten(structure, tangents.slice(0, leaves.length));
          const returned = (rule as AnyFunction)(now, along);
          if (!Array.isArray(returned) || returned.length !== 2)
            throw new JorchError('BAD_ARGUMENT', 'customJvp: the rule must return [result, tangent]');
          const result = flattenResult('customJvp', returned[0]);
          const tangent = flattenResult('customJvp', returned[1]);
          if (structureKey(result.structure) !== structureKey(tangent.structure))
            throw new JorchError('BAD_ARGUMENT', 'customJvp: the tangent must have the structure of the result');
          plain.structure = result.structure;
          return [...result.leaves, ...tangent.leaves];
        }),
    );
    const outputs = dispatch(op, [...leaves, ...captured]);
    return unflatten(plain.structure!, outputs);
  };
  return call as F;
};
