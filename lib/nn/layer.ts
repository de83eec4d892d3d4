/** @file Layers without parameters: their arguments are their fields. */
import { bind, type Rest } from './arguments.js';
import { Module } from './module.js';

export type LayerOptions<D> = { [K in keyof D]?: D[K] | undefined };
/** The class that `layer` makes; `N` are the arguments that may come by position. */
export type LayerClass<D, N extends readonly (keyof D)[]> = new (
  ...rest: Rest<LayerOptions<D>, N>
) => Module & { readonly [K in keyof D]: D[K] };

/**
 * The base class of a layer whose arguments, with these defaults, become fields of the same names.
 * @param positional the names that may come by position; `defaults` begins with them, in this order.
 * @param describe what the layer's text says between the parentheses.
 * @param check refuses arguments that cannot be.
 */
export const layer = <D extends object, const N extends readonly (keyof D & string)[]>(
  name: string,
  defaults: D,
  _positional: N,
  describe: (self: D) => string = () => '',
  check: (self: D) => void = () => {},
): LayerClass<D, N> => {
  class Layer extends Module {
    constructor(...rest: readonly unknown[]) {
      super();
      Object.assign(this, bind(name, defaults, rest));
      check(this as unknown as D);
    }
    override extra_repr(): string {
      return describe(this as unknown as D);
    }
  }
  return Layer as never;
};
