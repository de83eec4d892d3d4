/** @file Rearranging whole tensors: cat, repeat, flip, roll, triangles, padding with a constant, windows, pixel shuffles. */
import type { Value } from '../compile/graph.js';
import type { Builder } from '../stablehlo/builder.js';
import { numel, type Op, range, replaceAt, rowMajor } from '../stablehlo/types.js';
import { expandList, wrapDim } from './common.js';
import { scatterDim, takeRows } from './gather.js';
import { NoLowering, rule, rules } from './registry.js';

/** A 1-d tensor without elements joins anything: torch's legacy. */
rule('aten::cat', ({ b, out }, { tensors, dim }) => {
  const parts = tensors.filter((t) => !(t.shape.length === 1 && t.shape[0] === 0 && out.shape.length !== 1));
  if (parts.length === 0) return b.fill(out, 0);
  return b.concatenate(
    parts.map((t) => b.convert(t, out.dtype)),
    wrapDim(dim, out.shape.length),
  );
});
rule('aten::stack', ({ b, out }, { tensors, dim }) => {
  const d = wrapDim(dim, out.shape.length);
  return b.concatenate(
    tensors.map((t) => b.unsqueeze(b.convert(t, out.dtype), d)),
    d,
  );
});
/** Each tensor is padded to `num_chunks` equal chunks along `dim`, chunks are flattened and joined. */
rule('aten::_chunk_cat', ({ b, out }, { tensors, dim, num_chunks }) => {
  const parts = tensors.map((t) => {
    const d = wrapDim(dim, t.shape.length);
    const chunk = Math.ceil(t.shape[d]! / num_chunks);
    const padded = b.padDim(b.convert(t, out.dtype), d, b.scalar(0, out.dtype), 0, chunk * num_chunks - t.shape[d]!);
    const lead = t.shape.slice(0, d);
    return b.reshape(padded, [...lead, num_chunks, chunk * numel(t.shape.slice(d + 1))]);
  });
  return b.concatenate(parts, out.shape.length - 1);
});
rule('aten::block_diag', ({ b, out }, { tensors }) => {
  let at = 0;
  const rows = tensors.map((t) => {
    const m = b.reshape(b.convert(t, out.dtype), t.shape.length === 2 ? t.shape : [1, numel(t.shape)]);
    const row = b.padDim(m, 1, b.scalar(0, out.dtype), at, out.shape[1]! - at - m.shape[1]!);
    at += m.shape[1]!;
    return row;
  });
  return rows.length === 0 ? b.fill(out, 0) : b.concatenate(rows, 0);
});
/** Each dimension, padded with ones at the left, is repeated whole. */
rule('aten::repeat', ({ b, out }, { self, repeats }) => {
  const sizes = [...repeats.slice(self.shape.length).map(() => 1), ...self.shape];
  const pairs = sizes.flatMap((n, d) => [repeats[d]!, n]);
  const dims = self.shape.map((_, i) => 2 * (i + repeats.length - self.shape.length) + 1);
  return b.reshape(b.broadcastInDim(self, pairs, dims), out.shape);
});
rule('aten::flip', ({ b }, { self, dims }) =>
  self.shape.length === 0
    ? self
    : b.reverse(
        self,
        dims.map((d) => wrapDim(d, self.shape.length)),
      ),
);
const rollDim = (b: Builder, x: Op, shift: number, dim: number): Op => {
  const n = x.shape[dim]!;
  const cut = n === 0 ? 0 : (((n - shift) % n) + n) % n;
  return cut === 0 ? x : b.concatenate([b.sliceDim(x, dim, cut, n), b.sliceDim(x, dim, 0, cut)], dim);
};
/** Without dims the tensor is rolled as if it were flat. */
rule('aten::roll', ({ b }, { self, shifts, dims }) => {
  if (dims.length === 0) return b.reshape(rollDim(b, b.reshape(self, [numel(self.shape)]), shifts[0]!, 0), self.shape);
  return dims.reduce((x, d, i) => rollDim(b, x, shifts[i]!, wrapDim(d, self.shape.length)), self);
});
rule('aten::rot90', ({ b }, { self, k, dims }) => {
  const [d0, d1] = dims.map((d) => wrapDim(d, self.shape.length)) as [number, number];
  const turns = ((k % 4) + 4) % 4;
  if (turns === 1) return b.swap(b.reverse(self, [d1]), d0, d1);
  if (turns === 2) return b.reverse(self, [d0, d1]);
  return turns === 3 ? b.reverse(b.swap(self, d0, d1), [d1]) : self;
});

