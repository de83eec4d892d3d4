/** @file Calls that torch refuses: none of them may compile. */
import type { Tensor } from 'jorch';
import * as torch from 'jorch';

export function calls(x: Tensor, y: Tensor): void {
  // @ts-expect-error a misspelled keyword
  torch.sum(x, { dims: 1 });
  // @ts-expect-error a tensor is no options object
  torch.sum(x, 1, x);
  // @ts-expect-error nor is a list
  x.sum(1, true, [1]);
  // @ts-expect-error matmul takes tensors only
  torch.matmul(x, 3);
  // @ts-expect-error a missing argument
  torch.matmul(x);
  // @ts-expect-error too many arguments
  torch.sin(x, 1);
  // @ts-expect-error sin takes no dim
  torch.sin(x, { dim: 1 });
  // @ts-expect-error a dtype that torch lacks
  torch.zeros([2], { dtype: 'float23' });
  // @ts-expect-error a list of strings is no shape
  x.view(['2', 3]);
  // @ts-expect-error null is not the number that alpha must be
  x.add(y, { alpha: null });
  // @ts-expect-error an argument twice, by position and by keyword
  x.sum(1, true, { keepdim: true });
  // @ts-expect-error a third of two results
  x.max(1)[2];
  // @ts-expect-error a name that this result lacks
  x.max(1).value;
  // @ts-expect-error a result is read-only
  x.max(1).values = y;
  // @ts-expect-error a shape is read-only
  x.shape[0] = 3;
  // @ts-expect-error no such function
  torch.sine(x);
  // @ts-expect-error torch's functions are not assignable
  torch.sin = torch.cos;
  // @ts-expect-error an unknown memory format
  x.contiguous({ memory_format: 'rows' });
  // @ts-expect-error one result unless indices are asked for
  torch.nn.functional.max_pool2d(x, 2)[1];
  // @ts-expect-error a required keyword
  torch.signal.windows.general_cosine(10);
  // @ts-expect-error tensors are not numbers
  const n: number = x.sum();
  // @ts-expect-error cross_entropy has no dim
  torch.nn.functional.cross_entropy(x, y, { dim: 1 });
  void n;
}
