/** @file The value of which test/data/files/written.json holds what Python's torch.load made of jorch's file. */
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

/** Every dtype, memory shared and strided, and every plain value that a checkpoint holds. */
export const writtenValue = (): Record<string, unknown> => {
  const kinds = Object.fromEntries(
    (
      [
        'float64',
        'float32',
        'float16',
        'bfloat16',
        'int64',
        'int32',
        'int16',
        'int8',
        'uint8',
        'uint16',
        'uint32',
        'uint64',
        'bool',
        'complex64',
        'complex128',
      ] as const
    ).map((dtype): [string, Tensor] => [
      dtype,
      torch
        .tensor([
          [0, 1, 2],
          [3, 4, 5],
        ])
        .to(dtype),
    ]),
  );
  const tied = torch.arange(3);
  return {
    kinds,
    tied: [tied, tied.detach()],
    transposed: torch.arange(6).reshape([2, 3]).t(),
    empty: torch.zeros(0, 2),
    scalar: torch.tensor(3.5),
    parameter: new torch.nn.Parameter(torch.ones(2)),
    plain: {
      small: 255,
      negative: -129,
      large: -(2 ** 40),
      huge: 2n ** 70n,
      least: -(2n ** 63n),
      float: 0.5,
      text: 'grüße',
      none: null,
      flag: true,
      list: [1, 'a'],
      bytes: new Uint8Array([0, 255]),
    },
    by_number: new Map([[0, 'zero']]),
  };
};
