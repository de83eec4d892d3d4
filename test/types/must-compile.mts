/** @file Calls that torch accepts: they must compile, with these types. */
import type { Tensor } from 'jorch';
import * as torch from 'jorch';
import { add, fft, linalg, nn, special, sum } from 'jorch';

/** Fails to compile unless `Actual` is exactly `Expected`. */
type Exactly<Expected, Actual> =
  (<T>() => T extends Expected ? 1 : 2) extends <T>() => T extends Actual ? 1 : 2 ? Actual : never;
const exactly =
  <Expected,>() =>
  <Actual,>(_: Exactly<Expected, Actual>): void => {};
const tensor = exactly<Tensor>();

export function calls(x: Tensor, y: Tensor, mask: Tensor): void {
  // Functions, methods, keywords after any required argument.
  tensor(torch.sin(x));
  tensor(add(x, 2));
  tensor(torch.add(x, y, { alpha: 2 }));
  tensor(x.add(1.5).mul(y).sub(2n).div(true));
  tensor(x.div(2, { rounding_mode: 'floor' }));
  tensor(sum(x));
  tensor(sum(x, 1, true));
  tensor(sum(x, 1, { keepdim: true }));
  tensor(sum(x, [0, 1], { dtype: torch.float64 }));
  tensor(x.sum({ dim: 1, keepdim: true }));
  tensor(x.sum(null, true));
  tensor(torch.clamp(x, { min: 0 }));
  tensor(x.clamp(0, 1));
  tensor(x.clamp(undefined, y));
  tensor(torch.where(mask, x, 0));
  tensor(torch.cat([x, y], { dim: 1 }));
  tensor(torch.matmul(x, y, { out: x }));
  tensor(torch.logsumexp(x, [0]));
  tensor(x.var({ correction: 0 }));

  // An omitted keyword may be undefined; a frozen list is a list.
  tensor(x.sum(1, { keepdim: undefined }));
  tensor(x.permute([1, 0] as const));

  // Integers one by one where a list is the only argument.
  tensor(x.view(2, 3));
  tensor(x.reshape([2, 3]));
  tensor(x.permute(1, 0));
  tensor(torch.zeros(2, 3));
  tensor(torch.zeros(2, 3, { dtype: torch.float64 }));
  tensor(x.new_zeros(2, 3));
  tensor(torch.zeros([2, 3], { dtype: 'float64', requires_grad: true }));
  tensor(torch.randn([2], { device: 'cpu' }));

  // Several results: by place, by name, spread.
  const [values, indices] = x.max(1);
  tensor(values);
  tensor(indices);
  const named = torch.topk(x, 3, { largest: false });
  tensor(named.values);
  tensor(named[1]);
  const { U, S, Vh } = linalg.svd(x, { full_matrices: false });
  tensor(U.matmul(S.diag()).matmul(Vh));
  const parts: Tensor[] = x.split(2);
  tensor(torch.stack(parts));

  // Namespaces and what Python writes in Python.
  tensor(linalg.norm(x, 2, -1));
  tensor(fft.rfft(x, { dim: 0 }));
  tensor(special.gammaln(x));
  tensor(nn.functional.cross_entropy(x, y, { label_smoothing: 0.1 }));
  tensor(nn.functional.softmax(x, 1));
  tensor(nn.functional.max_pool2d(x, 2));
  tensor(nn.functional.max_pool2d(x, 2, { return_indices: true })[1]);
  tensor(torch.einsum('ij,jk->ik', x, y));
  tensor(torch.unique(x));
  const [, counts] = torch.unique(x, { return_counts: true });
  tensor(counts);
  tensor(torch.signal.windows.general_hamming(10, { alpha: 0.5 }));
  tensor(torch.masked.sum(x, 1, { mask }));
  tensor(torch.norm(x, 'fro', [0, 1]));

  // Attributes and numbers.
  tensor(x.T);
  tensor(x.mT);
  exactly<number>()(x.shape[0]);
  exactly<number>()(x.size(-1));
  exactly<number>()(x.dim());
  exactly<boolean>()(torch.allclose(x, y));
  const dtype: torch.DType = x.dtype;
  tensor(x.to(dtype));
  tensor(x.double().__radd__(1));
}
