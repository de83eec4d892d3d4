/** @file torch.nn.utils.rnn: padded and packed batches of sequences of different lengths. */
import { JorchError } from '../runtime/errors.js';
import { tensor } from '../torch/data.js';
import * as torch from '../torch/generated/ops.js';
import type { Tensor } from '../torch/python-types.js';

/** Sequences without their padding: the elements of all at time 0, then of those still going on at time 1, … */
export class PackedSequence {
  constructor(
    /** [elements, *] */
    readonly data: Tensor,
    /** int64: how many sequences are that long, per time. */
    readonly batch_sizes: Tensor,
    readonly sorted_indices: Tensor | null = null,
    readonly unsorted_indices: Tensor | null = null,
  ) {}
}

const invert = (permutation: Tensor): Tensor =>
  torch.empty_like(permutation).scatter_(0, permutation, torch.arange(permutation.shape[0]));

/**
 * Packs a padded batch. @param lengths int64 [N]; longest first, unless `enforce_sorted` is false.
 * @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html
 */
export const pack_padded_sequence = (
  input: Tensor,
  lengths: Tensor | readonly number[],
  { batch_first = false, enforce_sorted = true }: { batch_first?: boolean; enforce_sorted?: boolean } = {},
): PackedSequence => {
  let sizes = Array.isArray(lengths) ? tensor(lengths as number[], { dtype: 'int64' }) : (lengths as Tensor);
  let batch = input;
  let sorted: Tensor | null = null;
  if (!enforce_sorted) {
    const order = torch.sort(sizes, { descending: true });
    sizes = order[0];
    sorted = order[1];
    batch = input.index_select(batch_first ? 0 : 1, sorted);
  }
  const [data, batchSizes] = torch._pack_padded_sequence(batch, sizes, batch_first);
  return new PackedSequence(data, batchSizes, sorted, sorted === null ? null : invert(sorted));
};

/** A packed batch as a padded one, and the lengths. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html */
export const pad_packed_sequence = (
  sequence: PackedSequence,
  {
    batch_first = false,
    padding_value = 0,
    total_length = null,
  }: { batch_first?: boolean; padding_value?: number; total_length?: number | null } = {},
): [padded: Tensor, lengths: Tensor] => {
  const longest = sequence.batch_sizes.shape[0];
  if (total_length !== null && total_length < longest)
    throw new JorchError(
      'BAD_ARGUMENT',
      `pad_packed_sequence: total_length ${total_length} is less than the longest sequence, ${longest}`,
    );
  const [padded, lengths] = torch._pad_packed_sequence(
    sequence.data,
    sequence.batch_sizes,
    batch_first,
    padding_value,
    total_length ?? longest,
  );
  const { unsorted_indices } = sequence;
  if (unsorted_indices === null) return [padded, lengths];
  return [
    padded.index_select(batch_first ? 0 : 1, unsorted_indices),
    lengths.index_select(0, unsorted_indices.to('cpu')),
  ];
};

/** Sequences [L_i, *] as one batch, filled up with `padding_value`. @see https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_sequence.html */
export const pad_sequence = (
  sequences: readonly Tensor[],
  {
    batch_first = false,
    padding_value = 0,
    padding_side = 'right',
  }: { batch_first?: boolean; padding_value?: number; padding_side?: 'left' | 'right' } = {},
): Tensor => {
  const [first] = sequences;
  if (first === undefined) throw new JorchError('BAD_ARGUMENT', 'pad_sequence: expected at least one sequence');
  const longest = Math.max(...sequences.map((s) => s.shape[0]));
  const padded = sequences.map((s) => {
    const missing = longest - s.shape[0];
    if (missing === 0) return s;
    const fill = torch.empty([missing, ...s.shape.slice(1)], { dtype: s.dtype }).fill_(padding_value);
    return torch.cat(padding_side === 'right' ? [s, fill] : [fill, s]);
  });
  return torch.stack(padded, batch_first ? 0 : 1);
};

/** The sequences of a padded batch, each of its length. */
export const unpad_sequence = (padded: Tensor, lengths: Tensor, { batch_first = false } = {}): Tensor[] => {
  const rows = batch_first ? padded : padded.transpose(0, 1);
  return [...lengths.toTypedArray()].map((n, i) => rows.select(0, i).narrow(0, 0, Number(n)));
};

/** Packs sequences [L_i, *]; longest first, unless `enforce_sorted` is false. */
export const pack_sequence = (
  sequences: readonly Tensor[],
  { enforce_sorted = true }: { enforce_sorted?: boolean } = {},
): PackedSequence =>
  pack_padded_sequence(
    pad_sequence(sequences),
    sequences.map((s) => s.shape[0]),
    { enforce_sorted },
  );

/** The sequences of a packed batch. */
export const unpack_sequence = (packed: PackedSequence): Tensor[] => {
  const [padded, lengths] = pad_packed_sequence(packed);
  return unpad_sequence(padded, lengths);
};