/** Where column - row compares to `diagonal`, in the last two dimensions. */
export function triangle(b: Builder, shape: readonly number[], direction: 'LE' | 'GE', diagonal: number): Op {
  const [row, column] = [shape.length - 2, shape.length - 1];
  const bound = b.add(b.iota(shape, row, 'int64'), b.constant(diagonal, shape, 'int64'));
  return b.compare(direction, b.iota(shape, column, 'int64'), bound);
}
export const tril = (b: Builder, x: Op, k = 0): Op => b.select(triangle(b, x.shape, 'LE', k), x, b.fill(x, 0));
export const triu = (b: Builder, x: Op, k = 0): Op => b.select(triangle(b, x.shape, 'GE', k), x, b.fill(x, 0));
rule('aten::tril', ({ b }, { self, diagonal }) => tril(b, self, diagonal));
rule('aten::triu', ({ b }, { self, diagonal }) => triu(b, self, diagonal));
const indexPairs = (row: number, col: number, keep: (r: number, c: number) => boolean): number[] => {
  const pairs = range(row).flatMap((r) =>
    range(col)
      .filter((c) => keep(r, c))
      .map((c) => [r, c]),
  );
  return [...pairs.map((p) => p[0]!), ...pairs.map((p) => p[1]!)];
};
rule('aten::tril_indices', ({ b, out }, { row, col, offset }) =>
  b.constant(
    indexPairs(row, col, (r, c) => c - r <= offset),
    out.shape,
    out.dtype,
  ),
);
rule('aten::triu_indices', ({ b, out }, { row, col, offset }) =>
  b.constant(
    indexPairs(row, col, (r, c) => c - r >= offset),
    out.shape,
    out.dtype,
  ),
);

/** `pad` counts from the last dimension: [left, right, top, bottom, …]; negative amounts cut off. */
rule('aten::constant_pad_nd', ({ b, out }, { self, pad, value }) => {
  const amount = (d: number, side: 0 | 1) => pad[2 * (self.shape.length - 1 - d) + side] ?? 0;
  const dims = range(self.shape.length);
  return b.pad(
    self,
    b.scalar(value, out.dtype),
    dims.map((d) => amount(d, 0)),
    dims.map((d) => amount(d, 1)),
  );
});

/** Windows of `size` every `step` along a dimension, as a new last dimension. */
rules(['aten::unfold', 'aten::unfold_copy'], ({ b, out }, { self, dimension, size, step }) => {
  if (self.shape.length === 0) return b.reshape(b.slice(b.reshape(self, [1]), [0], [size]), out.shape);
  const d = wrapDim(dimension, self.shape.length);
  const count = out.shape[d]!;
  const at = range(count).flatMap((w) => range(size).map((i) => w * step + i));
  const rows = takeRows(b, self, d, b.constant(at, [count * size], 'int64'));
  const split = b.reshape(rows, [...self.shape.slice(0, d), count, size, ...self.shape.slice(d + 1)]);
  const dims = range(split.shape.length);
  return b.transpose(split, [...dims.filter((i) => i !== d + 1), d + 1]);
});
rule('aten::unfold_backward', ({ b, out }, { grad_in, dim, size, step }) => {
  const rank = out.shape.length;
  if (rank === 0) return b.reshape(grad_in, []);
  const d = wrapDim(dim, rank);
  const shape = grad_in.shape;
  const window = b.multiply(b.iota(shape, d, 'int64'), b.constant(step, shape, 'int64'));
  const index = b.add(window, b.iota(shape, rank, 'int64'));
  // A window is a dimension of its own at the end: bring it beside `d` and merge the two.
  const order = [...range(d + 1), rank, ...range(rank).slice(d + 1)];
  const merged = replaceAt(out.shape, d, shape[d]! * size);
  const flat = (x: Op) => b.reshape(b.transpose(x, order), merged);
  return scatterDim(b, b.fill(out, 0), d, flat(index), flat(grad_in), (o, u) => b.add(o, u));
});

