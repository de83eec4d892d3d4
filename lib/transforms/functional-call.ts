/** @file functional_call and stack_module_state: modules as functions of their parameters. */
import { isModule } from '../nn/fields.js';
import type { Module } from '../nn/module.js';
import { JorchError } from '../runtime/errors.js';
import { native } from '../runtime/load.js';
import { stack } from '../torch/functions.js';
import type { Tensor } from '../torch/tensor.js';

type State = Readonly<Record<string, Tensor>>;

const stateOf = (module: Module): Map<string, Tensor> => {
  if (!isModule(module)) throw new JorchError('BAD_ARGUMENT', `expected an nn.Module, got ${typeof module}`);
  return new Map([
    ...(module.named_parameters('', { remove_duplicate: false }) as unknown as [string, Tensor][]),
    ...module.named_buffers('', { remove_duplicate: false }),
  ]);
};

/**
 * `module.forward(...args)` with other tensors in the place of its parameters and buffers; the module itself is not changed. Tied weights stay tied:
 * one of their names is enough.
 * @param state by dotted name, as in `named_parameters()`; an array of such objects is merged. What is left out is the module's own.
 * @param args an array, or the one argument.
 * @throws JorchError BAD_ARGUMENT for a name that the module does not have.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.functional_call.html
 * @example func.grad((p) => func.functional_call(model, p, x).sum())(Object.fromEntries(model.named_parameters()))
 */
export const functional_call = (module: Module, state: State | readonly State[], args: unknown): unknown => {
  const given = Object.assign({}, ...(Array.isArray(state) ? (state as State[]) : [state as State])) as State;
  const own = stateOf(module);
  const from: Tensor[] = [];
  const to: Tensor[] = [];
  for (const [name, value] of Object.entries(given)) {
    const slot = own.get(name);
    if (slot === undefined)
      throw new JorchError('BAD_ARGUMENT', `functional_call: the module has no parameter or buffer '${name}'`);
    from.push(slot);
    to.push(value);
  }
  return native().substitute(from, to, () => module.forward(...(Array.isArray(args) ? args : [args])));
};

/**
 * The parameters and buffers of models of one architecture, stacked along a new dimension 0: `[params, buffers]`, for vmap over functional_call.
 * @throws JorchError BAD_ARGUMENT for no models, or models whose parameters differ in name or shape.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.func.stack_module_state.html
 */
export const stack_module_state = (models: readonly Module[]): [Record<string, Tensor>, Record<string, Tensor>] => {
  if (!Array.isArray(models) || models.length === 0 || !models.every(isModule))
    throw new JorchError('BAD_ARGUMENT', 'stack_module_state: expected at least one model');
  const stacked = (states: readonly (readonly [string, Tensor])[][], leaf: boolean): Record<string, Tensor> =>
    Object.fromEntries(
      states[0]!.map(([name, first], i) => {
        const all = states.map((s) => {
          const [other, value] = s[i] ?? [undefined, undefined];
          if (other !== name || value?.shape.join() !== first.shape.join())
            throw new JorchError('BAD_ARGUMENT', `stack_module_state: the models differ at '${name}'`);
          return value.detach();
        });
        return [name, stack(all).requires_grad_(leaf && first.requires_grad)];
      }),
    );
  return [
    stacked(
      models.map((m) => m.named_parameters() as unknown as [string, Tensor][]),
      true,
    ),
    stacked(
      models.map((m) => m.named_buffers()),
      false,
    ),
  ];
};
