/** @file Functions and methods over ATen operators; each looks its operator up at its first call, so that importing loads nothing. */
import type { OpFunction } from '../native.js';
import { noteLine } from '../runtime/lines.js';
import { native, onLoad } from '../runtime/load.js';
import { OVERLOADS } from './generated/resolution.js';

onLoad((n) => n.setOverloadOrder(OVERLOADS));

/** A function over all overloads of `packet` (`'aten::sin'`), or over one of them. */
export const op = (packet: string, overload?: string): OpFunction => {
  let call: OpFunction | undefined;
  const run: OpFunction = (...args) => {
    call ??= native().packet(packet, overload, true);
    noteLine(run);
    return call(...args);
  };
  return run;
};

/** The same as a method: `this` is the first argument. */
export const method = (packet: string): OpFunction => {
  let call: OpFunction | undefined;
  return function run(this: unknown, ...args) {
    call ??= native().packet(packet, undefined, true);
    noteLine(run);
    return call(this, ...args);
  };
};

type Overloads = OpFunction & Readonly<Record<string, OpFunction>>;

/** `torch.ops.aten.add.Tensor(x, y)`: every registered operator, by name and overload (`default` for the unnamed one). */
export const ops = new Proxy({} as Readonly<Record<string, Readonly<Record<string, Overloads>>>>, {
  get: (_, namespace) =>
    typeof namespace !== 'string'
      ? undefined
      : new Proxy(
          {},
          {
            get: (__, name) => {
              if (typeof name !== 'string') return undefined;
              const packet = `${namespace}::${name}`;
              return new Proxy(op(packet), {
                get: (target, overload) =>
                  typeof overload !== 'string' || overload in target
                    ? Reflect.get(target, overload)
                    : op(packet, overload === 'default' ? '' : overload),
              });
            },
          },
        ),
});