rule('aten::pixel_shuffle', ({ b, out }, { self, upscale_factor: r }) => {
  const [c, h, w] = self.shape.slice(-3) as [number, number, number];
  const n = numel(self.shape.slice(0, -3));
  const blocks = b.transpose(b.reshape(self, [n, c / (r * r), r, r, h, w]), [0, 1, 4, 2, 5, 3]);
  return b.reshape(blocks, out.shape);
});
rule('aten::pixel_unshuffle', ({ b, out }, { self, downscale_factor: r }) => {
  const [c, h, w] = self.shape.slice(-3) as [number, number, number];
  const n = numel(self.shape.slice(0, -3));
  const blocks = b.transpose(b.reshape(self, [n, c, h / r, r, w / r, r]), [0, 1, 3, 5, 2, 4]);
  return b.reshape(blocks, out.shape);
});
rules(['aten::channel_shuffle', 'aten::native_channel_shuffle'], ({ b, out }, { self, groups }) => {
  const [n, c, ...rest] = self.shape as [number, number, ...number[]];
  return b.reshape(b.swap(b.reshape(self, [n, groups, c / groups, ...rest]), 1, 2), out.shape);
});

/** Columns of sliding blocks: [N, C·kh·kw, L]. */
function blockPositions(b: Builder, h: number, w: number, k: Blocks): { at: Op; count: number } {
  const [kh, kw, oh, ow] = k.sizes;
  const shape = [kh, kw, oh, ow];
  const axis = (kd: number, od: number, i: 0 | 1) =>
    b.add(
      b.multiply(b.iota(shape, kd, 'int64'), b.constant(k.dilation[i]!, shape, 'int64')),
      b.multiply(b.iota(shape, od, 'int64'), b.constant(k.stride[i]!, shape, 'int64')),
    );
  const at = b.add(b.multiply(axis(0, 2, 0), b.constant(w, shape, 'int64')), axis(1, 3, 1));
  return { at: b.reshape(at, [numel(shape)]), count: h * w };
}
interface Blocks {
  readonly sizes: readonly [number, number, number, number];
  readonly dilation: readonly number[];
  readonly stride: readonly number[];
}
function blocksOf(
  h: number,
  w: number,
  kernel: readonly number[],
  dilation: readonly number[],
  stride: readonly number[],
): Blocks {
  const [k, d, s] = [kernel, dilation, stride].map((l) => expandList(l, 2, [1, 1])) as [number[], number[], number[]];
  const count = (n: number, i: 0 | 1) => Math.floor((n - d[i]! * (k[i]! - 1) - 1) / s[i]!) + 1;
  return { sizes: [k[0]!, k[1]!, count(h, 0), count(w, 1)], dilation: d, stride: s };
}
rule('aten::im2col', ({ b, out }, { self, kernel_size, dilation, padding, stride }) => {
  const p = expandList(padding, 2);
  const x = self.shape.length === 3 ? b.unsqueeze(self, 0) : self;
  const padded = b.pad(x, b.scalar(0, x.dtype), [0, 0, ...p], [0, 0, ...p]);
  const [n, c, h, w] = padded.shape as [number, number, number, number];
  const blocks = blocksOf(h, w, kernel_size, dilation, stride);
  const { at } = blockPositions(b, h, w, blocks);
  return b.reshape(takeRows(b, b.reshape(padded, [n, c, h * w]), 2, at), out.shape);
});
rule('aten::col2im', ({ b, out }, { self, output_size, kernel_size, dilation, padding, stride }) => {
  const p = expandList(padding, 2);
  const [h, w] = output_size.map((s, i) => s + 2 * p[i]!) as [number, number];
  const blocks = blocksOf(h, w, kernel_size, dilation, stride);
  const { at } = blockPositions(b, h, w, blocks);
  const [n, c] = [self.shape.length === 3 ? self.shape[0]! : 1, out.shape.at(-3)!];
  const columns = b.reshape(self, [n, c, at.shape[0]!]);
  const index = b.broadcastInDim(at, columns.shape, [2]);
  const zeros = b.constant(0, [n, c, h * w], self.dtype);
  const image = b.reshape(
    scatterDim(b, zeros, 2, index, columns, (o, u) => b.add(o, u)),
    [n, c, h, w],
  );
  const cut = p.map((v) => -v);
  return b.reshape(b.pad(image, b.scalar(0, self.dtype), [0, 0, ...cut], [0, 0, ...cut]), out.shape);
});

/** Keeps the elements in memory order; what is new is zero here, undefined in torch. */
rules(['aten::resize', 'aten::resize_as'], ({ b, out, node }, { self }) => {
  const { shape, strides } = node.args.self as Value;
  if (rowMajor(shape).some((s, d) => shape[d] !== 1 && s !== strides[d]))
    throw new NoLowering('resize of a strided tensor');
  const [have, need] = [numel(self.shape), numel(out.shape)];
  const flat = b.reshape(self, [have]);
  return b.reshape(b.padDim(flat, 0, b.scalar(0, self.dtype), 0, need - have), out.shape);
});
