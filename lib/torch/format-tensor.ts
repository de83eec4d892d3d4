/** @file Prints a live tensor: reads its elements, only those at the edges where it is large, and formats them. */

import { type Element, formatTensor, printOptions } from './format.js';
import { cat } from './generated/ops.js';
import { no_grad } from './modes.js';
import type { Tensor } from './tensor.js';

/** int64 and uint64 as bigints, which a list of numbers could not hold. */
function elements(t: Tensor): ArrayLike<Element> {
  const flat = t.reshape([-1]);
  return flat.dtype === 'int64' || flat.dtype === 'uint64'
    ? (flat.toTypedArray() as unknown as ArrayLike<Element>)
    : (flat.tolist() as unknown as ArrayLike<Element>);
}

/** Both ends of every long dimension, joined: all that is printed of a large tensor. */
function edges(t: Tensor, edge: number): Tensor {
  return t.shape.reduce<Tensor>(
    (x, size, dim) => (size <= 2 * edge ? x : cat([x.narrow(dim, 0, edge), x.narrow(dim, size - edge, edge)], dim)),
    t,
  );
}

/** `tensor([1., 2.], grad_fn=<AddBackward0>)`, as Python's torch writes it. */
export function describeTensor(
  t: Tensor,
  more: { readonly parameter?: boolean; readonly defaultDtype?: Tensor['dtype'] } = {},
): string {
  const { shape, dtype, requires_grad, grad_fn } = t;
  const { threshold, edgeitems } = printOptions();
  const head = { shape, dtype, device: String(t.device), requires_grad, grad_fn, ...more };
  if (t.device.type === 'meta') return formatTensor(head);
  const values = t.detach();
  const total = shape.reduce((a, b) => a * b, 1);
  if (total <= threshold || edgeitems === 0) return formatTensor({ ...head, data: no_grad(() => elements(values)) });
  const small = no_grad(() => edges(values, edgeitems));
  const read = no_grad(() => elements(small));
  const sizes = small.shape;
  const data = (index: number): Element => {
    let at = 0;
    let rest = index;
    let stride = 1;
    for (let d = shape.length - 1; d >= 0; d--) {
      const size = shape[d] ?? 1;
      const i = rest % size;
      rest = Math.floor(rest / size);
      at += stride * (i < edgeitems || sizes[d] === size ? i : i - size + 2 * edgeitems);
      stride *= sizes[d] ?? 1;
    }
    return read[at] as Element;
  };
  return formatTensor({ ...head, data });
}
