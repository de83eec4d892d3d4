/** @file The layers of test/data/nn-torch.json, made and run as PyTorch made and ran them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../../lib/index.js';
import * as torch from '../../lib/index.js';

const { nn, tree } = torch;

interface Stored {
  readonly shape: number[];
  readonly dtype: torch.DType;
  readonly data: number[];
}
export interface Case {
  readonly name: string;
  readonly args: unknown[];
  readonly kw: Record<string, unknown>;
  readonly call: Record<string, unknown>;
  readonly mode: 'train' | 'eval';
  readonly repr: string;
  readonly initial: Record<string, [shape: number[], sum: number]>;
  readonly inputs: (Stored & { readonly requires_grad: boolean })[];
  readonly outputs: Stored[];
  readonly grads: (number[] | null)[];
  readonly parameters: Record<string, number[] | null>;
  readonly buffers: Record<string, number[]>;
}
export const { cases } = JSON.parse(readFileSync(join(__dirname, '../../../test/data/nn-torch.json'), 'utf8')) as {
  cases: Case[];
};

type Layer = InstanceType<typeof nn.Module>;
export const make = ({ name, args, kw }: Case): Layer => {
  const Class = (nn as unknown as Record<string, new (...args: unknown[]) => Layer>)[name]!;
  return new Class(...args, ...(Object.keys(kw).length > 0 ? [kw] : []));
};
const tensorOf = (s: Stored & { readonly requires_grad?: boolean }): Tensor =>
  torch
    .tensor(s.data, { dtype: s.dtype })
    .reshape(s.shape)
    .requires_grad_(s.requires_grad ?? false);

export const near = (actual: Tensor, expected: readonly number[], what: string): void => {
  const got = [...actual.detach().toTypedArray()].map(Number);
  assert.equal(got.length, expected.length, `${what}: number of elements`);
  got.forEach((value, i) => {
    const want = expected[i]!;
    assert.ok(
      Math.abs(value - want) <= 2e-5 + 2e-5 * Math.abs(want) || (Number.isNaN(value) && Number.isNaN(want)),
      `${what}[${i}]: ${value}, PyTorch has ${want}`,
    );
  });
};

/** Sum of all outputs times cos(0, 1, 2, …). */
export const lossOf = (outputs: readonly Tensor[]): Tensor | undefined =>
  outputs
    .filter((o) => o.requires_grad)
    .map((o) => o.mul(torch.arange(o.numel(), { dtype: o.dtype }).cos().view_as(o)).sum())
    .reduce<Tensor | undefined>((a, b) => (a === undefined ? b : a.add(b)), undefined);

export const outputsOf = (layer: Layer, inputs: readonly Tensor[], call: Case['call']): Tensor[] => {
  const keywords = Object.keys(call).length > 0 ? [call] : [];
  const value = layer.forward(...inputs, ...keywords) as unknown;
  // Several results are an object with places, not an array that tree knows.
  const parts = torch.is_tensor(value) ? [value] : [...(value as Iterable<unknown>)];
  return parts.flatMap((part) => tree.leaves(part));
};

export const inputsFor = (c: Case): Tensor[] => c.inputs.map(tensorOf);

/** A layer compiled with its backward, against PyTorch's numbers. */
export const checkCompiled = (c: Case): void => {
  torch.manual_seed(11);
  const layer = make(c);
  layer.train(c.mode === 'train');
  const inputs = inputsFor(c);
  const step = torch.compile((...xs: Tensor[]) => {
    const outputs = outputsOf(layer, xs, c.call);
    lossOf(outputs)?.backward();
    return outputs.map((o) => o.detach());
  });
  step(...inputs).forEach((o, i) => void near(o, c.outputs[i]!.data, `output ${i}`));
  inputs.forEach((x, i) => void (c.grads[i] && near(x.grad!, c.grads[i], `grad of input ${i}`)));
  for (const [name, p] of layer.named_parameters())
    if (c.parameters[name]) near(p.grad!, c.parameters[name], `grad of ${name}`);
  for (const [name, buffer] of layer.named_buffers()) near(buffer, c.buffers[name]!, name);
  step.dispose();
};

export const withParameters = cases.filter((c) => Object.keys(c.initial).length > 0);

/** One form of every layer with parameters; what a Transformer consists of is there by itself. */
export const compiledSlice = (): Case[] => {
  const byName = new Map(withParameters.map((c) => [c.name, c]));
  byName.delete('Transformer');
  return [...byName.values()];
};
